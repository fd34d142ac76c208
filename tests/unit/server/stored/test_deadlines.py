"""What an application awaits ends within some seconds, also while the store does not answer."""

from __future__ import annotations

import asyncio
import logging

import pytest

from tests.unit.server.stored.conftest import processes, until
from tests.unit.server.stored.test_deaths import tell
from transport import Channel, StoreUnavailable
from transport.testing import drive

WITHIN = 20.0


async def test_group_add_raises_while_the_store_is_away() -> None:
    """The channel is a member nevertheless once the store answers."""
    errors: list[StoreUnavailable] = []
    may_join = asyncio.Event()

    async def handle(channel: Channel) -> None:
        await channel.send("ready")
        await may_join.wait()
        room = channel.state.hub.group("room")
        room.add(channel)  # not awaited: it says nothing, and is retrieved by nobody
        try:
            async with asyncio.timeout(WITHIN):
                await channel.state.hub.group("other").add(channel)
        except StoreUnavailable as error:
            errors.append(error)
        async for message in channel:
            await room.send(message)

    async with processes(handle, 1) as each, drive(each.cluster) as page:
        assert await page.receive() == "ready"
        each.store.pause()
        may_join.set()
        await until(lambda: errors)
        assert "has not answered within 15 s" in str(errors[0])
        assert "member" in str(errors[0])
        each.store.resume()
        await page.send("hello")
        assert await page.receive(within=60) == "hello"


async def test_join_that_is_not_stored_raises() -> None:
    """Topics answer, and what keeps the sessions does not."""
    outcomes: list[object] = []
    may_join = asyncio.Event()

    async def handle(channel: Channel) -> None:
        await channel.send("ready")
        await may_join.wait()
        try:
            async with asyncio.timeout(WITHIN):
                await channel.state.hub.group("room").add(channel)
        except StoreUnavailable as error:
            outcomes.append(error)
        await channel.wait_closed()

    async with processes(handle, 1) as each, drive(each.cluster) as page:
        assert await page.receive() == "ready"
        each.store.refusal = "OOM command not allowed"
        may_join.set()
        await until(lambda: outcomes)
        assert "has not stored" in str(outcomes[0])
        each.store.refusal = ""


async def test_send_to_that_is_not_stored_raises(caplog: pytest.LogCaptureFixture) -> None:
    """The channel has the message, and shows it once it is stored."""
    async with processes(count=2) as each:
        each.go_to(0)
        async with drive(each.cluster) as page:
            await tell(page, "a")
            assert page.id is not None
            each.store.refusal = "OOM command not allowed"
            with caplog.at_level(logging.ERROR, "transport"), pytest.raises(TimeoutError):
                await each.hub(1).send_to(page.id, "from another")
            with pytest.raises(StoreUnavailable, match="has not stored"):
                async with asyncio.timeout(WITHIN):
                    await each.hub(0).send_to(page.id, "hello")
            await asyncio.sleep(WITHIN)
            assert "call_failed" not in caplog.text
            each.store.refusal = ""
            assert await page.receive(within=60) == "from another"
            assert await page.receive(within=60) == "hello"
