"""Functions that drive a client's core step by step, for its unit tests."""

from __future__ import annotations

import json
from typing import Any

from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    Event,
    FrameReceived,
    LinkDropped,
    Output,
    Request,
)
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import encode_message
from transport.protocol.frames import TransportKind

CLIENT = "client-0123456789"
NONCE = "nonce-1-0123456789abcdef"
WS, SSE, POLL = TransportKind.WEBSOCKET, TransportKind.SSE, TransportKind.LONGPOLL


def session(**limits: Any) -> ClientSession:
    return ClientSession(CLIENT, Terms.of(Limits(**limits)))


def opened(link: Link, **fields: Any) -> str:
    frame: dict[str, Any] = {
        "type": "opened",
        "version": 1,
        "id": "a7",
        "attach": link.attach,
        "client": CLIENT,
        "verdict": "resumed" if link.resuming else "new",
        **dict.fromkeys(("received", "handled", "sent"), 0),
        "epoch": "e1",
        "limits": {},
        "timings": {},
        **({} if link.resuming else {"session": "token-1"}),
    }
    return json.dumps({**frame, **fields})


def receive(one: ClientSession, link: Link, frame: Any, now: float = 0) -> list[Event]:
    wire = frame if isinstance(frame, (str, bytes)) else json.dumps(frame)
    return one.handle_input(link, FrameReceived(wire), now)


def begin(one: ClientSession, transport: TransportKind) -> Link:
    link = one.attach(transport, NONCE)
    assert one.transmit(link, 0) == [Output(Request.OPEN, [link.opening])]
    assert one.transmit(link, 0) == []  # it waits for `opened`
    return link


def open_on(
    one: ClientSession, transport: TransportKind, **fields: Any
) -> tuple[Link, list[Output]]:
    link = begin(one, transport)
    frame = opened(link, **fields)
    if transport is POLL:
        one.handle_input(link, Answer(Request.OPEN, 200, frame), 0)
    else:
        receive(one, link, frame)
    return link, one.transmit(link, 0)


def send(one: ClientSession, message: Any) -> int:
    return one.send(encode_message(message, one.terms))


def answered(**fields: Any) -> Answer:
    marks = {"type": "ack", "ack": 0, "received": 0, "sent": 0, "attached": True, **fields}
    return Answer(Request.POST, 200, json.dumps(marks))


def names(events: list[Event]) -> list[str]:
    return [one.reason if isinstance(one, LinkDropped) else type(one).__name__ for one in events]


def written(one: ClientSession, link: Link, now: float = 0) -> list[Any]:
    return [str(wire) for out in one.transmit(link, now) for wire in out.frames]
