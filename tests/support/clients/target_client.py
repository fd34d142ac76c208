"""The Python client, asking by ``target`` for a WebSocket application (PROTOCOL.md TGT-1)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from transport import connect
from transport.client import Channel
from transport.protocol.client.handshake import Handshake


class _Asking(Handshake):
    """A handshake that offers subprotocols."""

    __slots__ = ("_subprotocols",)

    def __init__(self, client: str, subprotocols: Sequence[str]) -> None:
        super().__init__(client)
        self._subprotocols = list(subprotocols)

    def open_frame(self, *args: Any, **options: Any) -> str:
        frame = json.loads(super().open_frame(*args, **options))
        return json.dumps({**frame, "target": {"subprotocols": self._subprotocols}})


@asynccontextmanager
async def open_target(
    url: str, subprotocols: Sequence[str], **options: Any
) -> AsyncIterator[tuple[Channel, Any]]:
    """Open a channel to a WebSocket application; yield it, and the answer: message 1."""
    opening = connect(url, **options)
    session = opening._driver.session
    session.handshake = _Asking(session.handshake.client, subprotocols)
    async with opening as channel:
        yield channel, await channel.receive()
