"""Strawberry and Ariadne: graphql-transport-ws subscriptions, with cuts and other transports."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from websockets.exceptions import ConnectionClosedError

from tests.integration.client.kit import until_report
from tests.integrations.frameworks.faults import (
    DEADLINE,
    MESSAGES,
    converse,
    each_transport,
    websocket_options,
)
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving
from transport.client.websocket import ClientConnection, connect

PROTOCOL = "graphql-transport-ws"
each_framework = pytest.mark.parametrize("framework", ["strawberry", "ariadne"])


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.integrations.frameworks.graphql_apps:app") as server:
        yield server


class Operations:
    """A client of graphql-transport-ws: its operations, and what they were answered."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.results: dict[str, list[Any]] = {}

    async def send(self, kind: str, **fields: object) -> None:
        await self.websocket.send(json.dumps({"type": kind, **fields}))

    async def start(self, name: str, query: str) -> None:
        self.results[name] = []
        await self.send("subscribe", id=name, payload={"query": query})

    async def receive(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(await self.websocket.recv())
        if message["type"] == "next":
            assert "errors" not in message["payload"], message
            self.results[message["id"]].append(message["payload"]["data"])
        return message

    async def until(self, name: str, count: int) -> None:
        """Wait until an operation has that many results."""
        while len(self.results[name]) < count:
            await self.receive()


def open_to(port: int, framework: str, transport: str) -> connect:
    uri = f"ws://127.0.0.1:{port}/{framework}"
    return connect(uri, subprotocols=[PROTOCOL], **websocket_options(transport))


@each_framework
@each_transport
async def test_subscription_outlives_faults(server: Server, transport: str, framework: str) -> None:
    """One subscription hears of thirty mutations, over two cuts and two transports."""
    room = f"{framework}-{transport}"
    before = (await until_report(server, bool))[framework]
    async with (
        FaultProxy(server.port) as proxy,
        open_to(proxy.port, framework, transport) as websocket,
    ):
        assert websocket.subprotocol == PROTOCOL
        client = Operations(websocket)
        with anyio.fail_after(DEADLINE):
            await client.send("connection_init")
            assert (await client.receive())["type"] == "connection_ack"
            await client.start("notes", f'subscription {{ notes(room: "{room}") }}')
            await until_report(server, lambda found: found[framework][0] == before[0] + 1)

        async def write(index: int) -> None:
            query = f'mutation {{ write(room: "{room}", text: "{index}") }}'
            await client.start(f"write-{index}", query)

        async def until_noted(count: int) -> None:
            await client.until("notes", count)

        await converse(websocket.channel, proxy, transport, write, until_noted)
        with anyio.fail_after(DEADLINE):
            for index in range(MESSAGES):
                await client.until(f"write-{index}", 1)
            await client.send("complete", id="notes")
            await until_report(server, lambda found: found[framework][1] == before[1] + 1)
    assert client.results.pop("notes") == [{"notes": str(index)} for index in range(MESSAGES)]
    expected = {f"write-{index}": [{"write": str(index)}] for index in range(MESSAGES)}
    assert client.results == expected


@each_framework
async def test_closed_page_ends_its_subscription(server: Server, framework: str) -> None:
    before = (await until_report(server, bool))[framework]
    async with open_to(server.port, framework, "sse") as websocket:
        client = Operations(websocket)
        with anyio.fail_after(DEADLINE):
            await client.send("connection_init")
            await client.start("notes", 'subscription { notes(room: "left") }')
            await until_report(server, lambda found: found[framework][0] == before[0] + 1)
            await websocket.close(1001, "gone")
            await until_report(server, lambda found: found[framework][1] == before[1] + 1)


@each_framework
@each_transport
async def test_violation_closes_with_code_of_library(
    server: Server, transport: str, framework: str
) -> None:
    """A subscribe before connection_init: 4401, which clients of the protocol take for final."""
    async with open_to(server.port, framework, transport) as websocket:
        client = Operations(websocket)
        with anyio.fail_after(DEADLINE):
            await client.start("notes", 'subscription { notes(room: "early") }')
            with pytest.raises(ConnectionClosedError):
                await websocket.recv()
    assert websocket.close_code == 4401
