"""Django Channels: consumers, sessions, users and the channel layer, with cuts in the middle."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from tests.integration.client.kit import until_report
from tests.integrations.frameworks.faults import (
    DEADLINE,
    MESSAGES,
    converse,
    each_transport,
    options,
)
from tests.support.clients.target_client import open_target
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving
from transport import ChannelClosed, connect


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving("tests.integrations.frameworks.django_site:app") as server:
        yield server


def origin(server: Server, **more: Any) -> dict[str, Any]:
    """Return the options of a page of this site: `AllowedHostsOriginValidator` wants an origin."""
    return {"origin": server.url, **more}


async def denial(url: str, **options: Any) -> int:
    """Return the code with which a channel is refused, as it opens or after that."""
    with anyio.fail_after(DEADLINE), pytest.raises(ChannelClosed, match="status 403") as caught:
        async with connect(url, **options) as channel:
            await channel.receive()
    return caught.value.code


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
    page = origin(server, headers={"cookie": f"sessionid={cookie}"})
    async with open_target(
        f"{server.url}/ws/private", ["private.v1"], **options(transport), **page
    ) as (channel, answer):
        assert answer == {"accept": "private.v1"}
        with anyio.fail_after(DEADLINE):
            assert await channel.receive() == '{"user": "ann", "visits": 3}'
            await channel.send({"code": 7})  # a value: the consumer reads it as JSON
            with pytest.raises(ChannelClosed) as caught:
                await channel.receive()
    assert caught.value.code == 4007


@each_transport
async def test_consumer_that_denies_closes_channel(server: Server, transport: str) -> None:
    assert await denial(f"{server.url}/ws/private", **options(transport), **origin(server)) == 1008


async def test_origin_validator_denies_other_site(server: Server) -> None:
    """The hub lets a client without an origin in; the application's own check follows."""
    assert await denial(f"{server.url}/ws/echo/other", **options("websocket")) == 1008
