"""Frames that arrive late, twice, or from two clients at once, against a real server; one per test.

`tests/integration/client/test_campaign.py` tests them in large numbers, `tests/vectors` by frame.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress

import anyio
import anyio.lowlevel
import pytest

from tests.integration.client.kit import TRANSPORTS, apps, check, converse, open_to, report, until
from tests.support.faults.http_peers import Request
from tests.support.faults.http_proxy import Copy, Delay, Fault, Lose, Repeat, RequestProxy
from tests.support.faults.tcp_proxy import FaultProxy
from tests.support.servers.uvicorn import Server
from transport import ChannelClosed, Fate, SessionReset, Unacknowledged, connect
from transport.client import Channel, Pacing

HTTP = ["sse", "longpoll"]


def an_open(request: Request) -> bool:
    return b'"type":"open"' in request.body


def a_poll(number: int) -> Callable[[Request], bool]:
    return lambda request: request.segment == "poll" and b'"poll":%d,' % number in request.body


def code_of(late: Copy) -> str:
    code: str = json.loads(late.body)["code"]
    return code


async def echoed(channel: Channel, *messages: str) -> None:
    """Check that the messages come back, with nothing before them."""
    with anyio.fail_after(20):
        for message in messages:
            await channel.send(message)
            assert await channel.receive() == message


async def check_echo(server: Server, channel: Channel, *messages: str) -> None:
    """Check that one handler received each message once, in order, and that both ends agree."""
    await channel.flush()
    final = await report(server)
    assert (final["started"], final["messages"]) == (1, [*messages])
    [there] = final["channels"]
    here = channel.statistics()
    count = len(messages)
    assert (here.sent, here.acknowledged, here.received, here.resets) == (count,) * 3 + (0,)
    assert (there["received"], there["handled"], there["sent"]) == (count,) * 3


# Opens


@pytest.mark.parametrize(
    "fault",
    [Lose(), Lose(headers=True), Repeat(), Repeat(later=1), Delay(later=1, cut=True)],
    ids=str,
)
@pytest.mark.parametrize("transport", HTTP)
async def test_broken_open_creates_one_session(transport: str, fault: Fault) -> None:
    """OPN-4: the nonce identifies the open; ATT-4: the same number is a repetition."""
    async with apps("echo") as server, RequestProxy(server.port) as proxy:
        proxy.plan(an_open, fault)
        async with open_to(proxy.port, transport) as channel:
            await echoed(channel, "a", "b")
            proxy.plan(an_open, fault)
            channel.reconnect()
            await echoed(channel, "c", "d")
            proxy.heal()
            await check_echo(server, channel, "a", "b", "c", "d")
        assert proxy.faults.total() == 2


@pytest.mark.parametrize("transport", HTTP)
async def test_late_open_is_refused_as_superseded(transport: str) -> None:
    """ATT-4: late opens are refused, both that of the new session and that of a resume."""
    async with apps("echo") as server, RequestProxy(server.port) as proxy:
        proxy.plan(an_open, Delay(cut=True))
        async with open_to(proxy.port, transport) as channel:
            await echoed(channel, "a")
            proxy.plan(an_open, Delay(cut=True))
            channel.reconnect()
            await echoed(channel, "b")
            proxy.release()
            await proxy.settled()
            assert [(late.status, code_of(late)) for late in proxy.copies] == [
                (409, "superseded")
            ] * 2
            await echoed(channel, "c")
            await check_echo(server, channel, "a", "b", "c")
            assert channel.statistics().attaches == 2


@pytest.mark.parametrize(
    ("first", "second"), [("websocket", "sse"), ("sse", "longpoll"), ("longpoll", "websocket")]
)
async def test_racing_opens_share_one_session(first: str, second: str) -> None:
    """The first open's answer gets stuck; both are attached, and the second has the session."""
    async with (
        apps("echo") as server,
        FaultProxy(server.port) as proxy,
        anyio.create_task_group() as tasks,
    ):
        # The head of the answer passes, and a part of `opened`.
        proxy.cut_after(400, direction="down", how="silence")

        async def lose_the_first() -> None:
            """Tell the client that its connection is lost, but not the server."""
            await proxy.wait_for_cuts(1)
            proxy.reset_clients()

        tasks.start_soon(lose_the_first)
        pacing = Pacing(open_timeout=60.0, retry_base=0.02, retry_max=0.1)
        async with open_to(proxy.port, first, second, pacing=pacing, timeout=60) as channel:
            assert proxy.statistics.cuts == 1
            assert [attempt.outcome for attempt in channel.explain()][:1] == ["failed"]
            assert channel.transport == second
            await echoed(channel, "a", "b")
            await check_echo(server, channel, "a", "b")


