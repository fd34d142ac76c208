"""The hub: mounting, the scope that a handler gets, groups, broadcast and drain."""

from __future__ import annotations

import asyncio
import subprocess
import sys
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
from tests.support.confirmed_socket import confirmed_socket, next_frame
from tests.support.counted import counted
from transport import Channel, Hub, Limits
from transport.testing import (
    Connection,
    ask,
    lines,
    opening,
    scope_of,
    stream,
    until,
)


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


async def pass_through(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


def mounts(hub: Hub) -> list[tuple[str, ASGIApp]]:
    """Return the ways to mount a hub, each with the path of its channel."""
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
async def test_hub_in_each_mount_serves_all_transports(number: int) -> None:
    hub = Hub(echo)
    path, app = mounts(hub)[number]
    async with confirmed_socket(app, path + "/websocket") as ws:
        ws.send([1, 0, "x"])
        assert await ws.frame() == [1, 1, "x"]
    async with stream(app, path + "/sse", opening(nonce="s" * 22)) as events:
        assert (await events.frame())["type"] == "opened"
    assert (await ask(app, path + "/poll", lines(opening(nonce="p" * 22)))).status == 200
    assert (await ask(app, path + "/poll/", lines(opening(nonce="t" * 22)))).status == 200
    assert counted(hub).opened == 4
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
        async with confirmed_socket(hub) as ws:
            draining = asyncio.ensure_future(hub.drain())
            assert (await ws.frame())["type"] == "drain"
            assert await ws.closed() == 1012
            await asyncio.wait_for(draining, 30)
        answer = await ask(hub, "/poll", lines(opening(nonce="n" * 22)))
        assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")
        assert "retry-after" in answer.headers
    assert counted(hub).sessions == 0


async def test_lifespan_that_was_called_says_what_to_pass() -> None:
    app = Starlette(lifespan=Hub(silent).lifespan())  # type: ignore[arg-type]
    connection = Connection(app, {"type": "lifespan"}, [{"type": "lifespan.startup"}])
    failed = await connection.next()
    assert failed["type"] == "lifespan.startup.failed"
    assert "write lifespan=hub.lifespan, without calling it" in failed["message"]
    await connection.stop()


async def test_hub_as_whole_application_handles_lifespan() -> None:
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
        # A compressing proxy makes the tag weak, and a cache may hold several tags.
        for known in ("{}", "W/{}", '"older", {}'):
            etag = {"if-none-match": known.format(answer.headers["etag"])}
            unchanged = await ask(hub, "/" + name, method="GET", headers=etag)
            assert unchanged.status == 304
            assert "content-length" not in unchanged.headers
    assert (await ask(hub, "/client.js", method="POST")).status == 405
    assert (await ask(hub, "/../client.js.py", method="GET")).status == 404


# Groups and broadcast


async def test_groups_and_broadcast_reach_their_channels() -> None:
    hub = Hub(silent)
    async with (
        confirmed_socket(hub, nonce="a" * 22) as a,
        confirmed_socket(hub, nonce="b" * 22) as b,
    ):
        first, second = hub.channels
        lobby = hub.group("lobby")
        await lobby.add(first)
        await lobby.add(first)
        assert hub.group("lobby") is lobby
        assert (len(lobby), first in lobby, second in lobby) == (1, True, False)
        await lobby.send({"n": 1})
        await hub.broadcast("all")
        assert await hub.send_to(second.id, b"bytes")
        assert not await hub.send_to("nobody", "x")
        assert await a.frame() == [1, 0, {"n": 1}, "all"]
        assert await b.frame() == [1, 0, "all"]
        assert (await b.frame())[16:] == b"bytes"
        lobby.discard(first)
        lobby.discard(second)
        await lobby.send("nobody")
        await lobby.add(first)
        await first.close()
        a.send({"type": "ack", "ack": 2})
        assert (await a.frame())["type"] == "close"
        await until(lambda: first not in lobby)
        await lobby.add(first)
        assert list(lobby) == []


async def test_broadcast_resets_full_session() -> None:
    """DAT-6, RES-5."""
    hub = Hub(silent, limits=Limits(window_messages=2))
    async with (
        confirmed_socket(hub, nonce="a" * 22) as slow,
        confirmed_socket(hub, nonce="b" * 22) as quick,
    ):
        for number in range(3):
            await hub.broadcast(number)
            assert await next_frame(quick) == [number + 1, 0, number]
            quick.send({"type": "ack", "ack": number + 1})
            await until(lambda: list(hub.channels)[-1].statistics().buffered == 0)
        frames = [await next_frame(slow) for _ in range(3)]
        assert frames[-1] == {
            "type": "reset",
            "reason": "overflow",
            "lost": [1, None],
            "handled": 0,
            "in_hand": 0,
            "dropped": 1,
        }
        assert await slow.closed() == 4416


async def test_statistics_count_sessions_and_messages() -> None:
    hub = Hub(echo)
    assert counted(hub).sessions == 0
    assert list(hub.channels) == []
    await hub.broadcast("nobody")
    await hub.close_user("nobody")
    async with confirmed_socket(hub) as ws:
        ws.send([1, 0, "x"])
        assert await ws.frame() == [1, 1, "x"]
        ws.send({"type": "ack", "ack": 1})
        (channel,) = hub.channels
        await until(lambda: channel.statistics().acknowledged == 1)
        numbers = channel.statistics()
        assert (numbers.sent, numbers.received, numbers.handled, numbers.attaches) == (1, 1, 1, 1)
        assert counted(hub).connections == {"websocket": 1, "sse": 0, "longpoll": 0}
        assert "websocket" in repr(channel)
        assert "lobby" in repr(hub.group("lobby"))


def test_exported_names_have_docstrings() -> None:
    assert all(getattr(transport, name).__doc__ for name in transport.__all__)


def test_import_loads_no_server_and_no_client() -> None:
    """Load neither uvicorn nor sse-starlette (which patches uvicorn) before a stream is opened.

    Do not load the dependencies of `connect` either.
    """
    unwanted = {"uvicorn", "sse_starlette", "httpx", "websockets", "redis", "transport.client"}
    code = f"import sys, transport; print({unwanted} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"
