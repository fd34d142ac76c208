"""The sessions of a process: how they are opened, found, drained and released."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.types import Message, Receive, Scope, Send

from tests.support.clients.frame_client import TRANSPORTS, frame_client, try_open
from tests.support.counted import counted
from tests.support.short_limits import ShortLimits
from transport import Channel, Hub, Identity, Limits, MemoryStore
from transport.protocol.server.session import ServerSession
from transport.server import link
from transport.stores.records import Record
from transport.testing import (
    Connection,
    ask,
    lines,
    opening,
    request,
    scope_of,
    socket,
    stream,
    until,
)
from transport.testing import whole as answer_of

CLIENT = "client-0123456789"

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


async def closes(channel: Channel) -> None:
    await channel.close(4001, "not here")


def post(opened: dict[str, Any], *frames: object, attach: int = 1) -> bytes:
    head = {"type": "send", "session": opened["session"], "client": CLIENT, "attach": attach}
    return lines(head, *frames)


class Gate:
    """An ``authenticate`` that waits until ``open`` is set, then accepts every client."""

    def __init__(self) -> None:
        self.calls = 0
        self.open = asyncio.Event()

    async def __call__(self, connection: HTTPConnection, credentials: Any) -> Identity:
        self.calls += 1
        await self.open.wait()
        return Identity("ada")


# Opening


async def test_drain_during_authentication_drains_new_session() -> None:
    """DRN-1: without the drain frame, its stream would delay the shutdown of the server."""
    gate = Gate()
    hub = Hub(silent, authenticate=gate)
    connection = request(hub, "/sse", lines(opening()))
    await until(lambda: gate.calls == 1)
    await hub.drain()
    gate.open.set()
    body = (await answer_of(connection)).body
    assert b'"opened"' in body
    assert b'{"type":"drain"' in body


async def test_hanging_authenticate_times_out_as_unavailable() -> None:
    """IDN-2."""
    hub = Hub(silent, authenticate=Gate(), limits=Limits(opening=0.05))
    answer = await ask(hub, "/poll", lines(opening()))
    assert (answer.status, answer.frames[0]["code"]) == (503, "unavailable")


class SlowStore(MemoryStore):
    """Records an ``open`` at once, and answers it after a second."""

    async def open(self, nonce: str, record: Record, now: float, keep: float) -> Record:
        found = await super().open(nonce, record, now, keep)
        await asyncio.sleep(1)
        return found


async def test_cancelled_opening_is_completed_by_next() -> None:
    """OPN-4: the store had recorded the session, whose token the next `open` gets."""
    store = SlowStore()
    hub = Hub(silent, store=store)
    cancelled = request(hub, "/poll", lines(opening()))
    await asyncio.sleep(0.5)
    [recorded] = store._records
    await cancelled.stop()
    assert counted(hub).sessions == 0
    opened = (await ask(hub, "/poll", lines(opening(2)))).frames[0]
    assert (opened["id"], opened["verdict"]) == (recorded, "new")
    assert counted(hub).sessions == 1
    frame = opening(3, session=opened["session"], nonce="n" * 22)
    assert (await ask(hub, "/poll", lines(frame))).frames[0]["verdict"] == "resumed"


async def test_record_of_cancelled_opening_is_swept() -> None:
    """OPN-4: with its nonce, if no other `open` completes it."""
    store = SlowStore()
    hub = Hub(silent, store=store, limits=Limits(nonce=10))
    cancelled = request(hub, "/poll", lines(opening()))
    await asyncio.sleep(0.5)
    await cancelled.stop()
    assert len(store._records) == 1
    await asyncio.sleep(11)
    assert not store._records


@each_transport
async def test_repeated_opening_shows_end_of_session(transport: str) -> None:
    """OPN-4, CLS-5: the first answer was lost, and the session has been closed since."""
    hub = Hub(closes)
    first = (await ask(hub, "/poll", lines(opening()))).frames[0]
    await until(lambda: counted(hub).sessions == 0)
    async with frame_client(hub, transport, opening(2)) as client:
        assert (client.opened["id"], client.token) == (first["id"], first["session"])
        close = await client.control("close")
        assert (close["code"], close["last"]) == (4001, 0)
        if transport == "websocket":
            assert (await client.ended()).code == 4001
    ended = await try_open(hub, transport, opening(3, session=first["session"], nonce="n" * 22))
    assert ended is not None
    assert ended.frames == [close]


async def test_refused_resume_is_counted_as_reset() -> None:
    hub = Hub(silent)
    await ask(hub, "/poll", lines(opening(session="no-such-id.secret")))
    assert counted(hub).resets == {"unknown": 1}


@pytest.mark.parametrize("path", ["/chat/room%2D7/poll", "/chat/room%2D7/poll/"])
async def test_handler_paths_exclude_last_segment(path: str) -> None:
    scopes: list[Any] = []

    async def keeps(channel: Channel) -> None:
        scopes.append(channel.scope)

    scope = scope_of("http", path.replace("%2D", "-"), {"content-type": "application/x-ndjson"})
    scope.update({"method": "POST", "raw_path": path.encode()})
    body = {"type": "http.request", "body": lines(opening())}
    connection = Connection(Hub(keeps), scope, [body])
    assert (await connection.next())["status"] == 200
    await connection.stop()
    assert (scopes[0]["path"], scopes[0]["raw_path"]) == ("/chat/room-7", b"/chat/room%2D7")


# POST and poll


@pytest.mark.parametrize("is_released", [True, False])
async def test_last_close_of_client_is_answered(is_released: bool) -> None:
    """SND-6, CLS-4: the session has ended without it; perhaps only the store knows it."""
    closed, done = asyncio.Event(), asyncio.Event()

    async def lingers(channel: Channel) -> None:
        await channel.close(4001, "done")
        closed.set()
        await done.wait()

    hub = Hub(lingers)
    opened = (await ask(hub, "/poll", lines(opening()))).frames[0]
    await asyncio.wait_for(closed.wait(), 5)
    if is_released:
        done.set()
        await until(lambda: counted(hub).sessions == 0)
    end = {"type": "close", "code": 4001, "reason": "", "by": "app", "last": 0, "ack": 0}
    for frames, status in (([end], 200), ([{"type": "leave"}], 200), ([[1, 0, "late"], end], 404)):
        answer = await ask(hub, "/send", post(opened, *frames))
        assert answer.status == status
        if status == 200:
            marks = {"type": "ack", "ack": 0, "received": 0, "sent": 0, "attached": False}
            assert answer.frames == [marks]
    done.set()


async def test_post_that_resets_its_session_returns_404() -> None:
    """SND-3, MRK-5: neither the failing line nor the lines after it were accepted."""
    hub = Hub(silent)
    opened = (await ask(hub, "/poll", lines(opening()))).frames[0]
    answer = await ask(hub, "/send", post(opened, [1, 99, "a"], [2, 99, "b"]))
    assert (answer.status, answer.frames[0]["code"]) == (404, "unknown_session")
    resumed = opening(2, session=opened["session"], nonce="n" * 22)
    answer = await ask(hub, "/poll", lines(resumed))
    assert answer.frames[0]["reset"]["reason"] == "foreign"


async def test_post_superseded_during_renewal_returns_409() -> None:
    """SND-3, ATT-7: another attach is confirmed while its credentials are checked."""
    gate = Gate()
    gate.open.set()
    hub = Hub(silent, authenticate=gate)
    opened = (await ask(hub, "/poll", lines(opening()))).frames[0]
    second = (await ask(hub, "/poll", lines(opening(2, session=opened["session"])))).frames[0]
    assert second["verdict"] == "resumed"
    gate.open.clear()
    renewing = request(hub, "/send", post(opened, {"type": "renew", "credentials": 1}, [1, 0, "a"]))
    await until(lambda: gate.calls == 3)
    await ask(hub, "/send", post(opened, attach=2))
    gate.open.set()
    answer = await answer_of(renewing)
    assert (answer.status, answer.frames[0]["code"]) == (409, "superseded")


async def test_post_after_missed_renewal_returns_401() -> None:
    """REN-1: this holds even if the stream that got the request to renew has ended."""

    async def check(connection: HTTPConnection, credentials: Any) -> Identity:
        return Identity("ada", expires=time.time() + (1000 if credentials == "long" else 0.1))

    hub = Hub(silent, authenticate=check, limits=Limits(renewal=0.1))
    async with stream(hub, "/sse", opening()) as events:
        opened = await events.frame()
        assert (await ask(hub, "/send", post(opened))).status == 200
    (channel,) = hub.channels
    assert not channel.connected
    await asyncio.sleep(0.7)
    answer = await ask(hub, "/send", post(opened))
    assert (answer.status, answer.frames[0]["code"]) == (401, "unauthorized")
    resuming = opening(2, session=opened["session"], credentials="long")
    assert (await ask(hub, "/poll", lines(resuming))).frames[0]["verdict"] == "resumed"
    assert (await ask(hub, "/send", post(opened, attach=2))).status == 200


async def test_renew_lost_with_poll_answer_is_sent_again() -> None:
    """REN-1, POL-2: otherwise the client would never see the request and would be refused."""

    async def check(connection: HTTPConnection, credentials: Any) -> Identity:
        return Identity("ada", expires=time.time() + 0.05)

    hub = Hub(silent, authenticate=check)
    opened = (await ask(hub, "/poll", lines(opening()))).frames[0]

    def poll(number: int) -> bytes:
        head = {"type": "poll", "session": opened["session"], "client": CLIENT, "attach": 1}
        return lines({**head, "poll": number, "ack": 0, "hold": 1})

    renew = {"type": "renew", "within": 30.0}
    assert renew in (await ask(hub, "/poll", poll(1))).frames
    assert renew in (await ask(hub, "/poll", poll(1))).frames
    assert renew not in (await ask(hub, "/poll", poll(2))).frames


# Release


async def test_stuck_connection_is_aborted_after_session_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A broadcast resets a session with a full window, whose peer may be reading nothing."""
    monkeypatch.setattr(link, "ABORT_TIMEOUT", 0.1)
    dropped = asyncio.Event()
    hub = Hub(silent, limits=Limits(window_messages=1))

    class Transport:
        def abort(self) -> None:
            dropped.set()

    class Server:
        """A stand-in for a protocol object of uvicorn, with ``receive`` and ``send``."""

        transport = Transport()

        def __init__(self, receive: Receive) -> None:
            self._receive = receive

        async def receive(self) -> Message:
            return await self._receive()

    app = Starlette(routes=[Mount("/chat", app=hub)])

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, Server(receive).receive, send)

    async with socket(served, "/chat/websocket") as ws:
        ws.send(opening())
        await ws.frame()
        ws.connection.blocked = asyncio.Event()
        for number in range(3):
            await hub.broadcast(number)
        await until(lambda: counted(hub).sessions == 0)
        await asyncio.wait_for(dropped.wait(), 5)


