"""The hub as it is mounted, what a handler meets, groups, drain."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Router
from starlette.types import ASGIApp

import transport
from transport import Busy, Channel, ChannelClosed, Hub, Limits, Stalled
from transport.testing import (
    Connection,
    Socket,
    ask,
    lines,
    opening,
    scope_of,
    socket,
    stream,
    until,
)

CONFIRM = {"type": "ack", "ack": 0}


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


@asynccontextmanager
async def opened(hub: ASGIApp, path: str = "/websocket", **fields: Any) -> AsyncIterator[Socket]:
    """A WebSocket whose attach is confirmed."""
    async with socket(hub, path) as ws:
        ws.send(opening(**fields))
        await ws.frame()
        ws.send(CONFIRM)
        yield ws


async def pass_through(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


def mounts(hub: Hub) -> list[tuple[str, ASGIApp]]:
    """Ways to mount a hub, and the channel's path in each."""
    fastapi = FastAPI(lifespan=hub.lifespan)
    fastapi.mount("/chat", hub)
    return [
        ("", hub),
        ("/chat", Starlette(routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan)),
        ("/chat", Starlette(routes=[Mount("/chat", app=hub)])),
        ("/chat/room-7", Starlette(routes=[Mount("/chat", app=hub)])),
        ("/chat", fastapi),
        (
            "/api/v1/chat",
            Starlette(routes=[Mount("/api", app=Router([Mount("/v1/chat", app=hub)]))]),
        ),
        (
            "/chat",
            Starlette(
                routes=[Mount("/chat", app=hub)],
                middleware=[
                    Middleware(GZipMiddleware, minimum_size=1),
                    Middleware(CORSMiddleware, allow_origins=["*"]),
                    Middleware(BaseHTTPMiddleware, dispatch=pass_through),
                ],
            ),
        ),
    ]


@pytest.mark.parametrize("number", range(len(mounts(Hub(echo)))))
async def test_every_mount_serves_every_transport(number: int) -> None:
    hub = Hub(echo)
    path, app = mounts(hub)[number]
    async with opened(app, path + "/websocket") as ws:
        ws.send([1, 0, "x"])
        assert await ws.frame() == [1, 1, "x"]
    async with stream(app, path + "/sse", opening(nonce="s" * 22)) as events:
        assert (await events.frame())["type"] == "opened"
    assert (await ask(app, path + "/poll", lines(opening(nonce="p" * 22)))).status == 200
    assert (await ask(app, path + "/poll/", lines(opening(nonce="t" * 22)))).status == 200
    assert hub.statistics().opened == 4
    await hub.drain()


async def test_handler_sees_path_and_query_of_channel() -> None:
    scopes: list[Any] = []

    async def keeps(channel: Channel) -> None:
        scopes.append(channel.scope)
        channel.state.name = "ada"
        assert channel.state.name == "ada"

    hub = Hub(keeps)
    scope = scope_of("http", "/chat/room-7/poll", {"content-type": "application/x-ndjson"})
    scope.update({"method": "POST", "query_string": b"lang=de"})
    body = {"type": "http.request", "body": lines(opening()), "more_body": False}
    connection = Connection(hub, scope, [body])
    assert (await connection.next())["status"] == 200
    await connection.stop()
    assert (scopes[0]["path"], scopes[0]["query_string"]) == ("/chat/room-7", b"lang=de")


async def test_lifespan_starts_and_drains_hub() -> None:
    hub = Hub(silent)
    async with hub.lifespan():
        async with opened(hub) as ws:
            draining = asyncio.ensure_future(hub.drain())
            assert (await ws.frame())["type"] == "drain"
            assert await ws.closed() == 1012
            await asyncio.wait_for(draining, 30)
        answer = await ask(hub, "/poll", lines(opening(nonce="n" * 22)))
        assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")
        assert "retry-after" in answer.headers
    assert hub.statistics().sessions == 0


async def test_hub_may_be_the_application() -> None:
    connection = Connection(Hub(silent), {"type": "lifespan"}, [{"type": "lifespan.startup"}])
    assert (await connection.next())["type"] == "lifespan.startup.complete"
    connection.inbound.put_nowait({"type": "lifespan.shutdown"})
    assert (await connection.next())["type"] == "lifespan.shutdown.complete"
    await connection.stop()


