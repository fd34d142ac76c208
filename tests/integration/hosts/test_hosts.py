"""The channel on every host, mounted in every way, as docs/hosts.md describes it."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import InvalidStatus

from tests.integration.hosts.apps import OWN, SHAPES, Shape
from tests.integration.hosts.hosts import VARIANTS, Variant, eventually
from tests.support.clients.frame_client import TRANSPORTS, encode, open_frame
from tests.support.servers.listener import listeners
from tests.support.servers.uvicorn import Server
from transport import ChannelClosed, Limits, connect
from transport.client import Pacing

FOREIGN = {"origin": "https://evil.example"}
MESSAGES: list[Any] = [
    "a",
    "caf\u00e9 \u2028 \u65e5\u672c \U0010ffff \x00",
    {"nested": [1, None, {"true": True}]},
    b"",
    bytes(range(256)),
]
LARGEST: list[Any] = ["x" * (Limits().message - 2), b"y" * Limits().message]
PACING = Pacing(open_timeout=15.0, post_timeout=15.0, retry_base=0.1)
"""Attempts are compared one by one, so none may fail because the machine is busy."""
ONE_OF_EACH = ["uvicorn-sansio-httptools-uvloop", "hypercorn-asyncio", "granian"]
"""A host's options do not change the paths that it reports."""


def open_to(url: str, transport: str, **options: Any) -> connect:
    return connect(
        url, transports=[transport], trust_env=False, timeout=20, pacing=PACING, **options
    )


def client_of(server: Server, **headers: str) -> httpx.AsyncClient:
    # Without certificates, which take longer to load than everything else.
    return httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False, verify=False)


def path_of(shape: Shape) -> str:
    """Return the path that the handler must see behind a proxy that removes a prefix."""
    return httpx.URL(f"http://a{shape.path.removeprefix(shape.cut)}").path


async def for_each_transport(work: Callable[[str], Awaitable[None]]) -> None:
    """Run ``work`` over all transports at the same time."""
    await asyncio.gather(*map(work, TRANSPORTS))


async def converse(
    url: str, transport: str, headers: dict[str, str] | None = None, messages: list[Any] = MESSAGES
) -> dict[str, Any]:
    """Use all features of a channel. Return what its handler saw of the opening request."""
    with anyio.fail_after(30):
        async with open_to(url, transport, headers=headers) as channel:
            for message in messages:
                await channel.send(message)
            assert [await channel.receive() for _ in messages] == messages
            await channel.send({"tell": "scope"})
            seen = await channel.receive()
            await channel.flush()
            channel.reconnect()
            await channel.send("after the cut")
            assert await channel.receive() == "after the cut"
            counts = channel.statistics()
            assert (counts.attaches, counts.resets) == (2, 0)
            assert [one.transport for one in channel.explain()] == [transport] * 2
            await channel.send({"close": [4001, "go away \u2713"]})
            with pytest.raises(ChannelClosed) as closed:
                await channel.receive()
            assert (closed.value.code, closed.value.reason) == (4001, "go away \u2713")
    assert isinstance(seen, dict)
    return seen


# Every shape


@pytest.mark.parametrize("name", SHAPES)
async def test_host_carries_conversation_over_each_transport(server: Server, name: str) -> None:
    """Both ways, over a cut, to a close with a code; the handler sees the path of the open."""
    shape = SHAPES[name]

    async def check(transport: str) -> None:
        assert await converse(server.url + shape.url, transport, dict(shape.headers)) == {
            "hub": shape.hub,
            "path": path_of(shape),
            "query": shape.query,
            "user": shape.user,
            "identity": shape.user,
        }

    await for_each_transport(check)


async def test_host_passes_largest_messages(server: Server) -> None:
    """The host's own limits are above the protocol's."""

    async def check(transport: str) -> None:
        await converse(f"{server.url}/mounted", transport, messages=LARGEST)

    await for_each_transport(check)


@pytest.mark.parametrize("name", SHAPES)
async def test_refusals_have_their_status(server: Server, name: str) -> None:
    """HTTP-1, HTTP-2, WS-2, WS-3, IDN-1: each refusal has its status."""
    path = SHAPES[name].path

    def code(answer: httpx.Response) -> tuple[int, str]:
        assert answer.headers["content-type"] == "application/json"
        return answer.status_code, answer.json()["code"]

    async with client_of(server) as client:
        assert code(await client.post(f"{path}/nothing")) == (404, "not_found")
        answer = await client.get(f"{path}/sse")
        assert code(answer) == (405, "method_not_allowed")
        assert answer.headers["allow"] == "POST, OPTIONS"
        answer = await client.get(f"{path}/websocket")
        assert code(answer) == (426, "upgrade_required")
        assert answer.headers["upgrade"] == "websocket"
        for segment in ("sse", "poll", "send"):
            answer = await client.post(f"{path}/{segment}", headers=FOREIGN)
            assert code(answer) == (403, "forbidden_origin")
        answer = await client.get(f"{path}/client.js")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/javascript")
    assert await refused(server, f"{path}/websocket", FOREIGN) == 403
    assert await refused(server, f"{path}/nothing") == 404


