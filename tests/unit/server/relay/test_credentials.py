"""Credentials are checked at the edge, and no secret leaves it (IDN-2, REN-1)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.support.clients.frame_client import TRANSPORTS, frame_client, try_open
from tests.unit.server.relay.conftest import DEADLINE, poll
from tests.unit.server.relay.test_edges import resuming
from transport import Identity
from transport.bus.items import Item, encode_item
from transport.bus.pipe import UnixPipe
from transport.errors import ProtocolError
from transport.protocol.frames import Send
from transport.stores.tokens import read_token
from transport.testing import opening

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
MakeCluster = Callable[..., Any]


async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity | None:
    """Accept ``[subject, seconds, secret]``."""
    if not isinstance(credentials, list) or credentials[0] == "refused":
        return None
    return Identity(credentials[0], expires=time.time() + credentials[1])


def renew(*credentials: Any) -> dict[str, Any]:
    return {"type": "renew", "credentials": list(credentials)}


@each_transport
async def test_credentials_are_renewed_at_an_edge(
    make_cluster: MakeCluster, transport: str
) -> None:
    """The home asks, the edge checks, and the session goes on."""
    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=authenticate) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket", opening(credentials=["ada", 60])) as first:
            pass
        frame = resuming(first, 2, credentials=["ada", 0.5])
        async with frame_client(b, transport, frame) as second:
            await second.confirm()
            await second.control("renew")
            await second.send(renew("ada", 60), [1, 0, "x"])
            assert await second.data() == ["x"]


@each_transport
async def test_renewal_that_an_edge_refuses_ends_every_connection(
    make_cluster: MakeCluster, transport: str
) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=authenticate) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket", opening(credentials=["ada", 60])) as first:
            pass
        frame = resuming(first, 2, credentials=["ada", 60])
        async with frame_client(b, transport, frame) as second:
            await second.confirm()
            assert (await second.refusal(renew("refused", 60)))["code"] == "unauthorized"
            for hub in (a, b):
                second.carrier.app = hub  # type: ignore[attr-defined]
                answer = await second.post([1, 0, "x"])
                assert (answer.status, answer.frames[0]["code"]) == (401, "unauthorized")
        frame = resuming(first, 3, credentials=["ada", 60])
        assert await try_open(b, transport, frame) is None


async def test_late_refusal_leaves_a_newer_open(make_cluster: MakeCluster) -> None:
    """An ``open`` with valid credentials came while those of a POST were checked (REN-1)."""
    checking, go_on = asyncio.Event(), asyncio.Event()

    async def check(connection: HTTPConnection, credentials: Any) -> Identity | None:
        if credentials == ["refused"]:
            checking.set()
            await go_on.wait()
        return await authenticate(connection, credentials)

    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=check) as cluster:
        a, b = cluster.hubs
        valid: dict[str, Any] = {"credentials": ["ada", 60]}
        async with frame_client(a, "websocket", opening(**valid)) as first:
            pass
        async with frame_client(b, "sse", resuming(first, 2, **valid)) as second:
            await second.confirm()
            late = asyncio.create_task(second.post(renew("refused")))
            await checking.wait()
            async with frame_client(b, "websocket", resuming(first, 3, **valid)) as third:
                await third.confirm()
                go_on.set()
                assert (await late).frames[0]["code"] == "unauthorized"
                await third.send([1, 0, "x"])
                assert await third.data() == ["x"]


async def test_renewal_as_another_user_is_refused_by_the_home(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=authenticate) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket", opening(credentials=["ada", 60])) as first:
            pass
        frame = resuming(first, 2, credentials=["ada", 60])
        async with frame_client(b, "websocket", frame) as second:
            await second.confirm()
            error = await second.refusal(renew("bob", 60))
            assert (error["code"], "another user" in error["message"]) == ("unauthorized", True)


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is sent on pipes."""
    sent: list[bytes] = []
    send = UnixPipe.send

    def spy(pipe: UnixPipe, item: Item) -> None:
        sent.append(encode_item(item))
        send(pipe, item)

    monkeypatch.setattr(UnixPipe, "send", spy)
    return sent


