"""What a connection of ``websockets`` does: each function is run with it, and with ours.

A function is given `Opener`: ``connect`` of either, and the URL of the same application.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from websockets.exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidStatus,
    InvalidURI,
    ProtocolError,
)
from websockets.protocol import State

from tests.support.servers.uvicorn import free_port

Behaviour = Callable[["Opener"], Awaitable[None]]
BEHAVIOURS: list[Behaviour] = []


@dataclass(frozen=True, slots=True)
class Opener:
    """How to open connections of one kind.

    Attributes:
        connect: of ``websockets``, or ours.
        base: the URL of the application.
        server: the URL of the server.
        name: a name that no other test uses.
        options: for each connection.
    """

    connect: Any
    base: str
    server: str
    name: str
    options: dict[str, Any]

    def __call__(self, path: str = "echo", **options: Any) -> Any:
        separator = "&" if "?" in path else "?"
        url = f"{self.base}/{path}{separator}name={self.name}"
        return self.connect(url, **{**self.options, **options})

    async def report(self, condition: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """Return what the application has seen of these connections, once ``condition`` holds."""
        async with asyncio.timeout(20), httpx.AsyncClient(trust_env=False) as client:
            while True:
                report = (await client.get(f"{self.server}/report")).json()
                seen: dict[str, Any] = report.get(self.name, {})
                if condition(seen):
                    return seen
                await asyncio.sleep(0.01)


def behaviour(function: Behaviour) -> Behaviour:
    BEHAVIOURS.append(function)
    return function


# Messages


@behaviour
async def text_and_bytes_are_echoed(opener: Opener) -> None:
    async with opener() as websocket:
        for message in ("", "hello", "日本 \u2028 \x00", b"", bytes(range(256)), "x" * 100_000):
            await websocket.send(message)
            assert await websocket.recv() == message
        for alike in (bytearray(b"ab"), memoryview(b"cd")):
            await websocket.send(alike)
            assert await websocket.recv() == bytes(alike)


@behaviour
async def fragments_are_joined(opener: Opener) -> None:
    async def later(parts: list[Any]) -> AsyncIterator[Any]:
        for part in parts:
            await asyncio.sleep(0)
            yield part

    def generated() -> Iterator[bytes]:
        yield b"a"
        yield b"b"

    async with opener() as websocket:
        for message, whole in (
            (["a", "b"], "ab"),
            (("one",), "one"),
            (generated(), b"ab"),
            ([bytearray(b"x"), memoryview(b"y")], b"xy"),
            (later(["c", "d"]), "cd"),
            ({"k": 1}.keys(), "k"),
        ):
            await websocket.send(message)
            assert await websocket.recv() == whole
        await websocket.send([])
        await websocket.send(later([]))
        await websocket.send("next")
        assert await websocket.recv() == "next"


@behaviour
async def fragments_are_not_overtaken(opener: Opener) -> None:
    going = asyncio.Event()

    async def slowly() -> AsyncIterator[str]:
        yield "a"
        going.set()
        await asyncio.sleep(0.01)
        yield "b"

    async with opener() as websocket, asyncio.TaskGroup() as tasks:
        tasks.create_task(websocket.send(slowly()))
        await going.wait()
        await websocket.send("c")
        assert [await websocket.recv(), await websocket.recv()] == ["ab", "c"]


@behaviour
async def kind_of_message_can_be_chosen(opener: Opener) -> None:
    async with opener() as websocket:
        for message, text, received in (
            ("a", False, b"a"),
            (b"b", True, "b"),
            ("c", True, "c"),
            (b"d", False, b"d"),
            (["e", "f"], False, b"ef"),
        ):
            await websocket.send(message, text=text)
            assert await websocket.recv() == received
        await websocket.send("g")
        assert await websocket.recv(decode=False) == b"g"
        await websocket.send("日".encode())
        assert await websocket.recv(decode=True) == "日"


@behaviour
async def other_messages_are_refused(opener: Opener) -> None:
    async with opener() as websocket:
        for message in ({"a": 1}, 7, None, 1.5, object()):
            with pytest.raises(TypeError):
                await websocket.send(message)
        await websocket.send("still open")
        assert await websocket.recv() == "still open"


@behaviour
async def message_can_be_streamed(opener: Opener) -> None:
    async with opener() as websocket:
        await websocket.send("hello")
        assert "".join([part async for part in websocket.recv_streaming()]) == "hello"
        await websocket.send("hello")
        assert b"".join([part async for part in websocket.recv_streaming(decode=False)]) == b"hello"


@behaviour
async def second_receiver_is_refused(opener: Opener) -> None:
    async with opener() as websocket, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(websocket.recv())
        await asyncio.sleep(0)
        with pytest.raises(ConcurrencyError):
            await websocket.recv()
        await websocket.send("x")
        assert await first == "x"


@behaviour
async def cancelled_receiver_loses_nothing(opener: Opener) -> None:
    async with opener("count?count=50") as websocket:
        received: list[Any] = []
        while len(received) < 50:
            task = asyncio.ensure_future(websocket.recv())
            for _ in range(len(received) % 4):
                await asyncio.sleep(0)
            if len(received) % 2 and not task.done():
                task.cancel()
                await asyncio.wait([task])
                if task.cancelled():
                    received += [await websocket.recv()]
                    continue
            received += [await task]
        assert received == [str(number) for number in range(50)]


@behaviour
async def many_tasks_can_send(opener: Opener) -> None:
    async with opener() as websocket:
        async with asyncio.TaskGroup() as tasks:
            for number in range(300):
                tasks.create_task(websocket.send(str(number)))
        assert [await websocket.recv() for _ in range(300)] == [str(one) for one in range(300)]


# The application closes


def closed_by_application(code: int) -> Behaviour:
    async def check(opener: Opener) -> None:
        async with opener() as websocket:
            await websocket.send("last")
            await websocket.send(f"close {code} why")
            await websocket.wait_closed()
            assert (websocket.state, websocket.close_code) == (State.CLOSED, code)
            assert websocket.close_reason == "why"
            assert await websocket.recv() == "last"  # it came before
            kind = ConnectionClosedOK if code in (1000, 1001) else ConnectionClosedError
            for call in (websocket.recv, lambda: websocket.send("x"), websocket.ping):
                with pytest.raises(kind) as caught:
                    await call()
                error = caught.value
                assert isinstance(error, ConnectionClosed)
                assert error.rcvd is not None
                assert error.sent is not None
                assert (error.rcvd.code, error.rcvd.reason) == (code, "why")
                assert (error.sent.code, error.rcvd_then_sent) == (code, True)
            await websocket.close(4000)  # has no effect
            assert websocket.close_code == code

    check.__name__ = f"application_closes_with_{code}"
    return check


BEHAVIOURS += [closed_by_application(code) for code in (1000, 1001, 1008, 1011, 3000, 4999)]


@behaviour
async def iteration_ends_with_normal_close(opener: Opener) -> None:
    async with opener("count?count=5") as websocket:
        assert [message async for message in websocket] == ["0", "1", "2", "3", "4"]
        assert websocket.close_code == 1000


@behaviour
async def iteration_raises_other_close(opener: Opener) -> None:
    async with opener() as websocket:
        await websocket.send("close 4000 why")
        with pytest.raises(ConnectionClosedError, match="4000"):
            async for _ in websocket:
                pass


# This side closes


@behaviour
async def close_is_received_by_application(opener: Opener) -> None:
    websocket = await opener()
    assert (websocket.state, websocket.close_code, websocket.close_reason) == (
        State.OPEN,
        None,
        None,
    )
    await websocket.close(4001, "done")
    seen = await opener.report(lambda seen: seen.get("disconnects"))
    assert seen["disconnects"] == [[4001, "done"]]
    assert (websocket.state, websocket.close_code) == (State.CLOSED, 4001)
    with pytest.raises(ConnectionClosedError) as caught:
        await websocket.recv()
    error = caught.value
    assert error.sent is not None
    assert (error.sent.code, error.sent.reason, error.rcvd_then_sent) == (4001, "done", False)


@behaviour
async def block_that_raises_closes_with_1011(opener: Opener) -> None:
    with pytest.raises(KeyError):
        async with opener():
            raise KeyError("a fault of the program")
    seen = await opener.report(lambda seen: seen.get("disconnects"))
    assert seen["disconnects"] == [[1011, ""]]


@behaviour
async def wrong_close_is_refused(opener: Opener) -> None:
    async with opener() as websocket:
        for code, reason in ((999, ""), (1005, ""), (2000, ""), (5000, ""), (1000, "x" * 124)):
            with pytest.raises(ProtocolError):
                await websocket.close(code, reason)
        await websocket.send("x")
        assert await websocket.recv() == "x"


@behaviour
async def close_wakes_the_receiver(opener: Opener) -> None:
    async with opener() as websocket:
        receiver = asyncio.ensure_future(websocket.recv())
        await asyncio.sleep(0)
        await websocket.close()
        with pytest.raises(ConnectionClosedOK):
            await receiver


# Opening


@behaviour
async def denied_connection_raises_its_status(opener: Opener) -> None:
    for path, status in (("deny", 403), ("nowhere", 403), ("deny?always=1&status=429", 429)):
        with pytest.raises(InvalidStatus) as caught:
            await opener(path)
        assert caught.value.response.status_code == status


@behaviour
async def wrong_uri_is_refused(opener: Opener) -> None:
    for uri in ("http://127.0.0.1/", "ws:///x", "127.0.0.1", "ws://127.0.0.1/#x"):
        with pytest.raises(InvalidURI):
            await opener.connect(uri, **opener.options)


@behaviour
async def subprotocol_is_negotiated(opener: Opener) -> None:
    async with opener(subprotocols=["a", "b"]) as websocket:
        assert websocket.subprotocol == "b"
        assert websocket.response.headers["Sec-WebSocket-Protocol"] == "b"
    async with opener() as websocket:
        assert websocket.subprotocol is None
    with pytest.raises(TypeError):
        await opener(subprotocols="a")
    with pytest.raises(ValueError, match="invalid subprotocol"):
        await opener(subprotocols=["a b"])


@behaviour
async def request_reaches_the_application(opener: Opener) -> None:
    headers = [("X-One", "1"), ("x-two", "2"), ("Cookie", "a=b; c=d")]
    connect = opener("scope?q=1", additional_headers=headers, user_agent_header="robot/1")
    async with connect as websocket:
        seen = json.loads(await websocket.recv())
        assert seen == {
            "headers": {"x-one": "1", "x-two": "2", "user-agent": "robot/1"},
            "cookies": {"a": "b", "c": "d"},
            "query": f"q=1&name={opener.name}",
            "path": "scope",
        }
        assert websocket.request.path.endswith(f"/scope?q=1&name={opener.name}")
        assert websocket.request.headers["X-One"] == "1"
        assert websocket.response.status_code == 101


@behaviour
async def application_that_does_not_answer_times_out(opener: Opener) -> None:
    with pytest.raises(TimeoutError, match="timed out during opening handshake"):
        await opener("never", open_timeout=0.2)


@behaviour
async def server_that_is_down_is_an_os_error(opener: Opener) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - the texts differ
        await opener.connect(f"ws://127.0.0.1:{free_port()}/", **opener.options)


@behaviour
async def unknown_option_is_refused(opener: Opener) -> None:
    with pytest.raises(TypeError):
        await opener(no_option=1)


@behaviour
async def wrong_option_is_refused(opener: Opener) -> None:
    with pytest.raises(ValueError, match="compression"):
        await opener(compression="brotli")
    with pytest.raises(ValueError, match="ssl"):
        await opener(ssl=True)


@behaviour
async def options_of_websockets_are_taken(opener: Opener) -> None:
    connect = opener(
        compression=None,
        extensions=None,
        ping_interval=None,
        ping_timeout=None,
        max_queue=(8, 2),
        write_limit=1000,
        max_size=None,
        close_timeout=5,
        open_timeout=None,
    )
    async with connect as websocket:
        await websocket.send("x")
        assert await websocket.recv() == "x"


@behaviour
async def connect_is_not_reentrant(opener: Opener) -> None:
    connect = opener()
    async with connect:
        with pytest.raises(RuntimeError, match="reentrant"):
            await connect.__aenter__()
    async with connect as websocket:  # again, after the end of the first block
        await websocket.send("x")
        assert await websocket.recv() == "x"


# Connecting again


@behaviour
async def iteration_of_connect_connects_again(opener: Opener) -> None:
    received: list[Any] = []
    async for websocket in opener():
        try:
            await websocket.send(str(len(received)))
            received.append(await websocket.recv())
            await websocket.send("close 1012 later")
            await websocket.recv()
        except ConnectionClosed:
            if len(received) < 3:
                continue
            break
    assert received == ["0", "1", "2"]


@behaviour
async def iteration_of_connect_waits_after_status_503(opener: Opener) -> None:
    waits = iter((0.01, 0.02))
    async for websocket in opener("deny?status=503", reconnect_delays=lambda: waits):
        with pytest.raises(ConnectionClosedOK):
            await websocket.recv()
        break
    assert next(waits) == 0.02


@behaviour
async def iteration_of_connect_raises_fatal_error(opener: Opener) -> None:
    with pytest.raises(InvalidStatus):
        await anext(aiter(opener("deny")))
    connect = opener("deny", process_exception=lambda error: ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        await anext(aiter(connect))


# Pings


@behaviour
async def ping_measures_latency(opener: Opener) -> None:
    async with opener(ping_interval=None) as websocket:
        assert websocket.latency == 0.0
        first, second = await websocket.ping(), await websocket.ping("x")
        assert 0 < await first < 20
        assert 0 < await second < 20
        assert websocket.latency > 0
        await websocket.pong()
        await websocket.pong(b"x")
        for call in (websocket.ping, websocket.pong):
            with pytest.raises(TypeError):
                await call(7)


@behaviour
async def ping_fails_with_the_connection(opener: Opener) -> None:
    async with opener() as websocket:
        await websocket.close()
        with pytest.raises(ConnectionClosedOK):
            await websocket.ping()
        with pytest.raises(ConnectionClosedOK):
            await websocket.pong()