async def refused(server: Server, path: str, headers: dict[str, str] | None = None) -> int:
    """Return the status of a refused WebSocket."""
    url = server.url.replace("http", "ws", 1) + path
    with pytest.raises(InvalidStatus) as caught:
        async with connect_websocket(url, additional_headers=headers, proxy=None):
            pass
    return caught.value.response.status_code


# Middleware, and the application's other routes


@pytest.mark.parametrize("name", ["gzip", "all"])
async def test_gzip_middleware_leaves_streams_alone(server: Server, name: str) -> None:
    """SSE-1: GZip middleware does not compress event streams."""
    headers = {"accept-encoding": "gzip", "content-type": "application/x-ndjson"}
    async with client_of(server, **headers) as client:
        body = encode(open_frame())
        async with client.stream("POST", f"/{name}/chat/sse", content=body) as stream:
            assert stream.headers["content-encoding"] == "identity"
            assert stream.headers["content-type"].startswith("text/event-stream")
            assert stream.headers["x-accel-buffering"] == "no"
            with anyio.fail_after(30):
                events = stream.aiter_lines()
                opened = json.loads((await anext(events)).removeprefix("data: "))
                header = {key: opened[key] for key in ("session", "client", "attach")}
                for number in range(1, 4):
                    body = encode({"type": "send", **header}, [number, number - 1, "ping"])
                    answer = await client.post(f"/{name}/chat/send", content=body)
                    assert answer.status_code == 200
                    while '"ping"' not in (line := await anext(events)):
                        assert "type" in line or not line, line
        poll = await client.post(f"/{name}/chat/poll", content=encode(open_frame()))
        assert poll.headers["content-encoding"] == "gzip", "the middleware is active"


async def test_middleware_is_installed(server: Server) -> None:
    """Without it, the shapes would prove nothing."""
    async with client_of(server, origin=OWN) as client:
        assert (await client.get("/base/chat/sse")).headers["x-dispatched"] == "yes"
        answer = await client.get("/all/chat/sse")
        assert answer.headers["x-dispatched"] == "yes"
        assert (await client.get("/fastapi/items/7")).json() == {"item": 7}
        assert (await client.get("/fastapi/items/x")).status_code == 422


@pytest.mark.parametrize("name", ["mounted", "cors/chat", "all/chat"])
async def test_listed_origin_may_read_answers(server: Server, name: str) -> None:
    """IDN-1: there is one header of each kind, although a middleware adds its own."""
    preflight = {
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
    }
    async with client_of(server, origin=OWN) as client:
        answer = await client.options(f"/{name}/sse", headers=preflight)
        assert answer.status_code in (200, 204)
        assert "POST" in answer.headers["access-control-allow-methods"]
        for one in (answer, await client.post(f"/{name}/sse")):
            assert one.headers.get_list("access-control-allow-origin") == [OWN]
            assert one.headers.get_list("access-control-allow-credentials") == ["true"]
            assert "origin" in one.headers["vary"].lower()


async def test_session_middleware_identifies_user(server: Server) -> None:
    """IDN-2: the user comes from the session middleware."""

    async def check(cookie: str, transport: str) -> None:
        url = f"{server.url}/session/chat"
        async with open_to(url, transport, headers={"cookie": cookie}) as channel:
            await channel.send({"tell": "scope"})
            seen = await channel.receive()
            assert isinstance(seen, dict)
            assert seen["identity"] == "grace"

    async with client_of(server) as client:
        login = await client.get("/session/login/grace")
    await for_each_transport(partial(check, login.headers["set-cookie"].partition(";")[0]))


@pytest.mark.parametrize("name", ["authenticated", "session"])
async def test_stranger_is_refused(server: Server, name: str) -> None:
    """IDN-2: an unknown user is refused."""

    async def check(transport: str) -> None:
        with pytest.raises(ChannelClosed, match="4401"):
            async with open_to(f"{server.url}/{name}/chat", transport):
                pass

    await for_each_transport(check)


# Ends


