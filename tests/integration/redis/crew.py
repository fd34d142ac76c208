"""`Crew`: workers behind nginx whose sessions are in a Redis, which a test kills and stops."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest

from tests.support.redis_processes import end_grace
from tests.support.servers.nginx import nginx
from tests.support.servers.redis import RedisServer, running_redis
from tests.support.servers.uvicorn import Server
from tests.support.servers.workers import workers

APP = "tests.integration.redis.app:app"
DEADLINE = 60.0
"""Seconds for a worker to be replaced. Generous, because machines are loaded."""

_joined = re.compile(r"joined worker=\w+ pid=(\d+) ").match
_is_event = re.compile(r"[a-z]+_[a-z_]+(:| \w+=)").match
_EXPECTED = ("host_limits", "one_address", "handler_cancelled", "took_over", "taken_over")
"""Events that servers with these options, and tests that end processes, cause."""
_KILLED = ("was sent SIGKILL", "Unexpected exit from worker", "Worker exited with code")
"""What a server reports as an error when a worker has died."""


class Crew:
    """Several workers of one server.

    Args:
        server: the server.
        url: of nginx, and of the channel.
        redis: the Redis.
        folder: see `environment`.

    Attributes:
        expected: the events, beside those that every test causes, that tests say they cause.
        gate: see `app.GATE`.
    """

    def __init__(self, server: Server, url: str, redis: RedisServer, folder: Path) -> None:
        self.server = server
        self.url = url
        self.redis = redis
        self.expected: set[str] = set()
        self.gate = folder / "gate"
        self._records = folder / "records"
        self._later = folder / "later"

    @property
    def pids(self) -> list[int]:
        """The workers that serve."""
        found = [int(match[1]) for line in self.server.log if (match := _joined(line))]
        return [pid for pid in found if _lives(pid)]

    async def until_ready(self, count: int | None = None, without: Collection[int] = ()) -> None:
        """Wait until that number of workers serve; by default, until the dead are replaced.

        Args:
            count: of the workers.
            without: those that do not count, as they were told to stop.
        """
        wanted = self.server.host.processes if count is None else count
        await self._until(lambda: len(set(self.pids) - set(without)) >= wanted)

    async def until_replaced(self, old: Collection[int]) -> None:
        """Wait until none of these workers lives, and as many others serve."""
        await self._until(lambda: not set(self.pids) & set(old))
        await self.until_ready()

    async def deploy(self, *, later: bool) -> None:
        """Let the server replace one worker after the other, by those of another release."""
        if later:
            self._later.touch()
        else:
            self._later.unlink()
        await self.until_ready()
        old = self.pids
        os.kill(self.server.pid, signal.SIGHUP)
        await self.until_replaced(old)

    async def _until(self, condition: Callable[[], bool]) -> None:
        with anyio.fail_after(DEADLINE):
            while not condition():  # noqa: ASYNC110 - nothing announces the end of a worker
                await anyio.sleep(0.02)

    def count(self, event: str, since: int = 0) -> int:
        """Return how many lines of the log have this event."""
        return sum(line.startswith(event) for line in self.server.log[since:])

    async def until_logged(self, event: str, count: int, since: int = 0) -> None:
        """Wait for as many lines with this event, after the first ``since`` lines of the log."""
        await self.server.until(lambda: self.count(event, since) >= count)

    def given(self, session: str = "") -> Counter[str]:
        """Return how often handlers were given each message of a session, or of all."""
        lines = [line for each in self._records.iterdir() for line in each.read_text().splitlines()]
        return Counter(line for line in lines if line.startswith(session))

    def given_again(self) -> Counter[str]:
        """Return how many messages of each session were given to a handler again."""
        again: Counter[str] = Counter()
        for line, times in self.given().items():
            again[line.partition(" ")[0]] += times - 1
        return +again

    def check_log(self) -> None:
        """Fail if the log has anything that no test has caused."""
        log = self.server.log
        log[:] = [line for line in log if not any(text in line for text in _KILLED)]
        self.server.assert_clean()
        expected = (*_EXPECTED, *self.expected)
        unexpected = [line for line in log if _is_event(line) and not line.startswith(expected)]
        assert not unexpected, unexpected


def _lives(pid: int) -> bool:
    """Return whether a process runs; one that has died is there until its parent has seen it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@asynccontextmanager
async def crew(
    count: int, folder: Path, factor: float = 1.0, host: str = "uvicorn"
) -> AsyncIterator[Crew]:
    """Run workers, nginx and a Redis.

    The Redis has been there for long, as far as its data say: in the first seconds of a new one no
    process may claim a session, in case that its home still lives.

    Args:
        count: of the workers.
        folder: an empty folder.
        factor: of the times of the store, such as the length of a lease.
        host: the server.
    """
    for name in ("redis", "nginx", "records"):
        os.mkdir(folder / name)
    program, arguments = workers(host, count)
    server = Server(APP, tuple(arguments), host=program)
    async with running_redis(folder / "redis") as redis:
        await end_grace(redis)
        with environment(folder, redis, factor):
            await server.start()
        try:
            async with nginx(server.port, folder / "nginx") as proxy:
                one = Crew(server, proxy.url("plain"), redis, folder)
                yield one
                await server.stop()
        finally:
            await server.kill()
            print("\n".join(["-- the server's log", *server.log]))  # noqa: T201 - shown by pytest
        one.check_log()


@contextmanager
def environment(folder: Path, redis: RedisServer, factor: float) -> Iterator[None]:
    """Set the variables of the application while the block runs, in which its servers start.

    Args:
        folder: has the directory ``records`` of what the handlers are given, ``later`` if servers
            that start are those of a later release, and ``gate`` if handlers may part.
        redis: the Redis.
        factor: of the times of the store, such as the length of a lease.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REDIS_URL", redis.url)
        patch.setenv("RECORD_TO", str(folder / "records"))
        patch.setenv("GATE", str(folder / "gate"))
        patch.setenv("LATER", str(folder / "later"))
        patch.setenv("TIMES_FACTOR", str(factor))
        # Workers that are replaced are not compiled again, as in deployments.
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        patch.setenv("PYTHONPYCACHEPREFIX", str(folder / "compiled"))
        yield