async def test_unknown_scope_type_is_refused() -> None:
    with pytest.raises(RuntimeError, match="does not serve"):
        await Connection(Hub(silent), {"type": "mail"}, []).next()


def test_unknown_transports_are_refused() -> None:
    with pytest.raises(ValueError, match="transports must be a list"):
        Hub(silent, transports=["carrier-pigeon"])
    with pytest.raises(ValueError, match="transports must be a list"):
        Hub(silent, transports="sse")


async def test_client_is_served_with_etag() -> None:
    hub = Hub(silent)
    for name in ("client.js", "client.global.js", "client.js.map"):
        answer = await ask(hub, "/" + name, method="GET")
        assert answer.status == 200, name
        assert answer.headers["access-control-allow-origin"] == "*"
        # A proxy that compresses makes the tag a weak one; a cache may hold several.
        for known in ("{}", "W/{}", '"older", {}'):
            etag = {"if-none-match": known.format(answer.headers["etag"])}
            unchanged = await ask(hub, "/" + name, method="GET", headers=etag)
            assert unchanged.status == 304
            assert "content-length" not in unchanged.headers
    assert (await ask(hub, "/client.js", method="POST")).status == 405
    assert (await ask(hub, "/../client.js.py", method="GET")).status == 404


# What a handler meets


async def test_acknowledged_waits_for_client() -> None:
    """MRK-3."""
    numbers: list[int] = []
    done = asyncio.Event()

    async def sends(channel: Channel) -> None:
        numbers.extend([await channel.send("a"), await channel.send("b")])
        await channel.flush()
        await channel.acknowledged(2)
        done.set()
        with pytest.raises(ValueError, match="no message has the number 3"):
            await channel.acknowledged(3)

    async with opened(Hub(sends)) as ws:
        assert await ws.frame() == [1, 0, "a", "b"]
        assert not done.is_set()
        ws.send({"type": "ack", "ack": 2})
        await asyncio.wait_for(done.wait(), 30)
        assert numbers == [1, 2]
        assert (await ws.frame())["type"] == "close"


async def test_acknowledged_fails_when_session_ends() -> None:
    seen: list[ChannelClosed] = []

    async def sends(channel: Channel) -> None:
        waiting = asyncio.ensure_future(channel.acknowledged(await channel.send("a")))
        await asyncio.sleep(0)
        await channel.close(3000)
        try:
            await waiting
        except ChannelClosed as error:
            seen.append(error)
            raise

    limits = Limits(closing=0.1)
    hub = Hub(sends, limits=limits)
    async with opened(hub) as ws:
        assert await ws.frame() == [1, 0, "a"]
        assert (await ws.frame())["code"] == 3000
        assert await ws.closed() == 3000
    assert [error.code for error in seen] == [3000]


async def test_second_receiver_is_refused() -> None:
    seen: list[BaseException] = []

    async def greedy(channel: Channel) -> None:
        first = asyncio.ensure_future(channel.receive())
        await asyncio.sleep(0)
        try:
            await channel.receive()
        except Busy as error:
            seen.append(error)
        assert await first == "x"

    async with opened(Hub(greedy)) as ws:
        ws.send([1, 0, "x"])
        await until(lambda: bool(seen))
        assert (await ws.frame())["type"] == "close"


async def test_send_waits_at_full_window_until_acks() -> None:
    """DAT-6."""
    sent: list[int] = []

    async def sends(channel: Channel) -> None:
        for number in range(6):
            sent.append(await channel.send(number))  # noqa: PERF401 - read while it grows

    async with opened(Hub(sends, limits=Limits(window_messages=2))) as ws:
        assert await ws.frame() == [1, 0, 0, 1]
        assert sent == [1, 2]
        ws.send({"type": "ack", "ack": 1})
        assert await ws.frame() == [3, 0, 2]
        ws.send({"type": "ack", "ack": 3})
        assert await ws.frame() == [4, 0, 3, 4]
        ws.send({"type": "ack", "ack": 5})
        assert await ws.frame() == [6, 0, 5]


async def test_concurrent_senders_are_served_in_order() -> None:
    """DAT-6."""

    async def sends(channel: Channel) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(channel.send(number))

    async with opened(Hub(sends, limits=Limits(window_messages=2))) as ws:
        got: list[int] = []
        while len(got) < 5:
            frame = await ws.frame()
            got += frame[2:]
            ws.send({"type": "ack", "ack": frame[0] + len(frame) - 3})
        assert got == [0, 1, 2, 3, 4]