async def _connect_over_each_transport(hub: Hub) -> None:
    """Connect and disconnect one client over each transport."""
    await ask(hub, "/poll", lines(opening(nonce="p" * 22)))
    async with stream(hub, "/sse", opening(nonce="s" * 22)) as events:
        await events.frame()
    async with socket(hub, "/websocket") as ws:
        ws.send(opening(nonce="w" * 22))
        await ws.frame()


async def test_expired_tombstone_leaves_nothing_of_session(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """This covers records, links, groups and counts."""
    monkeypatch.setattr(link, "ABORT_TIMEOUT", 0.1)

    async def in_the_lobby(channel: Channel) -> None:
        await hub.group("lobby").add(channel)
        await silent(channel)

    limits = ShortLimits(heartbeat=0.1, poll_hold=0.1, ttl=0.35, tombstone=0.1, closing=0.1)
    hub = Hub(in_the_lobby, limits=limits)
    await _connect_over_each_transport(hub)
    lobby = hub.group("lobby")
    assert len(lobby) == 3
    ids = {channel.id for channel in hub.channels}
    channels = weakref.WeakSet(hub.channels)
    await until(lambda: counted(hub).sessions == 0)

    def gone() -> bool:
        gc.collect()
        kept = (one for one in gc.get_objects() if isinstance(one, (ServerSession, Record)))
        return not channels and not any(one.id in ids for one in kept)

    await until(gone)
    assert len(lobby) == 0


async def test_nonce_of_other_client_opens_new_session() -> None:
    """OPN-4: a repeated opening finds the session; another client's copy of the nonce does not."""
    hub = Hub(silent)
    one, repeated, other = [
        (await ask(hub, "/poll", lines(opening(number, client=client)))).frames[0]
        for number, client in ((1, CLIENT), (2, CLIENT), (3, "other-client-0123"))
    ]
    assert one["id"] == repeated["id"] != other["id"]


async def test_tombstone_hides_messages_from_other_client() -> None:
    """ATT-6, RES-8: a client that no longer owns the session does not get the other's counts."""
    hub = Hub(silent)
    opened = (await ask(hub, "/poll", lines(opening()))).frames[0]
    end = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 1, "ack": 0}
    await ask(hub, "/send", post(opened, [1, 0, "a"], end))
    mine = opening(2, session=opened["session"])
    while (answer := await ask(hub, "/poll", lines(mine))).frames[0]["type"] != "close":
        mine["attach"] += 1  # until the handler has returned
    other = opening(9, session=opened["session"], client="other-client-0123")
    answer = await ask(hub, "/poll", lines(other))
    assert answer.frames[0]["reset"]["reason"] == "foreign"
