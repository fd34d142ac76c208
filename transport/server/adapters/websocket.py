"""Frames over a WebSocket (PROTOCOL.md section 7)."""

from __future__ import annotations

import asyncio
from itertools import count

from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import (
    EncodedFrame,
    Open,
    Ping,
    Pong,
    TransportKind,
    error_frame,
)
from transport.protocol.server.opening import FinalAnswer
from transport.server.adapters.abort import aborter
from transport.server.adapters.ports import Entrance, Link
from transport.telemetry.log import ERROR, log_event

MAX_PINGS_BEFORE_OPEN = 4
"""A probe needs one; a few more are tolerated (OPN-9)."""

GONE = (OSError, RuntimeError)
"""What ``send`` raises once the client has disconnected: OSError by ASGI 2.4; RuntimeError in older
servers, and in those that notice a message after the close."""


class Disconnected(Exception):
    """The client has disconnected."""


async def serve(
    scope: Scope,
    receive: Receive,
    send: Send,
    entrance: Entrance,
    limits: Limits,
    decoder: Decoder,
) -> None:
    """Serve one WebSocket until either side ends it."""
    await receive()  # websocket.connect
    try:
        await _send(send, {"type": "websocket.accept"})
        with entrance.deadlines.within(limits.opening):
            frame = await _open_frame(receive, send, decoder)
        # Outside of that timeout: the entrance decides how long the application may take.
        link = await _open(frame, scope, send, entrance) if frame is not None else None
        del frame  # not kept while the connection is open
    except TimeoutError:
        error = ProtocolError(
            codes.TIMEOUT, f"no open arrived within {limits.opening:g} s: send it first"
        )
        await _refuse(send, error)
        return
    except ProtocolError as error:
        await _refuse(send, error)
        return
    except Disconnected:
        return  # before it was answered
    if link is not None:
        await _attached(receive, send, link, limits.frames_per_turn)


async def _open_frame(receive: Receive, send: Send, decoder: Decoder) -> Open | None:
    """Wait for the ``open`` (OPN-9); return None if the client disconnected."""
    pings = 0
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return None
        frame = decoder.decode(_wire(message))
        if isinstance(frame, Open):
            return frame
        pings += 1
        if not isinstance(frame, Ping) or pings > MAX_PINGS_BEFORE_OPEN:
            raise ProtocolError(
                codes.BAD_FRAME, "the first frame must be open; only pings may come before it"
            )
        await _send(send, _message(encode_control(Pong(id=frame.id))))


async def _open(frame: Open, scope: Scope, send: Send, entrance: Entrance) -> Link | None:
    link = await entrance.open(frame, HTTPConnection(scope), TransportKind.WEBSOCKET)
    if isinstance(link, FinalAnswer):
        for one in link.frames:
            await _send(send, _message(encode_control(one)))
        await _send(send, _close(link.close_code))
        return None
    return link


async def _attached(receive: Receive, send: Send, link: Link, frames_per_turn: int) -> None:
    link.abort = aborter(receive)
    writer = asyncio.get_running_loop().create_task(_write(send, link))
    try:
        # Never stop receiving: with unread frames, servers stop answering pings.
        for number in count(1):
            message = await receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                link.receive(_wire(message))
                del message  # not kept while waiting for the next
            except ProtocolError as error:
                link.fail(error)
            if not number % frames_per_turn:
                await asyncio.sleep(0)  # `receive` does not wait while frames are there
    finally:
        link.lost()
        writer.cancel()


async def _write(send: Send, link: Link) -> None:
    """Write what is due until the connection ends; nothing else sends on it."""
    try:
        while True:
            # Read before `write`: the last frames may be queued while these are being written.
            ended = link.code is not None
            for encoded in link.write():
                key = "text" if type(encoded) is str else "bytes"
                try:  # as `_send`, which would cost a call for every frame
                    await send({"type": "websocket.send", key: encoded})
                except GONE:
                    raise Disconnected from None
                del encoded  # not kept while there is nothing to write
            if ended:
                await _send(send, _close(link.close_code))
                return
            if (due := link.due()) is not None:
                await due
    except Disconnected:
        return  # the reader notices, and the session keeps its frames
    except Exception:  # noqa: BLE001 - logged with its traceback
        log_event(
            ERROR,
            "write_failed",
            "this connection ends and its client resumes; fix the exception below",
            exc_info=True,
        )
        link.lost()
        await _end(send, link)


async def _end(send: Send, link: Link) -> None:
    """End a connection on which nothing can be written: it would be read for ever."""
    try:
        await send(_close(codes.INTERNAL.close_code))
    except Exception:  # noqa: BLE001 - what made the writer fail was logged
        if link.abort is not None:
            link.abort()


async def _send(send: Send, message: Message) -> None:
    """Send an ASGI message.

    Raises:
        Disconnected: the client is gone.
    """
    try:
        await send(message)
    except GONE:
        raise Disconnected from None


def _message(encoded: EncodedFrame) -> Message:
    return {"type": "websocket.send", "text" if type(encoded) is str else "bytes": encoded}


def _close(code: int) -> Message:
    return {"type": "websocket.close", "code": code, "reason": ""}


async def _refuse(send: Send, error: ProtocolError) -> None:
    try:
        await _send(send, _message(encode_control(error_frame(error))))
        await _send(send, _close(error.code.close_code))
    except Disconnected:
        return  # before it was told


def _wire(message: Message) -> EncodedFrame:
    """Return the frame of an ASGI message; some servers set both keys, one of them to None."""
    text = message.get("text")
    if text is not None:
        return str(text) if type(text) is not str else text
    return bytes(message.get("bytes") or b"")
