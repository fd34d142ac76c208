"""POSTs whose answer brings the downlink while a poll is parked (POL-4).

Whatever becomes of such a POST, the poll is woken for what is still due. The clock advances only
while all tasks are idle.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from tests.support.clients.frame_client import FrameClient, frame_client
from tests.support.turned_clock import anyio_backend  # noqa: F401 - a fixture
from transport import Channel, Hub, Identity, Limits
from transport.testing import Connection, ask, drive, lines, request, whole

ANSWER_WAIT = Limits().answer_wait


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def answer_then_work(channel: Channel) -> None:
    """Answer each message, and work on it for long after that."""
    async for message in channel:
        await channel.send(message)
        await asyncio.sleep(1000)


async def idle() -> None:
    """Let the event loop run until nothing more is due."""
    for _ in range(60):
        await asyncio.sleep(0)


class Polling:
    """A long-poll client with a parked poll; POSTs and polls are started one by one."""

    def __init__(self, hub: Hub, client: FrameClient) -> None:
        self._hub = hub
        self._client = client
        self._polls = 0

    async def park(self, ack: int = 0) -> Connection:
        """Start a poll, which is then parked."""
        self._polls += 1
        body = lines(self._client.head("poll", poll=self._polls, ack=ack))
        poll = request(self._hub, "/poll", body)
        await idle()
        return poll

    async def post(self, *frames: object, ack: int = 0) -> Connection:
        """Start a POST that names a mark."""
        post = request(self._hub, "/send", lines(self._client.head(ack=ack), *frames))
        await idle()
        return post


@asynccontextmanager
async def polling(hub: Hub) -> AsyncIterator[Polling]:
    async with hub.lifespan(), frame_client(hub, "longpoll") as client:
        yield Polling(hub, client)


def is_answered(connection: Connection) -> bool:
    return not connection.outbound.empty()


def marks(ack: int, received: int, sent: int) -> dict[str, Any]:
    return {"type": "ack", "ack": ack, "received": received, "sent": sent, "attached": True}


async def test_answer_brings_echo_and_poll_stays_parked() -> None:
    async with polling(Hub(echo)) as client:
        poll = await client.park()
        post = await client.post([1, 0, "a", "b"])
        assert (await whole(post)).frames == [marks(2, 2, 2), [1, 2, "a", "b"]]
        post = await client.post([3, 2, "c"], ack=2)
        assert (await whole(post)).frames == [marks(3, 3, 3), [3, 3, "c"]]
        assert not is_answered(poll)


async def test_cancelled_post_wakes_parked_poll() -> None:
    async with polling(Hub(answer_then_work)) as client:
        poll = await client.park()
        post = await client.post([1, 0, "a"])
        assert not is_answered(poll), "the answer to the POST would bring it"
        post.task.cancel()
        await idle()
        assert (await whole(poll)).frames == [[1, 0, "a"]]


async def test_last_of_two_cancelled_posts_wakes_poll() -> None:
    async with polling(Hub(answer_then_work)) as client:
        poll = await client.park()
        posts = [await client.post([1, 0, "a"]) for _ in range(2)]
        posts[1].task.cancel()
        await idle()
        assert not is_answered(poll)
        posts[0].task.cancel()
        await idle()
        assert (await whole(poll)).frames == [[1, 0, "a"]]


async def test_posts_side_by_side_bring_same_data() -> None:
    async with polling(Hub(answer_then_work)) as client:
        poll = await client.park()
        posts = [await client.post([1, 0, "a"]) for _ in range(2)]
        for post in posts:
            assert (await whole(post)).frames == [marks(0, 1, 1), [1, 0, "a"]]
        assert not is_answered(poll)


async def test_slow_handler_answers_by_poll() -> None:
    """The answer leaves after `ANSWER_WAIT` without data."""

    async def slow(channel: Channel) -> None:
        async for message in channel:
            await asyncio.sleep(1)
            await channel.send(message)

    async with polling(Hub(slow)) as client:
        poll, begun = await client.park(), asyncio.get_running_loop().time()
        post = await client.post([1, 0, "a"])
        assert (await whole(post)).frames == [marks(0, 1, 0)]
        assert asyncio.get_running_loop().time() - begun == pytest.approx(ANSWER_WAIT, abs=0.001)
        assert (await whole(poll)).frames == [[1, 1, "a"]]
        assert asyncio.get_running_loop().time() - begun == pytest.approx(1, abs=0.001)


async def test_post_refused_in_part_leaves_data_to_poll() -> None:
    """SND-3: its answer is an error, which brings nothing."""
    async with polling(Hub(echo)) as client:
        poll = await client.park()
        post = await client.post([1, 0, "a"], {"type": "nonsense"})
        assert (await whole(post)).status == 400
        assert (await whole(poll)).frames == [[1, 1, "a"]]


async def test_post_of_ended_session_leaves_reset_to_poll() -> None:
    """RES-4: the session is reset while the POST is in hand."""

    async def overflow(channel: Channel) -> None:
        group = hub.group("all")
        await group.add(channel)
        async for _ in channel:
            for _ in range(5):
                await group.send("x")

    hub = Hub(overflow, limits=Limits(window_messages=4))
    async with polling(hub) as client:
        poll = await client.park()
        post = await client.post([1, 0, "a"])
        answer = await whole(post)
        assert (answer.status, answer.frames[0]["code"]) == (404, "unknown_session")
        assert (await whole(poll)).frames[-1]["reason"] == "overflow"


async def test_data_does_not_wait_for_slow_renewal() -> None:
    """REN-1: a POST in which credentials are checked holds nothing back."""

    async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity:
        if credentials is not None:
            await asyncio.sleep(1)
        return Identity("ada")

    hub = Hub(echo, authenticate=authenticate)
    async with polling(hub) as client:
        poll = await client.park()
        post = await client.post([1, 0, "a"], {"type": "renew", "credentials": "new"}, [2, 0, "b"])
        assert (await whole(poll)).frames == [[1, 1, "a"]]
        assert not is_answered(post)
        poll = await client.park(ack=1)
        assert (await whole(post)).frames == [marks(2, 2, 2), [2, 2, "b"]]
        assert not is_answered(poll)


async def test_dialogue_over_long_poll_needs_one_poll() -> None:
    """POL-4, POL-5: one request each way would take a poll for every message."""
    hub = Hub(echo)
    requests: Counter[str] = Counter()

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        requests[scope["path"]] += scope["type"] == "http"
        await hub(scope, receive, send)

    async with hub.lifespan(), drive(counted, transport="longpoll") as page:
        for number in range(20):
            await page.send(number)
            assert await page.receive() == number
        assert requests == {"/poll": 2, "/send": 20}


async def test_lone_ack_reaches_server_beside_parked_poll() -> None:
    """MRK-6: nothing else would tell the handler that its last message has arrived."""
    acknowledged = asyncio.Event()

    async def confirm(channel: Channel) -> None:
        number = await channel.send(await channel.receive())
        await channel.acknowledged(number)
        acknowledged.set()
        await channel.wait_closed()

    hub = Hub(confirm)
    async with hub.lifespan(), drive(hub, transport="longpoll") as page:
        await page.send("a")
        assert await page.receive() == "a"
        async with asyncio.timeout(2):
            await acknowledged.wait()


async def test_answer_without_header_mark_brings_nothing() -> None:
    """A client that does not know `send.ack` gets everything by its polls."""
    hub = Hub(echo)
    async with hub.lifespan(), frame_client(hub, "longpoll") as client:
        poll = request(hub, "/poll", lines(client.head("poll", poll=1, ack=0)))
        await idle()
        answer = await ask(hub, "/send", lines(client.head(), [1, 0, "a"]))
        assert len(answer.frames) == 1
        assert (await whole(poll)).frames == [[1, 1, "a"]]
