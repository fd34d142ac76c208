"""Fixtures shared by all tests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.servers.redis import RedisServer


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Use one backend, with session scope, so that one browser can serve many tests."""
    return "asyncio"


class _Complaints(logging.Handler):
    """Keeps what event loops report of exceptions that nobody handles."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter().format(record))


@pytest.fixture(autouse=True)
def fail_on_unhandled_exception() -> Iterator[None]:
    """Fail a test if a callback or a task of its event loops raised and nobody handled it.

    Event loops log these to ``asyncio``. Those of anyio's runner fail the test in any case; but
    many tests run a loop of their own.
    """
    complaints = _Complaints()
    logger = logging.getLogger("asyncio")
    logger.addHandler(complaints)
    yield
    logger.removeHandler(complaints)
    assert not complaints.lines, "\n".join(complaints.lines)


@pytest.fixture(scope="module")
async def redis_of_module(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RedisServer]:
    """Run a Redis for the tests of a module, which use `redis_server`.

    Not for all of a worker: an async fixture keeps its event loop as long as it lives, and tests
    that turn the clock need another.
    """
    from tests.support.servers.redis import running_redis

    async with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def redis_server(redis_of_module: RedisServer) -> RedisServer:
    """Return a Redis without data. Others use it after this test: run one of its own to stop it."""
    async with redis_of_module.client() as client:
        await client.flushall()
    return redis_of_module
