"""`Hub.close_user` ends every session of a user (IDN-2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.support.clients.frame_client import TRANSPORTS, frame_client, try_open
from tests.support.counted import counted
from transport import Channel, ChannelClosed, Hub, Identity
from transport.testing import drive, opening, until

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


async def by_name(connection: HTTPConnection, credentials: Any) -> Identity | None:
    return Identity(credentials) if credentials else None


class Seen:
    """A handler that records how it ended."""

    def __init__(self) -> None:
        self.ends: list[Any] = []

    async def __call__(self, channel: Channel) -> None:
        async for _ in channel:
            pass
        try:
            await channel.send("too late")
        except ChannelClosed as closed:
            self.ends.append((channel.user, closed.code))


@each_transport
async def test_close_user_ends_only_sessions_of_that_user(transport: str) -> None:
    seen = Seen()
    hub = Hub(seen, authenticate=by_name)
    async with (
        drive(hub, transport=transport, credentials="ada") as one,
        drive(hub, transport=transport, credentials="ada") as two,
        drive(hub, transport=transport, credentials="bob") as bob,
    ):
        two.cut()  # a detached session ends too
        await hub.close_user("ada")
        with pytest.raises(ChannelClosed) as closed:
            await one.receive()
        assert (closed.value.code, closed.value.reason) == (4401, "the user was dismissed")
        with pytest.raises(ChannelClosed, match="4401"):
            await two.resume()  # CLS-5: it gets the close when it reconnects
        await bob.send("still here")
        await bob.acknowledged(1)
        await hub.close_user("ada")
        await hub.close_user("nobody")
        await until(lambda: len(seen.ends) == 2)
        assert seen.ends == [(None, 4401)] * 2
        await asyncio.sleep(60)  # unacknowledged messages are dropped after `closing`
        assert counted(hub).sessions == 1


@each_transport
async def test_close_user_delivers_what_was_sent_before(transport: str) -> None:
    """CLS-1."""

    async def talks(channel: Channel) -> None:
        await channel.send("before")
        await channel.receive()

    hub = Hub(talks, authenticate=by_name)
    async with drive(hub, transport=transport, credentials="ada") as page:
        page.stop_reading()
        await asyncio.sleep(1)
        await hub.close_user("ada")
        page.read_on()
        assert await page.receive() == "before"
        with pytest.raises(ChannelClosed, match="4401"):
            await page.receive()


@each_transport
async def test_close_user_refuses_open_in_progress(transport: str) -> None:
    """An earlier result of ``authenticate`` no longer counts."""
    begun, goes_on = asyncio.Event(), asyncio.Event()

    async def slow(connection: HTTPConnection, credentials: Any) -> Identity:
        begun.set()
        await goes_on.wait()
        return Identity(credentials)

    hub = Hub(Seen(), authenticate=slow)
    ada = asyncio.create_task(try_open(hub, transport, opening(credentials="ada")))
    bob = asyncio.create_task(try_open(hub, transport, opening(credentials="bob")))
    await begun.wait()
    await asyncio.sleep(1)
    await hub.close_user("ada")
    goes_on.set()
    refused = await ada
    assert refused is not None
    assert refused.error["code"] == "unauthorized"
    assert await bob is None
    # For later clients, `authenticate` decides again.
    assert await try_open(hub, transport, opening(credentials="ada")) is None


async def test_close_user_answers_parked_poll_at_once() -> None:
    """POL-3."""
    hub = Hub(Seen(), authenticate=by_name)
    loop = asyncio.get_running_loop()
    async with frame_client(hub, "longpoll", opening(credentials="ada")) as client:
        closing = asyncio.create_task(client.control("close"))
        await asyncio.sleep(5)
        await hub.close_user("ada")
        assert (await closing)["code"] == 4401
        assert loop.time() == pytest.approx(5, abs=0.5)


async def test_close_user_with_non_str_subject_raises() -> None:
    hub = Hub(Seen(), authenticate=by_name)
    assert await try_open(hub, "longpoll", opening(credentials="7")) is None
    with pytest.raises(TypeError, match=r"a subject is a str, .* not a int"):
        await hub.close_user(7)  # type: ignore[arg-type]


async def test_close_user_without_sessions_returns_zero() -> None:
    await Hub(Seen()).close_user("ada")


async def test_close_user_tells_no_busy_message_as_handled() -> None:
    """CLS-3: its handler may never finish with the message that it has in hand."""
    busy, go_on = asyncio.Event(), asyncio.Event()

    async def handler(channel: Channel) -> None:
        await channel.receive()
        busy.set()
        await go_on.wait()

    hub = Hub(handler)
    async with frame_client(hub, "websocket") as client:
        await client.confirm()
        await client.send([1, 0, "x"])
        await busy.wait()
        await hub.close_user("")
        frames = (await client.ended()).frames
        go_on.set()
    [close] = [frame for frame in frames if frame["type"] == "close"]
    assert (close["code"], close["ack"], close.get("in_hand")) == (4401, 0, 1)
