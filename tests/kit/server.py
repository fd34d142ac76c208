"""A real uvicorn in a process of its own, on a free port of loopback.

async with serving("tests.kit.apps:echo") as server:
    ...  # talk to server.url
"""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

_ROOT = Path(__file__).parents[2]
_STARTS_WITHIN = 15.0
_STOPS_WITHIN = 10.0
_BAD = ("Traceback", "ERROR", "CRITICAL", "Warning:", "was never awaited", "never retrieved")
"""What no line of a healthy server's log holds."""


def free_port() -> int:
    """A port of loopback where nothing listens.

    It is below those that the system gives to outgoing connections, so that it is still free when
    a server comes back to it.
    """
    for _ in range(100):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port was found")


class Server:
    """A uvicorn that serves ``app`` ("module:attribute") with further ``arguments``.

    Attributes:
        port: stays the same over `restart`.
        log: what it has written, line by line, over all its lives.
    """

    def __init__(self, app: str, arguments: tuple[str, ...] = (), port: int | None = None) -> None:
        self.app = app
        self.arguments = arguments
        self.port = free_port() if port is None else port
        self.log: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._listens = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, and return once it listens.

        Raises:
            RuntimeError: it ended, or did not listen in time; with its log.
        """
        assert not self.running
        self._listens = False
        self._ready = asyncio.Event()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "uvicorn", self.app),
            *("--host", "127.0.0.1", "--port", str(self.port)),
            *self.arguments,
            cwd=_ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        with anyio.move_on_after(_STARTS_WITHIN):
            await self._ready.wait()
        if not self._listens:
            await self.kill()
            raise RuntimeError("uvicorn did not start:\n" + "\n".join(self.log))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self.log.append(text)
            if "Uvicorn running on" in text:
                self._listens = True
                self._ready.set()
        self._ready.set()  # it has ended: `start` need not wait longer

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Send a signal, and wait for the end.

        Returns:
            Seconds that it took.

        Raises:
            RuntimeError: it took longer than the deadline and was killed; with its log.
        """
        process = self._process
        if process is None or process.returncode is not None:
            return 0.0
        started = time.monotonic()
        process.send_signal(number)
        with anyio.move_on_after(_STOPS_WITHIN) as scope:
            await process.wait()
        seconds = time.monotonic() - started
        if scope.cancelled_caught:
            await self.kill()
            raise RuntimeError("uvicorn did not stop:\n" + "\n".join(self.log))
        await self._finish()
        return seconds

    async def kill(self) -> None:
        """End it without a word, as the loss of a machine does."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            process.kill()
        with anyio.CancelScope(shield=True), anyio.fail_after(_STOPS_WITHIN):
            await process.wait()
            await self._finish()

    async def _finish(self) -> None:
        if self._reader is not None:
            await self._reader

    async def restart(self) -> None:
        """Kill it and start it anew on the same port."""
        await self.kill()
        await self.start()

    @property
    def complaints(self) -> list[str]:
        """The lines of the log that no healthy server writes."""
        return [line for line in self.log if any(word in line for word in _BAD)]

    def assert_clean(self) -> None:
        """Fail, with the whole log, where it holds an error, a warning or a traceback."""
        assert not self.complaints, "\n".join(self.log)


@asynccontextmanager
async def serving(
    app: str, *arguments: str, port: int | None = None, clean: bool = True
) -> AsyncIterator[Server]:
    """Serve ``app`` while the block runs; stopped by SIGTERM, killed where that does not do.

    Args:
        app: "module:attribute".
        arguments: of uvicorn.
        port: a free one where not said.
        clean: whether to assert, where the block raised nothing, that its log is clean.
    """
    server = Server(app, arguments, port)
    await server.start()
    try:
        yield server
    except BaseException:
        await server.kill()
        print("\n".join(["-- the server's log", *server.log]))  # noqa: T201 - shown by pytest
        raise
    await server.stop()
    if clean:
        server.assert_clean()
