"""A refused renewal ends the grace at once, for every request of the session (REN-1)."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.support.clients.frame_client import TRANSPORTS, FrameClient, LongPollClient, frame_client
from tests.support.counted import counted
from tests.unit.server.identity.timed_credentials import TimedCredentials, resuming_open
from transport import Channel, Hub, Identity
from transport.testing import drive, opening, until

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


class Received:
    """A handler that records what it received."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    async def __call__(self, channel: Channel) -> None:
        async for message in channel:
            self.messages.append(message)


def renew(credentials: Any) -> dict[str, Any]:
    return {"type": "renew", "credentials": credentials}


async def refuse_renewal(client: FrameClient) -> None:
    """Answer the request for new credentials with expired ones."""
    await client.control("renew")
    assert (await client.refusal(renew(["ada", -1])))["code"] == "unauthorized"


@each_transport
async def test_refused_renewal_refuses_later_posts(transport: str) -> None:
    """REN-1: until an `open` with valid credentials, which needs no other session."""
    received = Received()
    hub = Hub(received, authenticate=TimedCredentials())
    async with frame_client(hub, transport, opening(credentials=["ada", 50])) as client:
        await client.confirm()
        await refuse_renewal(client)
        for frame in ([1, 0, "late"], renew(["ada", 1000])):
            answer = await client.post(frame)
            assert (answer.status, answer.frames[0]["code"]) == (401, "unauthorized")
        await client.ended()
        await asyncio.sleep(60)
        assert (await client.post([1, 0, "late"])).status == 401
        async with frame_client(hub, transport, resuming_open(client, ["ada", 1000])) as second:
            assert second.opened["verdict"] == "resumed"
            await second.confirm()
            assert (await second.post([1, 0, "again"])).status == 200
            assert received.messages == ["again"]


async def test_refused_renewal_refuses_later_polls() -> None:
    """REN-1: over long poll nothing is attached between two polls."""
    hub = Hub(Received(), authenticate=TimedCredentials())
    frame = opening(credentials=["ada", 50])
    async with frame_client(hub, "longpoll", frame) as client:
        assert isinstance(client, LongPollClient)
        await client.confirm()
        await refuse_renewal(client)
        answer = await client.poll()
        assert (answer.status, answer.frames[0]["code"]) == (401, "unauthorized")


async def test_refused_renewal_ends_parked_poll() -> None:
    """REN-1: a poll that waits is told at once."""
    hub = Hub(Received(), authenticate=TimedCredentials())
    frame = opening(credentials=["ada", 1000])
    async with frame_client(hub, "longpoll", frame) as client:
        assert isinstance(client, LongPollClient)
        await client.confirm()
        await client.poll()  # takes what waits
        poll = asyncio.ensure_future(client.poll())
        await asyncio.sleep(0.1)
        assert (await client.refusal(renew(None)))["code"] == "unauthorized"
        begun = asyncio.get_running_loop().time()
        assert [frame["code"] for frame in (await poll).frames] == ["unauthorized"]
        assert asyncio.get_running_loop().time() - begun < 1


@each_transport
@pytest.mark.parametrize("over", ["websocket", "post"])
async def test_refused_renewal_ends_other_connections(transport: str, over: str) -> None:
    """REN-1: of a client that attaches several, each ends, whichever carried the renewal."""
    hub = Hub(Received(), authenticate=TimedCredentials())
    frame = opening(credentials=["ada", 1000])
    async with frame_client(hub, transport, frame) as client:
        await client.confirm()
        second = {**resuming_open(client, ["ada", 1000]), "first_retained": 1}
        async with frame_client(hub, "websocket", second) as other:
            if over == "websocket":
                await other.send(renew(["eve", 1000]))
            else:
                assert (await client.post(renew(["eve", 1000]))).status == 401
            assert (await other.ended()).error["code"] == "unauthorized"
            assert (await client.ended()).error["code"] == "unauthorized"
        await until(lambda: not any(counted(hub).connections.values()))


@each_transport
async def test_refused_renewal_before_expiry_grants_no_grace(transport: str) -> None:
    """REN-1: a client may renew early; what it shows is refused all the same."""
    hub = Hub(Received(), authenticate=TimedCredentials())
    async with frame_client(hub, transport, opening(credentials=["ada", 50])) as client:
        await client.confirm()
        assert (await client.refusal(renew(None)))["code"] == "unauthorized"
        for seconds in (0, 51):
            await asyncio.sleep(seconds)
            assert (await client.post([1, 0, "late"])).status == 401


class HeldRenewals(TimedCredentials):
    """Holds each renewal back; credentials are ``[subject, seconds]`` as ever.

    Attributes:
        gate: the renewals go on once it is set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()

    async def __call__(self, connection: HTTPConnection, credentials: Any) -> Identity | None:
        if credentials and credentials[0] == "held":
            await self.gate.wait()
            return None
        return await super().__call__(connection, credentials)


@each_transport
async def test_open_during_refused_renewal_keeps_session(transport: str) -> None:
    """REN-1: the newer credentials are valid, so only the connection that was refused ends."""
    authenticate = HeldRenewals()
    hub = Hub(Received(), authenticate=authenticate)
    async with frame_client(hub, "sse", opening(credentials=["ada", 1000])) as client:
        await client.confirm()
        refused = asyncio.ensure_future(client.refusal(renew(["held"])))
        await asyncio.sleep(0.1)
        async with frame_client(hub, transport, resuming_open(client, ["ada", 1000])) as second:
            authenticate.gate.set()
            assert (await refused)["code"] == "unauthorized"
            assert (await client.ended()).error["code"] == "unauthorized"
            await second.confirm()
            assert (await second.post([1, 0, "goes on"])).status == 200


async def test_renewal_queued_on_ended_socket_is_ignored() -> None:
    """REN-1: after a refusal, only an `open` is heard."""
    authenticate = HeldRenewals()
    hub = Hub(Received(), authenticate=authenticate)
    async with frame_client(hub, "websocket", opening(credentials=["ada", 1000])) as client:
        await client.confirm()
        await client.send(renew(["held"]))
        await asyncio.sleep(0.1)
        await client.send(renew(["ada", 999]))
        await asyncio.sleep(0.1)
        authenticate.gate.set()
        assert (await client.ended()).error["code"] == "unauthorized"
        await asyncio.sleep(1)
        assert (await client.post()).status == 401


@each_transport
async def test_page_goes_on_after_refused_renewal(transport: str) -> None:
    """REN-1: it opens again, and what it sends meanwhile arrives once."""
    calls = 0

    async def refuses_second(connection: HTTPConnection, credentials: Any) -> Identity | None:
        nonlocal calls
        calls += 1
        return None if calls == 2 else Identity("ada", expires=time.time() + 50)

    received = Received()
    hub = Hub(received, authenticate=refuses_second)
    async with drive(hub, transport=transport, credentials="ada") as page:
        await page.send("before")
        await asyncio.sleep(50)
        await until(lambda: calls == 3)
        await page.send("after")
        await until(lambda: received.messages == ["before", "after"])
    assert counted(hub).opened == 1, "the page has resumed its session"


async def test_unchecked_renewal_keeps_grace() -> None:
    """REN-1: what could not be checked is no refusal of the client."""
    failing = False

    async def flaky(connection: HTTPConnection, credentials: Any) -> Identity:
        if failing:
            raise OSError("unavailable")
        return Identity("ada")

    async with frame_client(Hub(Received(), authenticate=flaky), "sse") as client:
        await client.confirm()
        failing = True
        assert (await client.refusal(renew(1)))["code"] == "unavailable"
        assert (await client.post([1, 0, "goes on"])).status == 200