# Polls


async def test_repeated_poll_returns_old_and_new_messages() -> None:
    """POL-2: messages of the lost answer come again, followed by new ones."""
    async with apps("echo") as server, RequestProxy(server.port) as proxy:
        proxy.plan(a_poll(1), Lose())
        proxy.plan(a_poll(1), Delay(later=2))
        async with open_to(proxy.port, "longpoll") as channel:
            await channel.send("a")
            await proxy.until(lambda: proxy.faults[Delay] == 1)
            for message in ("b", "c"):  # each in a POST that passes before the poll
                asked = len(proxy.requests)
                await channel.send(message)
                await proxy.until(lambda: len(proxy.requests) > asked)  # noqa: B023
            assert [await channel.receive() for _ in range(3)] == ["a", "b", "c"]
            await check_echo(server, channel, "a", "b", "c")
            assert channel.statistics().attaches == 2, "a poll without an answer ends its attach"


async def test_late_poll_of_old_attach_is_refused() -> None:
    """ATT-7: the late poll is refused as superseded."""
    async with apps("echo") as server, RequestProxy(server.port) as proxy:
        proxy.plan(a_poll(1), Delay(cut=True))
        async with open_to(proxy.port, "longpoll") as channel:
            await echoed(channel, "a", "b")
            channel.reconnect()
            await echoed(channel, "c")
            proxy.release()
            await proxy.settled()
            assert [(late.status, code_of(late)) for late in proxy.copies] == [(409, "superseded")]
            await echoed(channel, "d")
            await check_echo(server, channel, "a", "b", "c", "d")
            assert channel.statistics().attaches == 3


# Two clients


def duplicate(channel: Channel, port: int, transport: str) -> connect:
    """Open another client with the same session, like a duplicated tab."""
    twin = open_to(port, transport)
    mine, theirs = twin._driver.session, channel._driver.session
    for name in ("id", "token", "epoch"):
        setattr(mine.handshake, name, getattr(theirs.handshake, name))
    for name in ("attaches", "incoming", "outbox"):
        setattr(mine, name, copy.deepcopy(getattr(theirs, name)))
    mine.acks.incoming = mine.incoming
    return twin


async def fate_of(channel: Channel, number: int) -> Fate:
    try:
        await channel.acknowledged(number)
    except Unacknowledged as error:
        return error.fate
    return Fate.HANDLED