async def test_no_secret_is_on_a_pipe(make_cluster: MakeCluster, piped: list[bytes]) -> None:
    """Neither token, nonce nor credentials: of opening, resuming, POSTs, polls and renewals."""
    tokens = set()
    async with (
        asyncio.timeout(DEADLINE),
        make_cluster(count=3, authenticate=authenticate) as cluster,
    ):
        for number, transport in enumerate(TRANSPORTS * 2, 1):
            # The openings have one nonce, and so one session.
            frame = opening(number, credentials=["ada", 60, "SECRET"])
            async with frame_client(cluster, transport, frame) as client:
                tokens.add(client.token)
                await client.confirm()
                for again in ("A", "B"):
                    await client.send(renew("ada", 60, f"SECRET-{again}"))
        await poll(lambda: len(piped) > 20)
    [token] = tokens
    everything = b"\n".join(piped)
    assert token.partition(".")[0].encode() in everything
    for secret in (b"SECRET", token.partition(".")[2].encode(), b"nonce-1"):
        assert secret not in everything


@pytest.mark.parametrize("is_posted", [False, True])
@pytest.mark.parametrize(
    "spelled",
    [
        b'{"type":"\\u0072enew","credentials":["ada",60,"SECRET"]}',
        b' {"credentials": ["ada",60,"SECRET"], "type" :"renew"}',
    ],
)
async def test_renewal_stays_at_an_edge_however_spelled(
    make_cluster: MakeCluster, piped: list[bytes], is_posted: bool, spelled: bytes
) -> None:
    seen: list[Any] = []

    async def check(connection: HTTPConnection, credentials: Any) -> Identity | None:
        seen.append(credentials)
        return await authenticate(connection, credentials)

    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=check) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket", opening(credentials=["ada", 60])) as first:
            pass
        frame = resuming(first, 2, credentials=["ada", 60])
        async with frame_client(b, "websocket", frame) as second:
            await second.confirm()
            if is_posted:
                assert (await second.post_bytes(spelled)).status == 200
            else:
                await second.socket.put(spelled)  # type: ignore[attr-defined]
            await poll(lambda: ["ada", 60, "SECRET"] in seen)
            await second.send([1, 0, "x"])
            assert await second.data() == ["x"]
        assert b"SECRET" not in b"\n".join(piped)


async def test_post_in_parts_gets_every_answer(make_cluster: MakeCluster) -> None:
    """What is before a renewal is handled first, and answered too."""
    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=authenticate) as cluster:
        a, b = cluster.hubs
        valid: dict[str, Any] = {"credentials": ["ada", 60]}
        async with frame_client(a, "websocket", opening(**valid)) as first:
            pass
        async with frame_client(b, "longpoll", resuming(first, 2, **valid)) as second:
            pings = [{"type": "ping", "id": number} for number in (7, 8)]
            answer = await second.post(pings[0], renew("ada", 60), pings[1])
            pongs = [frame["id"] for frame in answer.frames if frame["type"] == "pong"]
            assert pongs == [7, 8]


async def test_subject_with_a_lone_surrogate_resumes(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=anybody) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket", opening(credentials="x")) as first:
            pass
        async with frame_client(b, "websocket", resuming(first, 2, credentials="x")) as second:
            assert second.opened["verdict"] == "resumed"
            await second.confirm()
            await second.send({"type": "renew", "credentials": "y"}, [1, 0, "x"])
            assert await second.data() == ["x"]


async def anybody(connection: HTTPConnection, credentials: Any) -> Identity:
    return Identity("a\ud800")


async def test_home_refuses_a_renewal_of_a_pipe(make_cluster: MakeCluster) -> None:
    """Its request would be another one than that of the connection."""
    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=authenticate) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket", opening(credentials=["ada", 60])) as first:
            pass
        frame = resuming(first, 2, credentials=["ada", 60])
        async with frame_client(b, "websocket", frame) as second:
            await second.confirm()
            relay = b._lifecycle.current._relay
            [link] = relay.edge._links.values()
            line = b'{"type":"renew","credentials":["ada",60]}'
            credential = read_token(first.token)
            assert credential is not None
            head = Send(credential.id, second.opened["client"], second.opened["attach"])
            with pytest.raises(ProtocolError, match="process that has the connection"):
                await relay.requests._post(link.pipe.peer, credential, head, line)
            link._flow.add(line.decode())
            ended = await second.ended()
            assert (ended.code, ended.error["code"]) == (4400, "bad_frame")
