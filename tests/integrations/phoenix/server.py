"""A small server of the Phoenix Channels protocol, version 2.

It answers each push with its payload, then broadcasts it to the topic. A payload may be binary.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from starlette.routing import Router, WebSocketRoute
from starlette.websockets import WebSocket

from tests.integrations.site import site

_REPLY, _BROADCAST = 1, 2
"""Kinds of binary messages."""
_ONLY_ANSWERED = ("phx_join", "phx_leave", "heartbeat")


@dataclass(frozen=True, slots=True)
class _Push:
    """A message of the page. `payload` is an object, or bytes."""

    join_ref: str
    ref: str
    topic: str
    event: str
    payload: Any


def _decode(frame: str | bytes) -> _Push:
    if isinstance(frame, str):
        return _Push(*json.loads(frame))
    texts, at = [], 5
    for length in frame[1:5]:  # the first byte is the kind
        texts.append(frame[at : at + length].decode())
        at += length
    join_ref, ref, topic, event = texts
    return _Push(join_ref, ref, topic, event, frame[at:])


def _encode(kind: int, *texts: str, payload: bytes) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join([bytes([kind, *map(len, encoded)]), *encoded, payload])


def _reply(push: _Push) -> str | bytes:
    if isinstance(push.payload, bytes):
        texts = (push.join_ref, push.ref, push.topic, "ok")
        return _encode(_REPLY, *texts, payload=push.payload)
    answer = {"status": "ok", "response": push.payload}
    return json.dumps([push.join_ref, push.ref, push.topic, "phx_reply", answer])


def _broadcast(push: _Push) -> str | bytes:
    if isinstance(push.payload, bytes):
        return _encode(_BROADCAST, push.topic, push.event, payload=push.payload)
    return json.dumps([None, None, push.topic, push.event, push.payload])


async def _socket(websocket: WebSocket) -> None:
    await websocket.accept()
    while (received := await websocket.receive())["type"] == "websocket.receive":
        push = _decode(received.get("text") or received["bytes"])
        frames = [_reply(push)]
        if push.event not in _ONLY_ANSWERED:
            frames.append(_broadcast(push))
        for frame in frames:
            if isinstance(frame, bytes):
                await websocket.send_bytes(frame)
            else:
                await websocket.send_text(frame)


app = site(Router([WebSocketRoute("/socket/websocket", _socket)]))
