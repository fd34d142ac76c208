"""`transport.client.websocket` over cuts, changes of transport, and lost sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.protocol import State

from tests.integration.client.kit import PACING, TRANSPORTS, no_leaked_tasks
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.certificates import Authority
from tests.support.servers.uvicorn import Server, serving
from transport import SessionReset, Unreachable
from transport.client.websocket import ClientConnection, connect

APP = "tests.integration.websocket.apps:app"
OTHER = {"websocket": "sse", "sse": "longpoll", "longpoll": "websocket"}
each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.fixture(scope="module")
async def server() -> AsyncIterator[Server]:
    async with serving(APP, "--no-access-log") as server:
        yield server


def open_to(port: int, path: str, *transports: str, **options: Any) -> connect:
    url = f"ws://127.0.0.1:{port}/ws/{path}"
    transports = transports or tuple(TRANSPORTS)
    return connect(url, transports=transports, proxy=None, pacing=PACING, **options)


async def seen_by_application(
    server: Server, name: str, once: str = "disconnects"
) -> dict[str, Any]:
    """Return what the application has seen under ``name``, once it is disconnected."""
    async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as client:
        while True:
            seen: dict[str, Any] = (await client.get(f"{server.url}/report")).json().get(name, {})
            if seen.get(once):
                return seen
            await asyncio.sleep(0.01)


@each_transport
async def test_everything_arrives_over_cuts(server: Server, transport: str) -> None:
    """Three cuts and a change of transport; ten messages are in flight at any time."""
    count, name = 200, f"cuts-{transport}"
    received: list[str | bytes] = []
    states: set[State] = set()
    slots = asyncio.Semaphore(10)
    async with (
        FaultProxy(server.port) as proxy,
        asyncio.timeout(60),
        open_to(proxy.port, f"echo?name={name}", transport) as websocket,
    ):

        async def send() -> None:
            for number in range(count):
                await slots.acquire()
                await websocket.send(str(number))

        async def receive() -> None:
            async for message in websocket:
                received.append(message)
                states.add(websocket.state)
                slots.release()
                if len(received) in (20, 60, 150):
                    proxy.cut()
                if len(received) == 100:
                    websocket.channel.transports = [OTHER[transport]]
                if len(received) == count:
                    return

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            tasks.create_task(receive())
        assert proxy.statistics.links_cut >= 3
        assert websocket.channel.transport == OTHER[transport]
    assert received == [str(number) for number in range(count)]
    assert states == {State.OPEN}
    seen = await seen_by_application(server, name)
    assert seen == {"connects": 1, "received": count, "disconnects": [[1000, ""]]}


@each_transport
async def test_accept_arrives_over_a_cut(server: Server, transport: str) -> None:
    """The connection is cut within the answer to its `open`."""
    async with FaultProxy(server.port) as proxy:
        proxy.cut_after(100, direction="down", how="rst")
        retried = [transport, OTHER[transport]]
        async with open_to(proxy.port, "echo", *retried, subprotocols=["a"]) as websocket:
            assert websocket.subprotocol == "a"
            await websocket.send("x")
            assert await websocket.recv() == "x"
        await proxy.wait_for_cuts(1)


async def test_ping_is_answered_over_a_cut(server: Server) -> None:
    async with (
        FaultProxy(server.port) as proxy,
        open_to(proxy.port, "echo", "websocket") as websocket,
    ):
        proxy.refuse = True
        proxy.cut()
        pong = await websocket.ping()
        await proxy.wait_for_refusals(1)
        proxy.refuse = False
        async with asyncio.timeout(20):
            assert await pong > 0


@each_transport
async def test_close_in_an_outage_delivers_what_was_sent(server: Server, transport: str) -> None:
    name = f"outage-{transport}"
    async with (
        FaultProxy(server.port) as proxy,
        open_to(proxy.port, f"echo?name={name}", transport) as websocket,
    ):
        await websocket.send("0")
        assert await websocket.recv() == "0"
        proxy.refuse = True
        proxy.cut()
        for number in range(1, 50):
            await websocket.send(str(number))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(websocket.close(4001, "bye"))
            await proxy.wait_for_refusals(1)
            assert websocket.state is State.CLOSING
            proxy.refuse = False
        assert (websocket.close_code, websocket.close_reason) == (4001, "bye")
    seen = await seen_by_application(server, name)
    assert seen == {"connects": 1, "received": 50, "disconnects": [[4001, "bye"]]}


async def test_close_gives_up_after_its_timeout(server: Server) -> None:
    async with FaultProxy(server.port) as proxy, no_leaked_tasks():
        connect = open_to(proxy.port, "echo", "websocket", close_timeout=0.2)
        async with asyncio.timeout(20), connect as websocket:
            proxy.refuse = True
            proxy.cut()
            await websocket.send("never delivered")
            await websocket.close()
            assert (websocket.state, websocket.close_code) == (State.CLOSED, 1006)
            with pytest.raises(ConnectionClosedError) as caught:
                await websocket.recv()
            assert caught.value.sent is not None
            assert "timed out while closing" in str(caught.value.__cause__)


async def fail_to_receive(websocket: ClientConnection) -> ConnectionClosedError:
    async with asyncio.timeout(30):
        with pytest.raises(ConnectionClosedError) as caught:
            await websocket.recv()
    return caught.value


async def test_lost_session_ends_connection_with_1006() -> None:
    """The server is killed: its next process has a new session, which is closed at once."""
    async with (
        serving(APP, "--no-access-log") as server,
        open_to(server.port, "echo?name=killed", "websocket") as websocket,
    ):
        await websocket.send("before")
        assert await websocket.recv() == "before"
        await server.restart()
        error = await fail_to_receive(websocket)
        assert error.rcvd is error.sent is None
        assert isinstance(error.__cause__, SessionReset)
        assert error.__cause__.reason == "restarted"
        assert (websocket.state, websocket.close_code) == (State.CLOSED, 1006)
        for _ in range(2):
            assert type(await fail_to_receive(websocket)) is ConnectionClosedError
            with pytest.raises(ConnectionClosedError):
                await websocket.send("after")
        await websocket.wait_closed()
        seen = await seen_by_application(server, "killed")
        assert seen["received"] == 0
        assert [code for code, _ in seen["disconnects"]] == [1001]


async def test_server_that_stops_closes_with_1012() -> None:
    async with (
        serving(APP, "--no-access-log") as server,
        open_to(server.port, "echo", "sse") as websocket,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(server.stop())
        error = await fail_to_receive(websocket)
        assert error.rcvd is not None
        assert error.rcvd.code == websocket.close_code == 1012


async def test_connection_is_secured_by_the_given_context(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with serving(APP, "--no-access-log", *authority.uvicorn()) as server:
        url = f"wss://127.0.0.1:{server.port}/ws/echo"
        for transport in TRANSPORTS:
            options: dict[str, Any] = {"transports": [transport], "proxy": None}
            async with connect(url, ssl=authority.trusting(), **options) as websocket:
                await websocket.send("x")
                assert await websocket.recv() == "x"
            with pytest.raises(Unreachable, match="trust its authority"):
                await connect(url, **options)


# Cancellation


@each_transport
async def test_cancelled_block_leaves_nothing(server: Server, transport: str) -> None:
    name = f"cancelled-{transport}"
    async with no_leaked_tasks():
        with anyio.CancelScope() as scope:
            async with open_to(server.port, f"echo?name={name}", transport) as websocket:
                scope.cancel()
                await websocket.recv()
        assert scope.cancelled_caught
    seen = await seen_by_application(server, name)
    assert seen["disconnects"] == [[1000, ""]]


@each_transport
async def test_cancelled_connect_leaves_nothing(server: Server, transport: str) -> None:
    name = f"undecided-{transport}"
    async with no_leaked_tasks():
        opening = asyncio.ensure_future(
            _open(open_to(server.port, f"never?name={name}", transport))
        )
        await seen_by_application(server, name, "connects")
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    assert (await seen_by_application(server, name))["disconnects"] == [[1000, ""]]


async def _open(opening: connect) -> ClientConnection:
    return await opening


async def test_cancelled_send_has_sent_nothing(server: Server) -> None:
    """It waited for room: the window is full in an outage."""
    name = "cancelled-send"
    async with (
        FaultProxy(server.port) as proxy,
        open_to(proxy.port, f"echo?name={name}", "websocket") as websocket,
    ):
        proxy.refuse = True
        proxy.cut()
        sent = 0
        while True:
            sending = asyncio.ensure_future(websocket.send(str(sent)))
            await asyncio.sleep(0)
            if not sending.done():
                break
            sent += 1
        assert sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        proxy.refuse = False
        await websocket.send("last")
        async with asyncio.timeout(20):
            assert [await websocket.recv() for _ in range(sent)] == [str(n) for n in range(sent)]
            assert await websocket.recv() == "last"