@pytest.mark.parametrize("name", ["mounted", "all/chat", "fastapi/chat"])
@pytest.mark.parametrize("transport", ["websocket", "sse"])
async def test_client_that_disconnects_is_detached(
    server: Server, name: str, transport: str
) -> None:
    """A parked poll is not watched: it ends with its hold (docs/design.md)."""
    hub = name.partition("/")[0]

    async def connected(count: int) -> None:
        async def counted() -> bool:
            found = (await client.get("/statistics")).json()
            return bool(found[hub][transport] == count)

        await eventually(counted)

    async with client_of(server) as client:
        await connected(0)
        async with open_to(f"{server.url}/{name}", transport) as channel:
            await connected(1)
            channel.suspend()  # without a close
            await connected(0)
            channel.resume()
            await connected(1)


async def test_sigterm_tells_every_client_and_ends_host(server: Server, variant: Variant) -> None:
    """DRN-1: with and without a lifespan, and behind middleware."""
    channels = [f"{server.url}/{name}" for name in ("mounted", "unwired", "all/chat")]
    async with (
        listeners(channels[0], *TRANSPORTS) as mounted,
        listeners(channels[1], *TRANSPORTS) as unwired,
        listeners(channels[2], *TRANSPORTS) as wrapped,
        client_of(server) as client,
    ):

        async def parked() -> bool:
            return bool((await client.get("/statistics")).json()["polls"] == len(channels))

        await eventually(parked)
        await client.aclose()
        await server.stop(signal.SIGTERM)
        for raw in (*mounted, *unwired, *wrapped):
            await raw.until_ended()
            kinds = [frame["type"] for frame in raw.frames[-1:]]
            if raw.transport != "websocket":
                assert kinds == ["drain"], raw
            elif variant.cuts_websockets:
                assert kinds in ([], ["drain"])
                assert raw.code in (None, 1012)
            else:
                assert (kinds, raw.code) == (["drain"], 1012)


# Mounts


@pytest.mark.parametrize("host", ONE_OF_EACH)
async def test_hub_serves_as_the_application(host: str) -> None:
    """The hub has the server's lifespan; any path is a channel, with the server's prefix."""
    variant = VARIANTS[host]
    async with variant.serving("alone", variant.prefix, "/pre") as server:
        cut = "" if not variant.prefix_in_path else "/pre"

        async def check(path: str, transport: str) -> None:
            seen = await converse(server.url + path, transport)
            assert (seen["hub"], seen["path"]) == ("bare", cut + path or "/")

        await for_each_transport(partial(check, ""))
        await for_each_transport(partial(check, "/any/path"))
        await server.stop()


@pytest.mark.parametrize("host", ONE_OF_EACH)
async def test_hub_works_below_prefix_of_server(host: str) -> None:
    """If the path lacks the prefix, Starlette finds no route of a nested router."""
    variant = VARIANTS[host]
    async with variant.serving("prefixed", variant.prefix, "/pre") as server:
        cut = "" if not variant.prefix_in_path else "/pre"

        async def check(path: str, hub: str, transport: str) -> None:
            seen = await converse(server.url + path, transport)
            assert (seen["hub"], seen["path"]) == (hub, cut + path)

        await for_each_transport(partial(check, "/chat", "prefixed"))
        if variant.prefix_in_path:
            await for_each_transport(partial(check, "/a/b/c", "prefixed-nested"))
        else:
            async with client_of(server) as client:
                answer = await client.get("/a/b/c/client.js")
                assert (answer.status_code, answer.text) == (404, "Not Found")
            assert await refused(server, "/a/b/c/websocket") == 403


def test_document_states_differences_of_hosts() -> None:
    """docs/hosts.md lists the differences between hosts."""
    text = (Path(__file__).parents[3] / "docs/hosts.md").read_text("utf-8")
    section = text.partition("\n## What each server can")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in section.split("\n")]
    table = {row[0]: dict(zip(ONE_OF_EACH, row[1:], strict=True)) for row in cells if row}

    def row(begins: str) -> dict[str, str]:
        [found] = [row for title, row in table.items() if title.startswith(begins)]
        return found

    def yes_or_no(holds: bool) -> str:
        return "yes" if holds else "no"

    for name in ONE_OF_EACH:
        variant = VARIANTS[name]
        assert row("SIGTERM tells WebSockets")[name] == yes_or_no(not variant.cuts_websockets)
        assert row("option for a prefix")[name] == f"`{variant.prefix}`"
        assert row("`channel.scope")[name] == yes_or_no(variant.prefix_in_path)
        assert row("below that prefix")[name] == yes_or_no(variant.prefix_in_path)
