"""A Redis of its own for the servers of one peer, without data on disk."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from benchmarks.generator import HOST, WAIT_TIMEOUT

EXECUTABLE = "redis-server"


def is_installed() -> bool:
    """Return whether the server is installed."""
    return shutil.which(EXECUTABLE) is not None


class Redis:
    """A Redis server, which listens on a port of loopback.

    Args:
        port: a free port.
        folder: a folder for its files.
    """

    def __init__(self, port: int, folder: Path) -> None:
        self._port = port
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"redis://{HOST}:{self._port}/0"

    @property
    def pids(self) -> list[int]:
        """The process ids."""
        return [self._process.pid] if self._process is not None else []

    async def start(self) -> None:
        """Start it, and return once it accepts connections.

        Raises:
            TimeoutError: it does not.
        """
        options = {"bind": HOST, "port": self._port, "save": "", "dir": self._folder}
        self._process = await asyncio.create_subprocess_exec(
            EXECUTABLE,
            *[word for name, value in options.items() for word in (f"--{name}", str(value))],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
        )
        async with asyncio.timeout(WAIT_TIMEOUT):
            while not await listens(self._port):  # noqa: ASYNC110 - no event announces it
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Kill it."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def listens(port: int) -> bool:
    """Return whether something accepts connections on a port."""
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
