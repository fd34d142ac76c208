"""A real Redis on a port of loopback, which can be paused, killed and restarted.

async with running_redis(folder) as server:
    client = redis.asyncio.Redis.from_url(server.url)
    ...
    await server.kill()
    await server.restart(keep=False)  # without its data

By default it stores nothing on disk. `save` writes its data there at any time, and a restart that
keeps the data begins with them: that is a store that went back.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import redis.asyncio
from redis.exceptions import BusyLoadingError

from tests.support.servers.certificates import Authority
from tests.support.servers.process import STARTS_WITHIN, Process
from tests.support.servers.uvicorn import free_port

EXECUTABLE = "redis-server"

_CONFIGURATION = "redis.conf"

_ANSWERS_WITHIN = 60.0
"""Seconds that a test waits for an answer, also while it has paused the server."""

APPEND_ONLY = {"appendonly": "yes", "appendfsync": "always"}
"""Settings with which a restart loses nothing."""


class RedisServer:
    """A Redis server. Its files are in its folder.

    Args:
        folder: an empty folder.
        settings: configuration beside or instead of the usual one: names and values as in
            ``redis.conf``. ``requirepass`` is the password of the user ``default``, and
            ``{"user": "ann on >password ~oc1:* &oc1:* +@all"}`` adds a user.
        authority: encrypts all connections with its server's certificate.

    Attributes:
        port: on 127.0.0.1.
        url: for clients, as the user ``default``.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str] | None = None,
        authority: Authority | None = None,
    ) -> None:
        self.port = free_port()
        settings = settings or {}
        password = settings.get("requirepass")
        address = f"{f':{password}@' if password else ''}127.0.0.1:{self.port}/0"
        self.url = f"redis://{address}"
        usual = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(folder),
            "save": '""',
            "appendonly": "no",
            "enable-debug-command": "local",
        }
        if authority is not None:
            usual |= {
                "port": "0",
                "tls-port": str(self.port),
                "tls-cert-file": str(authority.server),
                "tls-key-file": str(authority.server),
                "tls-ca-cert-file": str(authority.ca),
                "tls-auth-clients": "no",
            }
            self.url = f"rediss://{address}?ssl_ca_certs={authority.ca}"
        self._configuration = {**usual, **settings}
        self._folder = folder
        self._process = Process("redis", [EXECUTABLE, _CONFIGURATION], folder)

    async def start(self) -> None:
        """Start it, and return once it has loaded its data and answers."""
        lines = [f"{name} {value}\n" for name, value in self._configuration.items()]
        (self._folder / _CONFIGURATION).write_text("".join(lines), "utf-8")
        await self._process.start([self.port])
        async with self.client() as client:
            with anyio.fail_after(STARTS_WITHIN):
                while not await _has_loaded(client):  # noqa: ASYNC110 - no event announces it
                    await anyio.sleep(0.01)

    def client(self) -> redis.asyncio.Redis:
        """Return a client of its own for the test; close it, or use it in ``async with``."""
        return redis.asyncio.Redis.from_url(self.url, socket_timeout=_ANSWERS_WITHIN)

    async def pause(self, seconds: float) -> None:
        """Make it answer nothing for a time, with its connections open (CLIENT PAUSE)."""
        async with self.client() as client:
            await client.client_pause(round(seconds * 1000))

    async def save(self) -> None:
        """Write its data to disk, for the next restart."""
        async with self.client() as client:
            await client.save()

    def suspend(self) -> None:
        """Stop the process (SIGSTOP): the system still accepts connections and data for it."""
        self._process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Continue its process (SIGCONT)."""
        self._process.signal(signal.SIGCONT)

    async def kill(self) -> None:
        """Kill it, and return once it has ended. Its data are as they were on disk."""
        await self._process.kill()

    async def restart(self, *, keep: bool) -> None:
        """Start it again after `kill`, with the data that are on disk or without any."""
        await self.kill()
        if not keep:
            (self._folder / "dump.rdb").unlink(missing_ok=True)
            shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)
        await self.start()


async def _has_loaded(client: redis.asyncio.Redis) -> bool:
    try:
        await client.info("server")
    except BusyLoadingError:
        return False
    return True


@asynccontextmanager
async def running_redis(
    folder: Path,
    settings: Mapping[str, str] | None = None,
    authority: Authority | None = None,
) -> AsyncIterator[RedisServer]:
    """Run a Redis while the block runs; see `RedisServer` for the arguments."""
    server = RedisServer(folder, settings, authority)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
