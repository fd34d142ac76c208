"""Fixtures for sessions in a real Redis."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.clients.redis_commands import RedisCommands
from tests.support.servers.redis import RedisServer
from tests.unit.stores.redis.stored import Stored


@pytest.fixture
def commands(redis_server: RedisServer) -> Iterator[RedisCommands]:
    """Return a connection to an empty Redis."""
    with RedisCommands(redis_server.port) as commands:
        yield commands


@pytest.fixture
def stored(commands: RedisCommands) -> Stored:
    """Return what tests do with sessions, in an empty Redis that knows the scripts."""
    return Stored(commands)
