"""Server-Sent Events: frames as events (PROTOCOL.md section 9), through sse-starlette.

Importing sse-starlette imports uvicorn and hooks its exit. So it is imported when the first stream
is opened, not when this package is imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import cache
from typing import TYPE_CHECKING

from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from transport import codes
from transport.errors import ProtocolError
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.event_stream import encode_event
from transport.protocol.frames import Open, TransportKind
from transport.protocol.server.opening import FinalAnswer
from transport.server.adapters.abort import aborter
from transport.server.adapters.exchange import Exchange
from transport.server.adapters.ports import Entrance, Link
from transport.server.deadlines import Deadlines

if TYPE_CHECKING:
    from sse_starlette.sse import EventSourceResponse


async def serve(
    exchange: Exchange, receive: Receive, send: Send, entrance: Entrance, decoder: Decoder
) -> None:
    """Serve one stream until either side ends it."""
    frame = await open_frame(exchange, entrance.deadlines, decoder)
    stream = _stream_class()
    link = await entrance.open(frame, HTTPConnection(exchange.scope), TransportKind.SSE)
    del frame  # not kept while the stream is open
    headers = {key.decode(): value.decode("latin-1") for key, value in exchange.extra_headers}
    headers["content-encoding"] = "identity"
    if isinstance(link, FinalAnswer):
        await stream(_once(link), headers=headers, ping=0)(exchange.scope, receive, send)
        return

    async def left(_: Message) -> None:
        link.lost()

    response = stream(_events(link), headers=headers, ping=0, client_close_handler_callable=left)
    link.abort = aborter(receive)
    try:
        await response(exchange.scope, receive, send)
    finally:
        # Not in the generator: one that was never started does not run its own finally.
        link.lost()


async def open_frame(exchange: Exchange, deadlines: Deadlines, decoder: Decoder) -> Open:
    """Read the ``open`` of a POST."""
    body = await exchange.body(deadlines)
    frame = decoder.decode(_one_line(body))
    if not isinstance(frame, Open):
        raise ProtocolError(codes.BAD_FRAME, "the body must be one open frame")
    return frame


def _one_line(body: bytes) -> str:
    try:
        return body.decode("utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise ProtocolError(codes.BAD_JSON, "the body is not UTF-8") from None


async def _events(link: Link) -> AsyncIterator[bytes]:
    while True:
        # Read before `write`: the last frames may be queued while these are being written.
        ended = link.code is not None
        frames = link.write()
        if frames:
            # One write for all events is cheaper.
            yield b"".join([encode_event(encoded) for encoded in frames])
            del frames  # not kept while there is nothing to write
        if ended:
            return
        if (due := link.due()) is not None:
            await due


async def _once(answer: FinalAnswer) -> AsyncIterator[bytes]:
    yield b"".join([encode_event(encode_control(one)) for one in answer.frames])


@cache
def _stream_class() -> type[EventSourceResponse]:
    from sse_starlette.sse import EventSourceResponse

    class EventStream(EventSourceResponse):
        """`EventSourceResponse` without the parts that this package does itself.

        Its headers and its format are kept. Left out are its ping, its watch for uvicorn's exit
        (see `transport.server.shutdown`, which serves every transport and leaves no flag behind
        that would end the streams of a later server), and its cancel scope for every event: two
        tasks per stream instead of four.
        """

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            watching = asyncio.get_running_loop().create_task(self._listen_for_disconnect(receive))
            try:
                await self._stream_response(send)
            finally:
                watching.cancel()

        async def _stream_response(self, send: Send) -> None:
            start = {"status": self.status_code, "headers": list(self.raw_headers)}
            try:
                await send({"type": "http.response.start", **start})
                async for chunk in self.body_iterator:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    del chunk
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            except OSError:
                return  # the client has disconnected; the session keeps its frames

    return EventStream
