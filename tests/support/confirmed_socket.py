"""A WebSocket in process with a confirmed attachment, for tests that read every frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp

from transport.testing import Socket, opening, socket


@asynccontextmanager
async def confirmed_socket(
    app: ASGIApp, path: str = "/websocket", **fields: Any
) -> AsyncIterator[Socket]:
    """Open and confirm a session; ``fields`` are further fields of its ``open``."""
    async with socket(app, path) as ws:
        ws.send(opening(**fields))
        await ws.frame()
        ws.send({"type": "ack", "ack": 0})
        yield ws


async def next_frame(ws: Socket) -> Any:
    """Return the next frame that does not ask for an ack (MRK-8)."""
    while isinstance(frame := await ws.frame(), dict) and frame.get("prompt"):
        pass
    return frame
