"""Django Channels: consumers, sessions, users and the channel layer, with cuts in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from tests.integration.client.kit import until_report
from tests.integrations.frameworks.faults import (
    DEADLINE,
    MESSAGES,
    converse,
    each_transport,
    options,
    websocket_options,
)
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving
from transport import connect
from transport.client.websocket import connect as websocket_connect


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.integrations.frameworks.django_site:app") as server:
        yield server


def open_to(server: Server, path: str, transport: str, **more: Any) -> websocket_connect:
    uri = f"ws://127.0.0.1:{server.port}/ws/{path}"
    return websocket_connect(uri, **websocket_options(transport), **more)


@each_transport
@pytest.mark.parametrize("consumer", ["echo", "rooms"])
async def test_consumer_outlives_faults(server: Server, transport: str, consumer: str) -> None:
    """A synchronous consumer, and one that sends through the channel layer."""
    name = f"{consumer}-{transport}"
    replies: list[Any] = []
    async with (
        FaultProxy(server.port) as proxy,
        connect(
            f"http://127.0.0.1:{proxy.port}/ws/{consumer}/{name}?said",
            **options(transport),
            origin=f"http://127.0.0.1:{proxy.port}",
        ) as channel,
    ):

        async def until_answered(count: int) -> None:
            while len(replies) < count:
                replies.append(await channel.receive())

        await converse(
            channel, proxy, transport, lambda index: channel.send(str(index)), until_answered
        )
        await channel.close(4001, "done")
    assert replies == [f"said:{index}" for index in range(MESSAGES)]
    found = await until_report(server, lambda report: report[name]["disconnects"])
    assert found[name] == {
        "connects": 1,
        "received": [str(index) for index in range(MESSAGES)],
        "disconnects": [4001],
    }


@each_transport
async def test_consumer_has_user_and_session(server: Server, transport: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        cookie = (await client.get(f"{server.url}/site/login")).cookies["sessionid"]
    async with open_to(
        server,
        "private",
        transport,
        subprotocols=["private.v1"],
        origin=server.url,
        additional_headers={"cookie": f"sessionid={cookie}"},
    ) as websocket:
        assert websocket.subprotocol == "private.v1"
        with anyio.fail_after(DEADLINE):
            assert await websocket.recv() == '{"user": "ann", "visits": 3}'
            await websocket.send('{"code": 7}')
            with pytest.raises(ConnectionClosedError):
                await websocket.recv()
    assert websocket.close_code == 4007


async def status_of_denial(opening: websocket_connect) -> int:
    with pytest.raises(InvalidStatus) as caught:
        await opening
    return caught.value.response.status_code


@each_transport
async def test_consumer_that_denies_refuses_client(server: Server, transport: str) -> None:
    """`AuthMiddlewareStack` gives a guest an `AnonymousUser`."""
    opening = open_to(server, "private", transport, origin=server.url)
    assert await status_of_denial(opening) == 403


async def test_origin_validator_denies_client_without_origin(server: Server) -> None:
    """The hub lets it in; the application's own check follows."""
    assert await status_of_denial(open_to(server, "echo/other", "websocket")) == 403
