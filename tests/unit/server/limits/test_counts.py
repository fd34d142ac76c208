"""Limits on sessions per process, user and address, and on opens per second (section 12)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import pytest
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.support.clients.frame_client import (
    TRANSPORTS,
    Ended,
    FrameClient,
    frame_client,
    try_open,
)
from tests.support.counted import counted
from transport import Channel, Hub, Identity, Limits
from transport.server.admission import RESUMES_PER_SECOND
from transport.testing import Page, ask, lines, opening

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
LIMITS = Limits(sessions=6, sessions_per_subject=3, sessions_per_address=4)


async def silent(channel: Channel) -> None:
    async for _ in channel:
        pass


async def by_name(connection: HTTPConnection, credentials: Any) -> Identity:
    return Identity(credentials or "")


def from_address(hub: Hub, client: tuple[str, int] | None) -> ASGIApp:
    """Wrap the hub so that its connections appear to come from this address."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await hub({**scope, "client": client}, receive, send)

    return app


class Crowd:
    """Sessions that stay open, each with its own nonce."""

    def __init__(self, hub: Hub, transport: str, stack: AsyncExitStack) -> None:
        self.hub = hub
        self._transport = transport
        self._stack = stack
        self._numbers: Iterator[int] = count()

    async def enter(self, subject: str, address: str | None) -> FrameClient:
        app = from_address(self.hub, (address, 5000) if address is not None else None)
        nonce = f"nonce-{next(self._numbers):04}-0123456789abcdef"
        frame = opening(nonce=nonce, credentials=subject)
        return await self._stack.enter_async_context(frame_client(app, self._transport, frame))

    async def refused(self, subject: str, address: str | None, limit: str) -> None:
        sessions = counted(self.hub).sessions
        with pytest.raises(Ended) as ended:
            await self.enter(subject, address)
        error = ended.value.error
        assert (error["code"], error["limit"], error["retry_in"]) == ("too_many", limit, 5.0)
        assert f"Limits({limit}={getattr(self.hub.limits, limit)})" in error["message"]
        assert ended.value.code == (4429 if self._transport == "websocket" else 429)
        assert counted(self.hub).sessions == sessions


@each_transport
async def test_sessions_limit_refuses_open(transport: str) -> None:
    async with AsyncExitStack() as stack:
        crowd = Crowd(Hub(silent, authenticate=by_name, limits=LIMITS), transport, stack)
        clients = [await crowd.enter(f"user-{n}", f"192.0.2.{n}") for n in range(6)]
        await crowd.refused("user-6", "192.0.2.6", "sessions")
        # A client that has a session keeps it and can resume it.
        frame = opening(2, session=clients[0].token, credentials="user-0")
        async with frame_client(crowd.hub, transport, frame) as resumed:
            assert resumed.opened["verdict"] == "resumed"
        await crowd.hub.close_user("user-1")
        await asyncio.sleep(61)
        await crowd.enter("user-6", "192.0.2.6")
        await crowd.refused("user-7", "192.0.2.7", "sessions")


@each_transport
async def test_sessions_per_subject_refuses_open(transport: str) -> None:
    async with AsyncExitStack() as stack:
        crowd = Crowd(Hub(silent, authenticate=by_name, limits=LIMITS), transport, stack)
        for number in range(3):
            await crowd.enter("ada", f"192.0.2.{number}")
        await crowd.refused("ada", "192.0.2.9", "sessions_per_subject")
        await crowd.enter("bob", "192.0.2.9")
        await crowd.hub.close_user("ada")
        await asyncio.sleep(61)
        await crowd.enter("ada", "192.0.2.9")


