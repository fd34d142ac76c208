"""A terminal: each connection runs a shell on a pseudoterminal of its own."""

from __future__ import annotations

import asyncio
import os
import pty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import anyio
from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.site import site


@asynccontextmanager
async def _shell() -> AsyncIterator[int]:
    """Run a shell. Yield the file descriptor of its terminal."""
    ours, theirs = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *("setsid", "--ctty", "sh"),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "PS1": "$ ", "TERM": "xterm"},
        )
    finally:
        os.close(theirs)
    try:
        yield ours
    finally:
        os.close(ours)  # the shell gets SIGHUP
        with anyio.CancelScope(shield=True):
            await process.wait()


async def _show(terminal: int, websocket: WebSocket) -> None:
    """Send what the shell writes, until it ends."""
    with suppress(OSError):  # no process has the terminal open
        while True:
            await anyio.wait_readable(terminal)
            await websocket.send_bytes(os.read(terminal, 4096))


async def _terminal(websocket: WebSocket) -> None:
    await websocket.accept()
    async with _shell() as terminal, anyio.create_task_group() as tasks:
        tasks.start_soon(_show, terminal, websocket)
        async for keys in websocket.iter_text():
            await anyio.wait_writable(terminal)
            os.write(terminal, keys.encode())
        tasks.cancel_scope.cancel()


app = site(Router([WebSocketRoute("/terminal", _terminal)]))
