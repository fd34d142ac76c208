"""Attempts of a client that misbehaves, each on a separate connection."""

from __future__ import annotations

import json
from typing import Any

from tests.integration.bad_input.offender import Refusal
from tests.integration.bad_input.rows import SECRET
from tests.integration.bad_input.shared_server import SharedServer, check_clear
from tests.support.clients.frame_client import CLIENTS, encode
from tests.support.clients.tcp_client import (
    Closed,
    request_bytes,
    tcp_client,
    tcp_websocket,
)
from transport import codes
from transport.codes import Code

POSTS = ("/chat/sse", "/chat/poll", "/chat/send")


NOTHING_KNOWN = {"lost": None, "handled": None, "in_hand": None}


LINES: dict[str, tuple[bytes, Code]] = {
    "1,001 lines": (b'{"type":"pong"}\n' * 1001, codes.TOO_MANY),
    "100,000 empty lines": (b"\n" * 100_000, codes.TOO_MANY),
    "300,000 empty lines": (b"\n" * 300_000, codes.TOO_MANY),
    "empty lines": (b"\n\n\n", codes.BAD_JSON),
    "lines of transport return and line feed": (b'{"type":"ping"}\r\n', codes.BAD_JSON),
    "not UTF-8": (b'[2,0,"\xff"]', codes.BAD_JSON),
    "overlong UTF-8": (b'[2,0,"\xc0\xaf"]', codes.BAD_JSON),
    "a surrogate in UTF-8": (b'[2,0,"\xed\xa0\x80"]', codes.BAD_JSON),
    "half a character": (b'[2,0,"\xe2\x82', codes.BAD_JSON),
    "UTF-16": ('\ufeff{"type":"ping"}'.encode("utf-16-le"), codes.BAD_JSON),
    "UTF-32": ('\ufeff{"type":"ping"}'.encode("utf-32-le"), codes.BAD_JSON),
    "bytes of gzip": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", codes.BAD_JSON),
}


def check_refusal(refusal: Refusal, code: Code, given: bytes, *secrets: str) -> None:
    """Check that the ``error`` frame has the code, and that the status or close code matches."""
    check_clear(refusal.frame, code.name, given, SECRET.decode(), *secrets)
    if refusal.status is not None:
        assert refusal.status == code.status
    else:
        assert refusal.close == code.close_code


async def open_badly(
    server: SharedServer, transport: str, wire: bytes, mount: str = "/chat"
) -> Refusal:
    """Open with a bad first frame, and return the refusal. The connection has ended by then."""
    if transport == "websocket":
        async with tcp_websocket(server.port, f"{mount}/websocket") as socket:
            await socket.put(wire)
            frame = await socket.get()
            ended = await socket.get()
            assert isinstance(ended, Closed), ended
            return Refusal(frame, close=ended.code)
    async with tcp_client(server.port) as http:
        await http.write(request_bytes("POST", f"{mount}/{CLIENTS[transport].segment}", wire))
        answer = await http.answer()
        return Refusal(json.loads(answer.body), status=answer.status)


async def ask(server: SharedServer, target: str, *frames: object, **options: Any) -> Refusal:
    async with tcp_client(server.port) as http:
        body = encode(*frames).encode()
        await http.write(request_bytes("POST", target, body, **options))
        answer = await http.answer()
        return Refusal(answer.frames[0], status=answer.status)


async def open_anew(server: SharedServer, transport: str, wire: bytes, mount: str = "/chat") -> Any:
    """Return the first frame of the answer to an ``open`` that is accepted."""
    if transport == "websocket":
        async with tcp_websocket(server.port, f"{mount}/websocket") as socket:
            await socket.put(wire)
            return await socket.get()
    async with tcp_client(server.port) as http:
        await http.write(request_bytes("POST", f"{mount}/{CLIENTS[transport].segment}", wire))
        if transport == "longpoll":
            return (await http.answer()).frames[0]
        assert (await http.head()).status == 200
        return await anext(http.events())
