"""Urgent work does not wait for the sweep. The clock advances only while all tasks are idle."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.support.turned_clock import anyio_backend  # noqa: F401 - a fixture
from transport import Channel, ChannelClosed, Hub, Identity, Limits
from transport.testing import Socket, Stream, ask, lines, opening, socket, stream

A, B = "client-A-0123456789", "client-B-0123456789"
CONFIRM = {"type": "ack", "ack": 0}


def now() -> float:
    return asyncio.get_running_loop().time()


async def idle() -> None:
    """Let the event loop run until nothing more is due."""
    for _ in range(60):
        await asyncio.sleep(0)


async def open_session(one: Socket) -> dict[str, Any]:
    """Open a session of client A and confirm it. Return the ``opened`` frame."""
    one.send(opening(1, client=A))
    opened: dict[str, Any] = await one.frame()
    one.send(CONFIRM)
    await idle()
    return opened


async def written_so_far(one: Socket | Stream) -> list[Any]:
    """Return what has been written so far, without waiting.

    If the connection has ended, the last item is its end.
    """
    await idle()
    queue = one.connection.outbound
    return [queue.get_nowait() for _ in range(queue.qsize())]


async def busy(channel: Channel) -> None:
    """Receive one message and take a long time to handle it."""
    await channel.receive()
    await asyncio.sleep(1000)


async def test_message_of_owner_ends_other_attach_at_once() -> None:
    """ATT-6."""
    hub = Hub(busy)
    async with hub.lifespan(), socket(hub, "/websocket") as a, socket(hub, "/websocket") as b:
        opened = await open_session(a)
        a.send([1, 0, "x"])
        await idle()
        b.send(opening(2, client=B, session=opened["session"], first_retained=2))
        assert (await b.frame())["verdict"] == "resumed"
        before = now()
        a.send([2, 0, "y"])
        assert (await b.frame())["code"] == "superseded"
        assert now() == before


@pytest.mark.parametrize("over", ["websocket", "sse"])
async def test_refused_confirmation_is_answered_at_once(over: str) -> None:
    """ATT-6."""

    async def handler(channel: Channel) -> None:
        for number in range(3):
            await channel.send(number)
        await asyncio.sleep(1000)

    hub = Hub(handler)
    async with hub.lifespan(), socket(hub, "/websocket") as a:
        opened = await open_session(a)
        frame = opening(2, client=B, session=opened["session"])
        kind = socket(hub, "/websocket") if over == "websocket" else stream(hub, "/sse", frame)
        async with kind as b:
            if isinstance(b, Socket):
                b.send(frame)
            assert (await b.frame())["verdict"] == "resumed"
            a.send({"type": "ack", "ack": 3})
            await written_so_far(b)
            before = now()
            if isinstance(b, Socket):
                b.send(CONFIRM)
            else:
                header = {"type": "send", "session": opened["session"], "client": B, "attach": 2}
                assert (await ask(hub, "/send", lines(header, [1, 0, "m"]))).status == 409
            written = await written_so_far(b)
            assert "superseded" in str(written[0])
            assert len(written) > 1, "the connection must end too"
            assert now() == before


@pytest.mark.parametrize("end", ["reset", "drain", "superseded"])
@pytest.mark.parametrize("over", ["websocket", "sse"])
async def test_close_arrives_while_writer_is_blocked(over: str, end: str) -> None:
    """DRN-1, RES-4, ATT-5: a slow reader is the case in which this matters."""
    channels: list[Channel] = []
    tasks: list[asyncio.Task[None]] = []

    async def handler(channel: Channel) -> None:
        channels.append(channel)
        await asyncio.sleep(1000)

    hub = Hub(handler, limits=Limits(window_messages=10))
    kind = (
        socket(hub, "/websocket")
        if over == "websocket"
        else stream(hub, "/sse", opening(1, client=A))
    )
    async with hub.lifespan(), kind as a, socket(hub, "/websocket") as other:
        opened = await open_session(a) if isinstance(a, Socket) else await a.frame()
        await idle()
        a.connection.blocked = held_up = asyncio.Event()
        await channels[0].send("one")
        await idle()
        if end == "reset":
            for number in range(12):
                await hub.broadcast(number)
        elif end == "drain":
            tasks.append(asyncio.create_task(hub.drain()))
        else:
            other.send(opening(2, client=A, session=opened["session"]))
            assert (await other.frame())["verdict"] == "resumed"
            other.send(CONFIRM)
        await idle()
        a.connection.blocked = None
        held_up.set()
        assert any(f'"{end}"' in str(written) for written in await written_so_far(a))
        await asyncio.gather(*tasks)


async def test_frames_before_renewal_are_not_delayed() -> None:
    """SND-3, REN-1."""
    calls = 0
    taken: list[tuple[Any, float]] = []

    async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity:
        nonlocal calls
        calls += 1
        if calls > 1:
            await asyncio.sleep(3)
        return Identity("u")

    async def handler(channel: Channel) -> None:
        message = await channel.receive()
        taken.append((message, now()))
        await channel.receive()

    hub = Hub(handler, authenticate=authenticate)
    async with hub.lifespan(), stream(hub, "/sse", opening(1, client=A)) as events:
        opened = await events.frame()
        await idle()
        before = now()
        header = {"type": "send", "session": opened["session"], "client": A, "attach": 1}
        renewal = {"type": "renew", "credentials": 1}
        assert (await ask(hub, "/send", lines(header, [1, 0, "m"], renewal))).status == 200
        assert now() - before == pytest.approx(3)
        assert taken == [("m", before)]


@pytest.mark.parametrize("waits", ["room", "acknowledged"])
async def test_drain_ends_handler_waiting_for_client(waits: str) -> None:
    """DRN-1."""
    ended: list[int] = []

    async def handler(channel: Channel) -> None:
        try:
            while True:
                number = await channel.send("x")
                if waits == "acknowledged":
                    await channel.acknowledged(number)
        except ChannelClosed as error:
            ended.append(error.code)
            raise

    hub = Hub(handler, limits=Limits(window_messages=3))
    async with hub.lifespan(), socket(hub, "/websocket") as a:
        await open_session(a)
        before = now()
        await hub.drain()
        assert (ended, now()) == ([1012], before)
