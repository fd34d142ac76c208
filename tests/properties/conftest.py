"""The clients that schedules run with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.properties.schedules.bridge import Bridge, built_bridge
from tests.properties.schedules.client_core import ClientFactory
from tests.properties.schedules.python_client import PythonClient
from tests.properties.schedules.typescript_client import TypeScriptClient


@pytest.fixture(scope="session")
def bridge() -> Iterator[Bridge]:
    """Return a process for cores in TypeScript."""
    with built_bridge() as bridge:
        yield bridge


@pytest.fixture(params=["python", "typescript"])
def new_core(request: pytest.FixtureRequest) -> ClientFactory:
    """Return what makes the clients of a schedule, in each language."""
    if request.param == "python":
        return PythonClient.new
    return TypeScriptClient.factory(request.getfixturevalue("bridge"))