@pytest.mark.parametrize("second", TRANSPORTS)
@pytest.mark.parametrize("first", TRANSPORTS)
async def test_newer_of_two_clients_owns_session(first: str, second: str) -> None:
    """ATT-5: the older client is notified; acks of the newer do not settle the older's sends."""
    async with (
        apps("echo") as server,
        FaultProxy(server.port) as proxy,
        open_to(proxy.port, first) as older,
    ):
        await echoed(older, "a")
        await older.flush()
        twin = duplicate(older, server.port, second)
        proxy.stall("up")
        late = await older.send("comes too late")
        async with twin as newer:
            await echoed(newer, "b")
            proxy.heal()
            with pytest.raises(ChannelClosed) as caught:
                await older.receive()
            assert caught.value.code == 4409
            assert await fate_of(older, late) is Fate.UNKNOWN
            with pytest.raises(ChannelClosed):
                await older.send("refused")
            await echoed(newer, "c")
            await newer.flush()
            found = await report(server)
            assert (found["started"], found["messages"]) == (1, ["a", "b", "c"])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_stale_copy_of_session_gets_new_session(transport: str) -> None:
    """RES-7: the other client is not affected."""
    async with apps("echo") as server, open_to(server.port, transport) as older:
        await echoed(older, "a")
        await older.flush()
        twin = duplicate(older, server.port, transport)
        await echoed(older, "b")
        await older.flush()
        async with twin as newer:
            with pytest.raises(SessionReset) as caught:
                await newer.receive()
            assert caught.value.reason == "foreign"
            await echoed(newer, "mine")
            await echoed(older, "c")
            assert (older.statistics().attaches, older.statistics().resets) == (1, 0)
            found = await report(server)
            assert (found["started"], found["messages"]) == (2, ["a", "b", "mine", "c"])


@pytest.mark.parametrize("second", TRANSPORTS)
@pytest.mark.parametrize("first", TRANSPORTS)
async def test_concurrent_clients_get_true_fates(first: str, second: str) -> None:
    """ATT-6: whichever client has the session in the end, both get true fates of their sends."""
    fates: dict[str, Fate] = {}

    async def send_all(channel: Channel, name: str) -> None:
        numbers: dict[str, int] = {}
        with suppress(ChannelClosed):
            for index in range(200):
                numbers[f"{name} {index}"] = await channel.send(f"{name} {index}")
                await anyio.lowlevel.checkpoint()
        for message, number in numbers.items():
            fates[message] = await fate_of(channel, number)

    async with apps("echo") as server, open_to(server.port, first) as older:
        await echoed(older, "a")
        await older.flush()
        twin = duplicate(older, server.port, second)

        async def join() -> None:
            with suppress(ChannelClosed):
                async with twin as newer:
                    await send_all(newer, "newer")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_all, older, "older")
            tasks.start_soon(join)
        taken = (await report(server))["messages"][1:]
        for message, fate in fates.items():
            assert (
                taken.count(message)
                in {Fate.HANDLED: (1,), Fate.UNKNOWN: (0, 1), Fate.NOT_HANDLED: (0,)}[fate]
            ), (message, fate)
        for name in ("older", "newer"):
            sent = [message for message in fates if message.startswith(name)]
            assert [message for message in taken if message.startswith(name)] == [
                message for message in sent if message in taken
            ]
        assert {*taken} <= {*fates}
        assert Fate.HANDLED in fates.values()


# Dead connections


async def test_half_open_connection_causes_transport_switch() -> None:
    """LIV-2: neither side is notified; data written to the dead connection is sent again."""
    count = 300
    async with apps("brisk") as server, FaultProxy(server.port) as proxy, AsyncExitStack() as stack:
        pacing = Pacing(retry_base=0.02, retry_max=0.1, steady=60)
        channels = [
            await stack.enter_async_context(
                open_to(proxy.port, first, TRANSPORTS[index - 1], pacing=pacing)
            )
            for index, first in enumerate(TRANSPORTS)
        ]
        async with anyio.create_task_group() as tasks:
            for channel in channels:
                tasks.start_soon(converse, channel, count)
            await until(lambda: all(one.statistics().received >= count // 3 for one in channels))
            assert proxy.cut("silence") >= len(channels)
        await check(server, count, *channels)
        for index, channel in enumerate(channels):
            dead, next_one = channel.explain()[:2]
            assert (dead.transport, dead.outcome, dead.reason) == (
                TRANSPORTS[index],
                "lost",
                "silent",
            )
            assert next_one.transport == TRANSPORTS[index - 1]
