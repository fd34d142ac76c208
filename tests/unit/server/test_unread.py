"""Messages that nobody receives are refused by their number (DAT-7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.support.turned_clock import anyio_backend, check_event_loop  # noqa: F401 - fixtures
from transport import Channel, Hub, Limits, NotRead
from transport.protocol.server.session import ServerSession
from transport.server.presence import RECEIVER_TIMEOUT, TAKEOVER_TIMEOUT
from transport.testing import Page, drive, until

each_transport = pytest.mark.parametrize("transport", ["websocket", "sse", "longpoll"])


async def waits(channel: Channel) -> None:
    await channel.wait_closed()


@each_transport
async def test_message_that_nobody_receives_is_refused(transport: str) -> None:
    """DAT-7: whether it comes before the wait, at once, or later."""

    async def handler(channel: Channel) -> None:
        await asyncio.sleep(2)
        await channel.send("pushed")
        await channel.wait_closed()

    async with drive(Hub(handler), transport=transport) as page:
        early = [await page.send(number) for number in range(3)]
        assert await page.receive() == "pushed"
        for number in early:
            with pytest.raises(NotRead, match="does not receive"):
                await page.acknowledged(number, within=RECEIVER_TIMEOUT + 2)
        late = await page.send("late")
        with pytest.raises(NotRead):
            await page.acknowledged(late, within=1)
        await page.close()


@each_transport
async def test_refusal_survives_a_cut(transport: str) -> None:
    """DAT-7: the mark of ``opened`` asks for the messages again."""
    hub = Hub(waits)
    async with drive(hub, transport=transport) as page:
        sends = [await page.send(number) for number in range(3)]
        page.cut()
        await asyncio.sleep(5)
        assert await page.resume()
        for number in sends:
            with pytest.raises(NotRead):
                await page.acknowledged(number, within=5)
        await page.close()


async def test_more_messages_than_a_window_are_refused() -> None:
    """DAT-6, DAT-7: the ``skip`` of a refused message is handled, so it takes no room."""
    async with drive(Hub(waits, limits=Limits(window_messages=4))) as page:
        for number in range(20):
            with pytest.raises(NotRead):
                await page.acknowledged(await page.send(number), within=5)
        await page.close()


@each_transport
async def test_many_messages_are_refused_at_once(transport: str) -> None:
    """DAT-7, LIV-5: in few frames, so that the connection is not ended for their number."""
    hub = Hub(waits)
    async with drive(hub, transport=transport) as page:
        await asyncio.sleep(2)
        sends = [await page.send(number) for number in range(900)]
        for number in sends:
            with pytest.raises(NotRead):
                await page.acknowledged(number, within=5)
        [channel] = hub.channels
        await until(lambda: channel.statistics().handled == 900)
        assert channel.statistics().attaches == 1


async def test_message_received_before_the_wait_is_handled() -> None:
    """MRK-2: who receives and then waits for the end has finished."""

    async def handler(channel: Channel) -> None:
        assert await channel.receive() == "hello"
        await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        await page.acknowledged(await page.send("hello"), within=RECEIVER_TIMEOUT + 1)
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("more"), within=5)


async def receive_all(channel: Channel, into: list[Any], pause: float = 0.0) -> None:
    async for message in channel:
        into.append(message)
        await asyncio.sleep(pause)


async def accepted(page: Page, *messages: Any) -> None:
    """Send messages that the handler takes."""
    for message in messages:
        await page.acknowledged(await page.send(message), within=30)


async def test_task_of_handler_may_receive_while_it_waits() -> None:
    """It may begin a little later, and work for long."""
    received: list[Any] = []

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(receive_all(channel, received, pause=5))
            await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        await accepted(page, "a", "b", "c")
        await page.close()
    assert received == ["a", "b", "c"]


async def test_other_task_may_wait_while_handler_receives() -> None:
    """The handler's task is the one that receives, also before it first does."""
    received: list[Any] = []

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(channel.wait_closed())
            await asyncio.sleep(5)
            await receive_all(channel, received, pause=3)

    async with drive(Hub(handler)) as page:
        await accepted(page, "a", "b")
        await page.close()
    assert received == ["a", "b"]


async def test_messages_are_refused_once_receiver_has_ended() -> None:
    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(channel.receive())
            await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        first = await page.send("a")
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("b"), within=TAKEOVER_TIMEOUT + 5)
        await page.acknowledged(first, within=5)


async def test_messages_are_taken_again_once_a_task_receives() -> None:
    received: list[Any] = []
    begin = asyncio.Event()

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(channel.wait_closed())
            ended = tasks.create_task(asyncio.sleep(0))
            await asyncio.wait([waiting, ended], return_when=asyncio.FIRST_COMPLETED)
            tasks.create_task(later(channel))
            await channel.wait_closed()

    async def later(channel: Channel) -> None:
        await begin.wait()
        await receive_all(channel, received)

    async with drive(Hub(handler)) as page:
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("refused"), within=5)
        begin.set()
        await accepted(page, "taken")
        await page.close()
    assert received == ["taken"]


