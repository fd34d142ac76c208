"""A folder with a path short enough for sockets, and a bus over Redis that is quick."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from transport.bus.redis import redis_bus, subscription


@pytest.fixture
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="oc-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def look_often_in_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and wait as long as usual for what a process sends to itself."""
    monkeypatch.setattr(redis_bus, "LOOK_INTERVAL", 0.05)
    monkeypatch.setattr(subscription, "SILENT_TICKS", 40)
