"""Long polling: frames as the answers to polls (PROTOCOL.md section 10)."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from transport import codes
from transport.errors import ProtocolError
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import Open, Poll, TransportKind
from transport.protocol.server.opening import FinalAnswer
from transport.server.adapters.exchange import Exchange
from transport.server.adapters.ports import Entrance


async def serve(exchange: Exchange, entrance: Entrance, decoder: Decoder) -> None:
    """Answer one poll, or the ``open`` that begins a long poll's attach."""
    body = await exchange.body(entrance.deadlines)
    frames = decoder.decode_lines(body)
    match frames:
        case [Open() as frame]:
            await _open(exchange, entrance, frame)
        case [Poll() as frame]:
            await exchange.answer_frames(await entrance.poll(frame))
        case [ProtocolError() as error, *_]:
            raise error
        case _:
            raise ProtocolError(codes.BAD_FRAME, "the body must be one open or one poll frame")


async def _open(exchange: Exchange, entrance: Entrance, frame: Open) -> None:
    link = await entrance.open(frame, HTTPConnection(exchange.scope), TransportKind.LONGPOLL)
    if isinstance(link, FinalAnswer):
        await exchange.answer_frames([encode_control(one) for one in link.frames])
    else:
        await exchange.answer_frames(link.write_poll())
