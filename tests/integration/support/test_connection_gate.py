"""The gate records which client connected, how often, and what it requested."""

from __future__ import annotations

import socket
import time

import anyio
import httpx
import pytest

from tests.support.faults.connection_gate import ConnectionGate
from tests.support.servers.uvicorn import serving


async def test_gate_tells_clients_apart() -> None:
    async with (
        serving("tests.support.plain_asgi_app:app") as server,
        ConnectionGate(server.port, 201) as gate,
    ):
        for client, times in ((0, 1), (1, 3), (200, 2)):
            for _ in range(times):
                async with httpx.AsyncClient(trust_env=False) as http:
                    assert (await http.get(f"{gate.url(client)}/some/where?x=/y")).text == "here"
        made = {
            client: connections for client, connections in gate.connections.items() if connections
        }
        assert {client: len(connections) for client, connections in made.items()} == {
            0: 1,
            1: 3,
            200: 2,
        }
        assert {
            connection.segment for connections in made.values() for connection in connections
        } == {"where"}
        # The server sees each connection come from the client's own address.
        assert any("127.9.0.1:" in line for line in server.log)
        assert any("127.9.1.1:" in line for line in server.log)


async def test_shut_gate_resets_old_and_new_connections() -> None:

    async def get(http: httpx.AsyncClient) -> str:
        return (await http.get(f"{gate.url(0)}/")).text

    async with (
        serving("tests.support.plain_asgi_app:app") as server,
        ConnectionGate(server.port, 1) as gate,
        httpx.AsyncClient(trust_env=False) as http,
    ):
        assert await get(http) == "here"
        started = time.monotonic()
        gate.shut()
        for _ in range(3):
            async with httpx.AsyncClient(trust_env=False) as another:
                with pytest.raises(httpx.TransportError):
                    await get(another)
        assert [connection.at >= started for connection in gate.connections[0]] == [
            False,
            True,
            True,
            True,
        ]
        gate.open()
        assert await get(http) == "here", "the client connects again"
        assert gate.busiest(started, seconds=60) == {4: 1}
        assert gate.busiest(started, lambda connection: connection.segment == "other") == {0: 1}


async def test_gate_counts_no_attempt_for_extra_connection() -> None:
    async with (
        serving("tests.support.plain_asgi_app:app") as server,
        ConnectionGate(server.port, 1) as gate,
    ):

        async def connection(segment: str, frame: str) -> None:
            async with httpx.AsyncClient(trust_env=False) as http:
                body = f'{{"type":"{frame}","session":"some"}}'
                await http.post(f"{gate.url(0)}/chat/{segment}?a=b", content=body)

        for segment, frame in (("poll", "open"), ("poll", "poll"), ("send", "send")):
            await connection(segment, frame)
        await connection("sse", "open")
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.get(f"{gate.url(0)}/chat/websocket")
        gate.shut()
        for segment, frame in (("poll", "poll"), ("send", "send")):
            with pytest.raises(httpx.TransportError):
                await connection(segment, frame)
        assert [(connection.segment, connection.attempt) for connection in gate.connections[0]] == [
            ("poll", True),
            ("poll", False),
            ("send", False),
            ("sse", True),
            ("websocket", True),
            ("poll", True),
            ("send", True),
        ]


async def test_gate_dates_connection_by_when_it_was_made() -> None:
    async with (
        serving("tests.support.plain_asgi_app:app") as server,
        ConnectionGate(server.port, 1) as gate,
    ):
        host = gate.url(0).removeprefix("http://").partition(":")[0]
        begun = time.monotonic()
        with socket.create_connection((host, gate.port)) as early:
            time.sleep(0.5)  # noqa: ASYNC251 - keeps the gate's loop busy
            looks = time.monotonic()
            early.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with anyio.fail_after(30):
                while not gate.connections[0]:  # noqa: ASYNC110 - no event announces it
                    await anyio.sleep(0.01)
        # It was made before the gate looked, and its age is measured in the right unit.
        assert begun - 30 < gate.connections[0][0].at < looks
