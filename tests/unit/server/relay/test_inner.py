"""A WebSocket application answers a client of an edge as it answers one of its own (TGT-1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.clients.frame_client import TRANSPORTS, Ended, frame_client
from tests.unit.server.relay.conftest import DEADLINE
from tests.unit.server.relay.test_edges import resuming
from transport import as_websocket
from transport.testing import opening

MakeCluster = Callable[..., Any]

DENIAL: list[Message] = [
    {"type": "websocket.http.response.start", "status": 429, "headers": []},
    {"type": "websocket.http.response.body", "body": b"no"},
]
ANSWERS: dict[str, list[Message]] = {
    "accept": [
        {"type": "websocket.accept"},
        {"type": "websocket.send", "text": "x"},
        {"type": "websocket.close", "code": 4000, "reason": "over"},
    ],
    "close": [{"type": "websocket.close", "code": 4001}],
    "denial": DENIAL,
}

TOLD: dict[str, list[Any]] = {
    "accept": [{"accept": None}, "x"],
    "close": [{"deny": 403}],
    "denial": [{"deny": 429}],
}
"""The messages of the client; a close without an accept is a denial."""


async def answer(cluster: Any, hub: Any, transport: str, number: int, go_on: asyncio.Event) -> Any:
    """Open at the first process, resume at this one, and return what the application answers."""
    home, _ = cluster.hubs
    go_on.clear()
    target = {"path": "/x", "subprotocols": []}
    frame = opening(1, nonce=f"nonce-{number}-0123456789abcdef", target=target)
    async with frame_client(home, "websocket", frame) as first:
        await first.confirm()
    again = resuming(first, 2, target=target)
    messages: list[Any] = []
    async with frame_client(hub, transport, again) as second:
        await second.confirm()
        go_on.set()
        try:
            while True:
                frame = await second.frame()
                if isinstance(frame, list):
                    messages += frame[2:]
                elif frame["type"] == "close":
                    return messages, frame["code"], frame["reason"]
        except Ended as ended:
            return messages, ended.code, ended.frames


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("kind", ANSWERS)
async def test_application_answers_through_an_edge(
    make_cluster: MakeCluster, kind: str, transport: str
) -> None:
    go_on = asyncio.Event()

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await go_on.wait()
        for event in ANSWERS[kind]:
            await send(event)

    async with asyncio.timeout(DEADLINE), make_cluster(as_websocket(application)) as cluster:
        home, edge = cluster.hubs
        expected = await answer(cluster, home, transport, 1, go_on)
        assert await answer(cluster, edge, transport, 2, go_on) == expected
        messages, code, _ = expected
        assert (messages, code) == (TOLD[kind], 4000 if kind == "accept" else 1008)