async def test_cancelled_send_lets_next_one_go() -> None:
    """DAT-6."""

    async def sends(channel: Channel) -> None:
        await channel.send("a")
        second = asyncio.ensure_future(channel.send("b"))
        third = asyncio.ensure_future(channel.send("c"))
        await asyncio.sleep(0)
        second.cancel()
        await third

    async with opened(Hub(sends, limits=Limits(window_messages=1))) as ws:
        assert await ws.frame() == [1, 0, "a"]
        ws.send({"type": "ack", "ack": 1})
        assert await ws.frame() == [2, 0, "c"]


async def test_send_stalls_if_client_acknowledges_nothing() -> None:
    seen: list[Stalled] = []

    async def sends(channel: Channel) -> None:
        try:
            while True:
                await channel.send("x")
        except Stalled as error:
            seen.append(error)

    async with opened(Hub(sends, limits=Limits(window_messages=2, stall=0.1))) as ws:
        assert await ws.frame() == [1, 0, "x", "x"]
        assert (await ws.frame())["type"] == "close"
        assert len(seen) == 1


async def test_failed_handler_closes_with_1011_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """CLS-3."""

    async def fails(channel: Channel) -> None:
        await channel.receive()
        raise KeyError("secret detail")

    hub = Hub(fails)
    async with opened(hub) as ws:
        ws.send([1, 0, "x", "y"])
        assert await ws.frame() == {
            "type": "close",
            "code": 1011,
            "reason": "the server's handler failed",
            "by": "protocol",
            "last": 0,
            "ack": 0,
            "in_hand": 1,
        }
        assert await ws.closed() == 1011
    assert "secret detail" in caplog.text


async def test_closing_client_gets_what_handler_still_sends() -> None:
    """CLS-2."""
    ended: list[str] = []

    async def answers(channel: Channel) -> None:
        async for message in channel:
            await channel.send(["got", message])
        ended.append("iteration")
        with pytest.raises(ChannelClosed) as caught:
            await channel.receive()
        assert (caught.value.code, caught.value.reason) == (3001, "done")
        await channel.send("bye")

    async with opened(Hub(answers)) as ws:
        ws.send([1, 0, "x"])
        ws.send({"type": "close", "code": 3001, "reason": "done", "by": "app", "last": 2, "ack": 0})
        assert await ws.frame() == [1, 1, ["got", "x"]]
        assert not ended
        ws.send([2, 1, "y"])
        assert await ws.frame() == [2, 2, ["got", "y"], "bye"]
        close = await ws.frame()
        assert (close["code"], close["by"], close["last"], close["ack"]) == (3001, "app", 3, 2)
        ws.send({"type": "ack", "ack": 3})
        assert await ws.closed() == 3001


async def test_close_rejects_bad_code_and_reason() -> None:
    """CLS-1."""
    done = asyncio.Event()

    async def closes(channel: Channel) -> None:
        for code in (1001, 2999, 5000):
            with pytest.raises(ValueError, match="close code"):
                await channel.close(code)
        with pytest.raises(ValueError, match="123 bytes"):
            await channel.close(1000, "é" * 62)
        done.set()

    async with opened(Hub(closes)):
        await asyncio.wait_for(done.wait(), 30)


async def test_handler_that_outlives_session_is_cancelled() -> None:
    ended = asyncio.Event()

    async def lingers(channel: Channel) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    hub = Hub(lingers, limits=Limits(closing=0.1))
    async with opened(hub) as ws:
        ws.send({"type": "close", "code": 1000, "reason": "", "by": "app", "last": 0, "ack": 0})
        await asyncio.wait_for(ended.wait(), 30)
        assert (await ws.frame())["code"] == 1011
    await until(lambda: hub.statistics().sessions == 0)


