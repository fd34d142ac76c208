"""A defect in one session ends one connection of it, not those of a whole worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.clients.frame_client import frame_client
from tests.unit.server.relay.conftest import DEADLINE, bus_of
from tests.unit.server.relay.test_edges import resuming
from transport.server.link import SessionLink

MakeCluster = Callable[..., Any]


@pytest.mark.parametrize("what", ["write", "receive"])
async def test_defect_of_a_session_ends_its_link_and_is_logged(
    make_cluster: MakeCluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    what: str,
) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2)) as second:
            await second.confirm()
            with monkeypatch.context() as patched:
                patched.setattr(SessionLink, what, fail)
                await second.send([1, 0, "x"])
                await second.ended()
        assert "relay_failed" in caplog.text
        assert "a defect" in caplog.text
        assert bus_of(b).pipe_to(bus_of(a).name).is_open
        assert "pipe_failed" not in caplog.text
        async with frame_client(b, "websocket", resuming(first, 3)) as third:
            await third.confirm()
            await third.send([1, 0, "x"])
            assert await third.data() == ["x"]


def fail(*arguments: Any) -> None:
    raise LookupError("a defect")