async def test_wait_that_is_repeated_refuses_too() -> None:
    """A handler may push in between."""

    async def handler(channel: Channel) -> None:
        for number in range(100):
            try:
                async with asyncio.timeout(0.4):
                    await channel.wait_closed()
                return
            except TimeoutError:
                await channel.send(number)

    async with drive(Hub(handler)) as page:
        await asyncio.sleep(2)
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("x"), within=5)
        await page.close()


async def test_cancelled_wait_takes_messages_again() -> None:
    received: list[Any] = []

    async def handler(channel: Channel) -> None:
        try:
            async with asyncio.timeout(5):
                await channel.wait_closed()
        except TimeoutError:
            await receive_all(channel, received)

    async with drive(Hub(handler)) as page:
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("refused"), within=4)
        await asyncio.sleep(5)
        await accepted(page, "taken")
        await page.close()
    assert received == ["taken"]


@each_transport
async def test_many_binary_messages_are_refused_in_a_round(
    transport: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DAT-7, LIV-5: each is a frame of its own, and is sent about twice at most."""
    frames = 0
    receive = ServerSession.receive

    def count(*arguments: Any) -> Any:
        nonlocal frames
        frames += 1
        return receive(*arguments)

    monkeypatch.setattr(ServerSession, "receive", count)
    hub = Hub(waits)
    async with drive(hub, transport=transport) as page:
        await asyncio.sleep(2)
        sends = [await page.send(b"%d" % number) for number in range(900)]
        for number in sends:
            with pytest.raises(NotRead):
                await page.acknowledged(number, within=5)
        [channel] = hub.channels
        await until(lambda: channel.statistics().handled == 900)
        attaches = channel.statistics().attaches
    assert (attaches, frames < 4 * 900) == (1, True), frames


async def test_task_may_take_over_from_the_handler() -> None:
    """The handler has received before it waits."""
    received: list[Any] = []

    async def handler(channel: Channel) -> None:
        await channel.receive()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(receive_all(channel, received, pause=5))
            await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        sends = [await page.send(word) for word in ("hello", "a", "b", "c")]
        for number in sends:
            await page.acknowledged(number, within=30)
        await page.close()
    assert received == ["a", "b", "c"]


async def test_task_may_take_over_from_another() -> None:
    """The first receives, works on, and receives no more."""
    received: list[Any] = []

    async def first(channel: Channel, tasks: asyncio.TaskGroup) -> None:
        received.append(await channel.receive())
        tasks.create_task(receive_all(channel, received, pause=5))

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(first(channel, tasks))
            await channel.wait_closed()

    async with drive(Hub(handler)) as page:
        await accepted(page, "a", "b", "c")
        await page.close()
    assert received == ["a", "b", "c"]


async def wait_for_next(channel: Channel) -> Any:
    return await asyncio.wait_for(channel.receive(), 300)


async def next_in_a_task(channel: Channel) -> Any:
    return await asyncio.create_task(channel.receive())


@pytest.mark.parametrize("take", [wait_for_next, next_in_a_task])
async def test_worker_may_receive_in_a_task_for_each_message(
    take: Callable[[Channel], Awaitable[Any]],
) -> None:
    """The task has ended while the worker is busy with its message."""
    received: list[Any] = []

    async def work(channel: Channel) -> None:
        while True:
            received.append(await take(channel))
            await asyncio.sleep(20)

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            worker = tasks.create_task(work(channel))
            await channel.wait_closed()
            worker.cancel()

    async with drive(Hub(handler)) as page:
        sends = [await page.send(number) for number in range(4)]
        for number in sends:
            await page.acknowledged(number, within=90)
        await page.close()
    assert received == [0, 1, 2, 3]


async def test_handler_that_waits_for_its_page_to_go_refuses() -> None:
    """And again once the page is back; one that waits for the page to come refuses nothing."""

    async def handler(channel: Channel) -> None:
        while True:
            await channel.wait_disconnected()
            await channel.wait_connected()

    async with drive(Hub(handler)) as page:
        for _ in range(2):
            with pytest.raises(NotRead):
                await page.acknowledged(await page.send("x"), within=5)
            page.cut()
            await asyncio.sleep(5)
            assert await page.resume()
        await page.close()


async def test_wait_for_a_page_to_come_refuses_nothing() -> None:
    """What it sent before it went away is received later."""
    received: list[Any] = []

    async def handler(channel: Channel) -> None:
        async for message in channel:
            await channel.wait_connected()
            received.append(message)

    async with drive(Hub(handler)) as page:
        sends = [await page.send(number) for number in range(3)]
        page.cut()
        await asyncio.sleep(5)
        assert await page.resume()
        for number in sends:
            await page.acknowledged(number, within=5)
        await page.close()
    assert received == [0, 1, 2]


async def test_handler_whose_task_only_sends_refuses() -> None:
    """A ticker, as the documentation shows it."""

    async def ticks(channel: Channel) -> None:
        while True:
            await channel.send("tick")
            await asyncio.sleep(0.5)

    async def handler(channel: Channel) -> None:
        async with asyncio.TaskGroup() as tasks:
            ticking = tasks.create_task(ticks(channel))
            await channel.wait_closed()
            ticking.cancel()

    async with drive(Hub(handler)) as page:
        with pytest.raises(NotRead):
            await page.acknowledged(await page.send("x"), within=5)
        assert await page.receive() == "tick"
        await page.close()