async def test_expired_session_ends_its_handler(caplog: pytest.LogCaptureFixture) -> None:
    """LIV-3, RES-5."""
    caplog.set_level(logging.INFO)
    ended = asyncio.Event()

    async def keeps(channel: Channel) -> None:
        await silent(channel)
        ended.set()

    hub = Hub(keeps, limits=Limits(heartbeat=0.1, poll_hold=0.1, ttl=0.5))
    answer = await ask(hub, "/poll", lines(opening()))
    first = answer.frames[0]
    await asyncio.wait_for(ended.wait(), 30)
    await until(lambda: hub.statistics().sessions == 0)
    again = opening(2, session=first["session"], epoch=first["epoch"], nonce="n" * 22)
    reset = (await ask(hub, "/poll", lines(again))).frames[0]["reset"]
    assert reset["reason"] == "expired"
    assert (reset["lost"], reset["handled"]) == ([], 0)
    secret = first["session"].partition(".")[2]
    assert secret not in caplog.text
    assert first["id"] in caplog.text


# Many


async def test_groups_and_broadcast_reach_their_channels() -> None:
    hub = Hub(silent)
    async with opened(hub, nonce="a" * 22) as a, opened(hub, nonce="b" * 22) as b:
        first, second = hub.channels
        lobby = hub.group("lobby")
        lobby.add(first)
        lobby.add(first)
        assert hub.group("lobby") is lobby
        assert (len(lobby), first in lobby, second in lobby) == (1, True, False)
        assert await lobby.send({"n": 1}) == 1
        assert await hub.broadcast("all") == 2
        assert await hub.send_to(second.id, b"bytes")
        assert not await hub.send_to("nobody", "x")
        assert await a.frame() == [1, 0, {"n": 1}, "all"]
        assert await b.frame() == [1, 0, "all"]
        assert (await b.frame())[16:] == b"bytes"
        lobby.discard(first)
        lobby.discard(second)
        assert await lobby.send("nobody") == 0
        lobby.add(first)
        await first.close()
        a.send({"type": "ack", "ack": 2})
        assert (await a.frame())["type"] == "close"
        await until(lambda: first not in lobby)
        lobby.add(first)
        assert list(lobby) == []


async def test_broadcast_resets_full_session() -> None:
    """DAT-6, RES-5."""
    hub = Hub(silent, limits=Limits(window_messages=2))
    async with opened(hub, nonce="a" * 22) as slow, opened(hub, nonce="b" * 22) as quick:
        counts = []
        for number in range(3):
            counts.append(await hub.broadcast(number))
            assert await quick.frame() == [number + 1, 0, number]
            quick.send({"type": "ack", "ack": number + 1})
            await until(lambda: list(hub.channels)[-1].statistics().buffered == 0)
        assert counts == [2, 2, 1]
        frames = [await slow.frame() for _ in range(3)]
        assert frames[-1] == {
            "type": "reset",
            "reason": "overflow",
            "lost": [1, 2],
            "handled": 0,
            "in_hand": 0,
        }
        assert await slow.closed() == 4416


async def test_statistics_count_sessions_and_messages() -> None:
    hub = Hub(echo)
    assert hub.statistics().sessions == 0
    assert list(hub.channels) == []
    assert await hub.broadcast("nobody") == 0
    assert await hub.close_user("nobody") == 0
    async with opened(hub) as ws:
        ws.send([1, 0, "x"])
        assert await ws.frame() == [1, 1, "x"]
        ws.send({"type": "ack", "ack": 1})
        (channel,) = hub.channels
        await until(lambda: channel.statistics().acknowledged == 1)
        numbers = channel.statistics()
        assert (numbers.sent, numbers.received, numbers.handled, numbers.attaches) == (1, 1, 1, 1)
        assert hub.statistics().connections == {"websocket": 1, "sse": 0, "longpoll": 0}
        assert "websocket" in repr(channel)
        assert "lobby" in repr(hub.group("lobby"))


def test_exported_names_are_documented_ones() -> None:
    assert list(transport.__all__) == [
        *("Hub", "Channel", "Group", "Limits", "Identity", "Store", "MemoryStore", "connect"),
        *("ChannelError", "ChannelClosed", "Busy", "Stalled", "Unsendable", "TooLarge"),
        *("Unreachable", "SessionReset", "Unacknowledged", "Fate"),
        *("ChannelStatistics", "HubStatistics"),
    ]
    assert all(getattr(transport, name).__doc__ for name in transport.__all__)


def test_import_loads_no_server_and_no_client() -> None:
    """Neither uvicorn nor sse-starlette, which imports and hooks it, before a stream is opened;
    nor what only `connect` needs."""
    unwanted = {"uvicorn", "sse_starlette", "httpx", "websockets", "transport.client"}
    code = f"import sys, transport; print({unwanted} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"
