"""Unmodified applications of Starlette and FastAPI, with cuts and changes of transport."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from tests.integration.client.kit import PACING, TRANSPORTS, report, until_report
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server, serving
from transport import ChannelClosed, SessionReset, connect

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
APP = "tests.integration.inner.apps:app"
OTHER = {"websocket": "sse", "sse": "longpoll", "longpoll": "websocket"}


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving(APP, "--no-access-log") as server:
        yield server


def open_to(port: int, path: str, transport: str, **options: Any) -> connect:
    url = f"http://127.0.0.1:{port}/{path}"
    return connect(url, transports=[transport], trust_env=False, pacing=PACING, **options)


async def end_of(channel: Any) -> ChannelClosed:
    """Return how the channel closes."""
    with anyio.fail_after(20):
        try:
            while True:
                await channel.receive()
        except ChannelClosed as closed:
            return closed


async def converse(server: Server, transport: str, path: str, **options: Any) -> list[Any]:
    """Send 30 messages, with a cut after 10 and another transport after 20, and close.

    Returns:
        What was received before the echoes.
    """
    greetings: list[Any] = []
    async with (
        FaultProxy(server.port) as proxy,
        open_to(proxy.port, path, transport, **options) as channel,
    ):
        echoes: list[Any] = []

        async def receive(count: int) -> None:
            with anyio.fail_after(20):
                while len(echoes) < count:
                    message = await channel.receive()
                    (echoes if str(message).startswith("de:") else greetings).append(message)

        for index in range(30):
            await channel.send(str(index))
            if index == 4:
                await receive(2)  # the connection works, and echoes are on their way
                proxy.cut()
            if index == 15:
                await receive(10)
                channel.transports = (OTHER[transport],)
        await receive(30)
        assert echoes == [f"de:{index}" for index in range(30)]
        assert channel.transport == OTHER[transport]
        assert proxy.statistics.links_cut > 0
        await channel.close(4001, "done")
        assert channel.statistics().resets == 0
    return greetings


async def check(server: Server, name: str, reason: str = "done", released: int = 0) -> None:
    found = await until_report(server, lambda report: report[name]["disconnects"])
    assert found[name] == {
        "connects": 1,
        "disconnects": [[4001, reason]],
        "received": [str(index) for index in range(30)],
        "released": released,
    }


@each_transport
@pytest.mark.parametrize("mount", ["starlette", "router"])
async def test_starlette_route_outlives_faults(server: Server, transport: str, mount: str) -> None:
    name = f"{mount}-{transport}"
    assert await converse(server, transport, f"{mount}/rooms/{name}?lang=de") == []
    await check(server, name)


@each_transport
async def test_starlette_endpoint_outlives_faults(server: Server, transport: str) -> None:
    name = f"endpoint-{transport}"
    assert await converse(server, transport, f"endpoint?lang=de&name={name}") == []
    await check(server, name, reason="")


@each_transport
async def test_fastapi_endpoint_outlives_faults(server: Server, transport: str) -> None:
    """Path parameters, `Query`, `Depends` with and without `yield`, cookies and a session."""
    async with httpx.AsyncClient(trust_env=False) as client:
        session = (await client.get(f"{server.url}/login")).cookies["session"]
    name = f"fastapi-{transport}"
    greetings = await converse(
        server,
        transport,
        f"fastapi/rooms/{name}?lang=de&count=3",
        headers={"cookie": f"session={session}; theme=dark"},
    )
    assert greetings == [f'{{"name":"{name}","user":"ann, dark","count":3}}']
    await until_report(server, lambda report: report[name]["released"])
    await check(server, name, released=1)


@each_transport
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("fastapi/rooms/x?lang=de&refused=1", 403),  # a WebSocketException
        ("fastapi/rooms/x?lang=de&busy=1", 429),  # an HTTPException
        ("fastapi/rooms/x?lang=d", 403),  # a query that is not valid
        ("fastapi/nowhere", 403),
        ("starlette/nowhere", 403),
    ],
)
async def test_denial_of_framework_closes_channel(
    server: Server, transport: str, path: str, status: int
) -> None:
    with pytest.raises(ChannelClosed) as caught:  # as it opens, or after that
        async with open_to(server.port, path, transport) as channel:
            raise await end_of(channel)
    assert (caught.value.code, caught.value.reason) == (1008, f"denied with HTTP status {status}")


# The end of the server


async def test_server_that_stops_closes_with_1012() -> None:
    names = {transport: f"starlette/rooms/{transport}?lang=de" for transport in TRANSPORTS}
    async with serving(APP, "--no-access-log") as server:
        async with (
            open_to(server.port, names["websocket"], "websocket") as first,
            open_to(server.port, names["sse"], "sse") as second,
            open_to(server.port, names["longpoll"], "longpoll") as third,
        ):
            for channel in (first, second, third):
                await channel.send("x")
                assert await channel.receive() == "de:x"
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.stop)
                with anyio.fail_after(10):
                    ends = [await end_of(channel) for channel in (first, second, third)]
        assert [closed.code for closed in ends] == [1012] * 3


async def test_server_that_is_killed_resets_session() -> None:
    async with (
        serving(APP, "--no-access-log") as server,
        open_to(server.port, "starlette/rooms/killed?lang=de", "websocket") as channel,
    ):
        await channel.send("before")
        assert await channel.receive() == "de:before"
        await server.restart()
        with anyio.fail_after(20), pytest.raises(SessionReset, match="restarted"):
            await channel.receive()
        await channel.send("after")
        assert await channel.receive() == "de:after"
        found = (await report(server))["killed"]
        assert (found["connects"], found["received"]) == (1, ["after"])
