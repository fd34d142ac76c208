"""A real server in a process of its own, on a free port of loopback.

async with serving("tests.support.apps:echo") as server:
    ...  # talk to server.url

It is uvicorn, unless another `Host` is given.
"""

from __future__ import annotations

import asyncio
import fcntl
import itertools
import os
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import anyio

_ROOT = Path(__file__).parents[3]
_STARTS_WITHIN = 60.0
_STOPS_WITHIN = 30.0
"""Seconds in which a server must start or stop. Generous, because machines are loaded."""
_BAD = ("Traceback", "ERROR", "CRITICAL", "Warning:", "was never awaited", "never retrieved")
"""Patterns that no line of a healthy server's log contains."""
_RANGE = 250
"""Ports that a process of tests has for itself."""


def free_port() -> int:
    """Return a port of loopback on which no process listens.

    It is below the range that the system uses for outgoing connections, so that it is still free
    when a server is restarted on it.
    """
    ports = _ports()
    for _ in range(_RANGE):
        if _is_free(port := next(ports)):
            return port
    raise RuntimeError("no free port was found")


@cache
def _ports() -> Iterator[int]:
    """Return the ports of a range that is this process's own, as long as it lives.

    Nobody may be given a port between its choice and the start of its server, so the processes that
    run tests, also those of another run, use separate ranges.
    """
    for first in range(20_000, 32_000, _RANGE):
        path = f"{tempfile.gettempdir()}/onechannel-ports-{first}"
        with suppress(OSError):
            # Never closed: the lock lives as long as the process.
            lock = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return itertools.cycle(range(first, first + _RANGE))
    raise RuntimeError("other processes have taken all ranges of ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Host:
    """A program that serves an ASGI application.

    Attributes:
        module: the module that ``python -m`` runs.
        bind: the arguments for a port.
        listens: a text in the log line that says that it listens.
        ready: a text in the log line that says that a process is ready to serve.
        processes: the number of those ``ready`` lines.
        python: the command that runs Python.
    """

    module: str
    bind: str
    listens: str
    ready: str
    processes: int = 1
    python: tuple[str, ...] = (sys.executable,)

    def command(self, app: str, port: int) -> list[str]:
        """Return the command, without further arguments."""
        bind = self.bind.format(port=port).split()
        return [*self.python, "-m", self.module, app, *bind]


UVICORN = Host(
    "uvicorn", "--host 127.0.0.1 --port {port}", "Uvicorn running on", "Uvicorn running on"
)
GUNICORN = Host(
    "gunicorn",
    "--worker-class uvicorn_worker.UvicornWorker --bind 127.0.0.1:{port}",
    "Listening at",
    "Listening at",
)
HYPERCORN = Host("hypercorn", "--bind 127.0.0.1:{port}", "Running on", "Running on")
GRANIAN = Host(
    "granian",
    "--interface asgi --host 127.0.0.1 --port {port}",
    "Listening at",
    "Started worker",
)


class Server:
    """A host that serves ``app`` ("module:attribute") with further ``arguments``.

    Attributes:
        port: the port, which stays the same over `restart`.
        log: the lines that it has written, over all its runs.
    """

    def __init__(
        self,
        app: str,
        arguments: tuple[str, ...] = (),
        port: int | None = None,
        host: Host = UVICORN,
    ) -> None:
        self.app = app
        self.host = host
        self.arguments = arguments
        self.port = free_port() if port is None else port
        self.log: list[str] = []
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._wrote = asyncio.Event()
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
        """Start the server, and return once it listens.

        Raises:
            RuntimeError: it ended, or did not listen in time. The message has its log.
        """
        assert not self.running
        self._listens = False
        self._ready = asyncio.Event()
        self._process = await asyncio.create_subprocess_exec(
            *self.host.command(self.app, self.port),
            *self.arguments,
            cwd=_ROOT,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            # Its own process group, so that its child processes end with it in any case.
            process_group=0,
        )
        self._reader = asyncio.create_task(self._read(self._process))
        with anyio.move_on_after(_STARTS_WITHIN):
            await self._ready.wait()
            await self._accepts()
        if not self._listens:
            await self.kill()
            raise RuntimeError(f"{self.host.module} did not start:\n" + "\n".join(self.log))

    async def _accepts(self) -> None:
        """Wait for the first connection, because granian reports too early that it listens."""
        while self._listens:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await anyio.sleep(0.01)
            else:
                writer.close()
                return

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        listens, missing = False, self.host.processes
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            self.log.append(text)
            self._wrote.set()
            listens = listens or self.host.listens in text
            missing -= self.host.ready in text
            if listens and missing <= 0:
                self._listens = True
                self._ready.set()
        self._ready.set()  # it has ended: do not keep `start` waiting

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal, and wait for the server to end.

        Raises:
            RuntimeError: it missed the deadline and was killed. The message has its log.
        """
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        with anyio.move_on_after(_STOPS_WITHIN) as scope:
            await process.wait()
        if scope.cancelled_caught:
            await self.kill()
            raise RuntimeError(f"{self.host.module} did not stop:\n" + "\n".join(self.log))
        await self._finish()

    async def kill(self) -> None:
        """Kill the server abruptly, like the loss of a machine."""
        process = self._process
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        with anyio.CancelScope(shield=True), anyio.fail_after(_STOPS_WITHIN):
            await process.wait()
            await self._finish()
            # A worker's pipe closes, and is read to its end, a moment before its socket closes.
            while not _is_free(self.port):  # noqa: ASYNC110 - no event announces it
                await anyio.sleep(0.005)

    async def _finish(self) -> None:
        if self._reader is not None:
            await self._reader

    async def until(self, condition: Callable[[], bool], within: float = 30) -> None:
        """Wait until ``condition`` holds. It is evaluated whenever a line is logged."""
        with anyio.fail_after(within):
            while not condition():
                self._wrote.clear()
                await self._wrote.wait()

    async def until_log(self, text: str, count: int = 1, within: float = 30) -> None:
        """Wait until ``count`` lines of the log contain ``text``."""
        await self.until(lambda: sum(text in line for line in self.log) >= count, within)

    async def restart(self) -> None:
        """Kill the server and start it again on the same port."""
        await self.kill()
        await self.start()

    @property
    def complaints(self) -> list[str]:
        """The lines of the log that no healthy server writes."""
        return [line for line in self.log if any(word in line for word in _BAD)]

    def assert_clean(self) -> None:
        """Fail, with the whole log, if the log has an error, a warning or a traceback."""
        assert not self.complaints, "\n".join(self.log)


@asynccontextmanager
async def serving(
    app: str,
    *arguments: str,
    port: int | None = None,
    clean: bool = True,
    host: Host = UVICORN,
) -> AsyncIterator[Server]:
    """Serve ``app`` while the block runs. Stop it with SIGTERM, or kill it after a deadline.

    Args:
        app: the application, as "module:attribute".
        arguments: arguments of the host.
        port: the port; a free one by default.
        clean: whether its log must be clean when the block ends without an exception.
        host: the program that serves it.
    """
    server = Server(app, arguments, port, host)
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
