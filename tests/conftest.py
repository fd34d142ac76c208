"""Fixtures shared by all tests."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from anyio.from_thread import start_blocking_portal

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


@pytest.fixture(scope="session")
def redis_of_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Run a Redis as long as this worker; tests use `redis_server`.

    It has an event loop of its own. As an `async def` fixture of the session it would keep that of
    the first test open, and anyio would run all later tests in it, also those that need another.
    """
    from tests.support.servers.redis import running_redis

    server = running_redis(tmp_path_factory.mktemp("redis"))
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(server) as running:
        yield running


@pytest.fixture
def redis_server(redis_of_worker: RedisServer) -> RedisServer:
    """Return a Redis without data. Others use it after this test: run one of its own to stop it."""
    import redis

    with redis.Redis.from_url(redis_of_worker.url) as client:
        client.flushall()
    return redis_of_worker