@each_transport
async def test_sessions_per_address_refuses_open(
    transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        crowd = Crowd(Hub(silent, limits=LIMITS), transport, stack)
        for _ in range(4):
            await crowd.enter("", "192.0.2.1")
        for _ in range(10):
            await crowd.refused("", "192.0.2.1", "sessions_per_address")
        await crowd.enter("", "192.0.2.2")
        # Logged once a minute, with the likely cause.
        logged = [one.getMessage() for one in caplog.records if "limit_reached" in one.getMessage()]
        assert len(logged) == 1
        assert "Limits(sessions_per_address=4)" in logged[0]
        assert "X-Forwarded-For" in logged[0]


@each_transport
async def test_expired_sessions_no_longer_count(transport: str) -> None:
    """LIV-3: sessions whose clients do not return stop counting when they expire."""
    hub = Hub(silent, limits=LIMITS)
    async with AsyncExitStack() as stack:
        crowd = Crowd(hub, transport, stack)
        for _ in range(4):
            await crowd.enter("", "192.0.2.1")
    async with AsyncExitStack() as stack:
        crowd = Crowd(hub, transport, stack)
        crowd._numbers = count(100)
        await crowd.refused("", "192.0.2.1", "sessions_per_address")
        await asyncio.sleep(121)
        assert counted(hub).sessions == 0
        for _ in range(4):
            await crowd.enter("", "192.0.2.1")


@each_transport
async def test_unknown_addresses_are_not_counted(transport: str) -> None:
    """Behind a Unix socket there are no addresses: all clients would share one limit."""
    async with AsyncExitStack() as stack:
        limits = Limits(sessions=60, sessions_per_address=4)
        crowd = Crowd(Hub(silent, limits=limits), transport, stack)
        for _ in range(60):  # also more than the opens per second
            await crowd.enter("", None)
        await crowd.refused("", None, "sessions")


@each_transport
async def test_opens_per_second_refuses_open_and_resume(transport: str) -> None:
    """The default is 50. Excessive resumes count as well; other addresses are unaffected."""
    hub = Hub(silent)
    async with frame_client(hub, transport) as client:
        await client.confirm()
        for number in range(2, 51 + RESUMES_PER_SECOND):
            frame = opening(number, session=client.token)
            async with frame_client(hub, transport, frame):
                pass
        frame = opening(51 + RESUMES_PER_SECOND, session=client.token)
        refused = await try_open(hub, transport, frame)
        assert refused is not None
        error = refused.error
        assert (error["code"], error["limit"]) == ("too_many", "opens_per_second")
        assert error["retry_in"] == 1.0
        assert "Limits(opens_per_second=50)" in error["message"]
        elsewhere = from_address(hub, ("192.0.2.77", 1))
        assert await try_open(elsewhere, transport, opening(nonce="e" * 22)) is None
        await asyncio.sleep(0.99)
        assert await try_open(hub, transport, frame) is not None
        await asyncio.sleep(0.02)
        async with frame_client(hub, transport, frame) as late:
            assert late.opened["verdict"] == "resumed"


@each_transport
async def test_opens_per_second_counts_renewals(transport: str) -> None:
    """REN-1: each renewal calls `authenticate`."""
    hub = Hub(silent, authenticate=by_name, limits=Limits(opens_per_second=3))
    async with frame_client(hub, transport, opening(credentials="ada")) as client:
        renew = {"type": "renew", "credentials": "ada"}
        for _ in range(RESUMES_PER_SECOND + 2):
            await client.send(renew)
        error = await client.refusal(renew)
        assert (error["code"], error["limit"]) == ("too_many", "opens_per_second")


async def test_rate_limit_returns_429_with_retry_after() -> None:
    """HTTP-2."""
    hub = Hub(silent, limits=Limits(sessions=1))
    await ask(hub, "/poll", lines(opening()))
    answer = await ask(hub, "/sse", lines(opening(nonce="another-nonce-0123456789")))
    assert (answer.status, answer.headers["retry-after"]) == (429, "5")


@each_transport
async def test_refused_client_retries_by_itself(transport: str) -> None:
    """Section 13: after `too_many`, the client retries the same way after `retry_in`."""
    hub = Hub(silent, authenticate=by_name, limits=Limits(sessions=1))
    assert await try_open(hub, transport, opening(credentials="ada")) is None
    page = Page(hub, transport=transport, credentials="bob")
    coming = asyncio.create_task(page.resume(within=200))
    await asyncio.sleep(20)
    assert not coming.done()
    await hub.close_user("ada")
    await coming
    await page.acknowledged(await page.send("hello"))
    await page.stop()
