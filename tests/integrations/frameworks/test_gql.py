"""gql, a GraphQL client on ``websockets``: unmodified, but for the module that it imports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.integration.client.kit import PACING, until, until_report
from tests.integrations.frameworks.faults import DEADLINE, MESSAGES, converse, each_transport
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving
from transport.client import websocket

each_framework = pytest.mark.parametrize("framework", ["strawberry", "ariadne"])


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.integrations.frameworks.graphql_apps:app") as server:
        yield server


@each_framework
@each_transport
async def test_subscription_of_gql_outlives_faults(
    server: Server, transport: str, framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its subscription hears of its thirty mutations, over two cuts and two transports."""
    from gql import Client, gql  # only `make integrations` installs it
    from gql.transport.common.adapters import websockets as adapter
    from gql.transport.websockets import WebsocketsTransport

    monkeypatch.setattr(adapter, "websockets", websocket)  # the one import
    room = f"gql-{framework}-{transport}"
    begun, ended = (await until_report(server, bool))[framework]
    notes: list[str] = []

    async with FaultProxy(server.port) as proxy:
        uplink = WebsocketsTransport(
            f"ws://127.0.0.1:{proxy.port}/{framework}",
            subprotocols=[WebsocketsTransport.GRAPHQLWS_SUBPROTOCOL],
            connect_args={"transports": [transport], "proxy": None, "pacing": PACING},
        )
        async with Client(transport=uplink) as session, anyio.create_task_group() as tasks:

            async def listen() -> None:
                query = gql(f'subscription {{ notes(room: "{room}") }}')
                async for result in session.subscribe(query):
                    notes.append(result["notes"])  # noqa: PERF401 - as it comes

            async def write(index: int) -> None:
                query = gql(f'mutation {{ write(room: "{room}", text: "{index}") }}')
                tasks.start_soon(session.execute, query)

            async def until_heard(count: int) -> None:
                await until(lambda: len(notes) >= count)

            tasks.start_soon(listen)
            await until_report(server, lambda report: report[framework][0] > begun)
            connection: Any = uplink.adapter.websocket
            assert isinstance(connection, websocket.ClientConnection)
            assert connection.subprotocol == "graphql-transport-ws"
            await converse(connection.channel, proxy, transport, write, until_heard)
            with anyio.fail_after(DEADLINE):
                await until_heard(MESSAGES)
            tasks.cancel_scope.cancel()
    assert sorted(notes, key=int) == [str(index) for index in range(MESSAGES)]
    await until_report(server, lambda report: report[framework] == [begun + 1, ended + 1])
