"""A scene with several processes has a server of its own, which starts when it is first visited."""

import os
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response

HOST = "127.0.0.1"
STARTS_WITHIN = 30.0
"""Seconds."""
STOPS_WITHIN = 10.0


class OwnServer:
    """Runs the server of a scene while the demo runs.

    Args:
        words: of the command, behind that of Python. It gets its port in the variable `PORT`, or
            in place of the word `<port>`.
        missing: returns what has to be installed first, in words; None if nothing has.
    """

    def __init__(self, *words: str, missing: Callable[[], str | None] = lambda: None) -> None:
        self._words = words
        self._missing = missing
        self._starting = anyio.Lock()
        self._process: Process | None = None
        self._port = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Stop the server at the end of the block, if it was started."""
        try:
            yield
        finally:
            if self._process is not None and self._process.returncode is None:
                self._process.terminate()
                with anyio.move_on_after(STOPS_WITHIN, shield=True):
                    await self._process.wait()

    async def redirect(self, request: Request) -> Response:
        """Send a page to the server, and start it before. An endpoint of Starlette."""
        if problem := self._missing():
            return PlainTextResponse(problem, 503)
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self._start()
        return RedirectResponse(f"http://{request.url.hostname}:{self._port}/")

    async def _start(self) -> None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self._port = probe.getsockname()[1]
        port = str(self._port)
        self._process = await anyio.open_process(
            [sys.executable, *(port if word == "<port>" else word for word in self._words)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PORT": port},
            stdin=None,
            stdout=None,
            stderr=None,
        )
        with anyio.fail_after(STARTS_WITHIN):
            while not await _accepts(self._port):  # noqa: ASYNC110 - another process
                await anyio.sleep(0.05)


async def _accepts(port: int) -> bool:
    try:
        stream = await anyio.connect_tcp(HOST, port)
    except OSError:
        return False
    await stream.aclose()
    return True
