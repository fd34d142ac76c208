"""The uplink of the HTTP transports: POST ``send`` (PROTOCOL.md section 8)."""

from __future__ import annotations

from transport.server.adapters.exchange import Exchange
from transport.server.adapters.ports import Entrance


async def serve(exchange: Exchange, entrance: Entrance) -> None:
    """Take the frames of one POST, and answer with the marks."""
    body = await exchange.body(entrance.deadlines)
    work = entrance.send(body, exchange.scope)
    del body  # not kept while the handler works
    await exchange.answer_frames(await work)
