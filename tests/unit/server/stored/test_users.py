"""Users of processes that share a store: whose session it is, and who was dismissed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.unit.server.stored.conftest import processes, until
from transport import Channel, ChannelClosed, Identity, Limits
from transport.publisher import Publisher
from transport.testing import drive
from transport.testing.topic_model import TopicModel

LONG = "someone@a-name-that-is-longer-than-a-store-keeps.example.org"


async def authenticate(connection: Any, credentials: Any) -> Identity:
    return Identity(str(credentials), user=credentials)


async def greet(channel: Channel) -> None:
    await channel.send(channel.user)
    await channel.wait_closed()


async def test_session_without_home_of_a_dismissed_user_ends() -> None:
    async with (
        processes(greet, authenticate=authenticate) as each,
        drive(each.cluster, credentials="ann") as page,
    ):
        assert await page.receive(within=30) == "ann"
        home = each.home
        each.cluster.kill(home)
        await each.hub(1 - home).close_user("ann")
        with pytest.raises(ChannelClosed) as closed:
            await page.receive(within=60)
        assert closed.value.code == 4401
        assert each.resumed == [False], "no handler has begun"


async def test_dismissal_ends_sessions_of_all_processes_and_no_others() -> None:
    async with (
        processes(greet, authenticate=authenticate) as each,
        drive(each.cluster[0], credentials="ann") as first,
        drive(each.cluster[1], credentials="ann") as second,
        drive(each.cluster[1], credentials="bob") as other,
    ):
        for page in (first, second, other):
            await page.receive(within=30)
        await each.hub(0).close_user("ann")
        for page in (first, second):
            with pytest.raises(ChannelClosed):
                await page.receive(within=30)
        assert other.connected
        await asyncio.sleep(0.001)  # so that the store's clock goes on
        async with drive(each.cluster[1], credentials="ann") as again:
            assert await again.receive(within=30) == "ann"
            await asyncio.sleep(10)
            assert again.connected


async def test_long_names_of_users_and_groups_survive_a_kill() -> None:
    async def join(channel: Channel) -> None:
        room = channel.state.hub.group(LONG)
        await room.add(channel)
        await channel.send(channel.user)
        await channel.wait_closed()

    async with (
        processes(join, authenticate=authenticate) as each,
        drive(each.cluster, credentials=LONG) as page,
    ):
        assert await page.receive(within=30) == LONG
        for _ in range(2):
            home = each.home
            await each.cluster.start()
            each.cluster.kill(home)
            await until(lambda: each.has_home)
            await each.hub(each.home).group(LONG).send("once")
            assert sorted([await page.receive(within=60) for _ in range(2)]) == sorted(
                [LONG, "once"]
            )
            each.store.forget_all()
            await asyncio.sleep(20)
        with pytest.raises(TimeoutError):
            await page.receive(within=5)


async def test_publisher_dismisses_a_user_whose_sign_in_is_under_way() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def authenticate_slowly(connection: Any, credentials: Any) -> Identity | None:
        if asked.is_set():
            return None  # the page asks once more
        asked.set()
        await answer.wait()
        return Identity("ann")

    class Store:
        def topics(self, hub: str, limits: Limits) -> TopicModel:
            return each.store.topics

    async def dismiss() -> None:
        await asked.wait()
        await asyncio.sleep(1)
        await publisher.close_user("ann")
        await asyncio.sleep(1)
        answer.set()

    async with (
        processes(greet, authenticate=authenticate_slowly) as each,
        Publisher(Store(), hub="test") as publisher,
    ):
        dismissing = asyncio.create_task(dismiss())
        with pytest.raises(ChannelClosed) as closed:
            async with drive(each.cluster) as page:
                await page.receive(within=30)
        await dismissing
        assert closed.value.code == 4401
        assert each.resumed == [], "no handler has begun"
