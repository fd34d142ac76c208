"""Ownership of sessions: nonces, tokens and subjects."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.clients.frame_client import CLIENT, TRANSPORTS, frame_client
from tests.unit.server.identity.timed_credentials import TimedCredentials
from transport import Channel, Hub
from transport.testing import opening

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


@each_transport
async def test_nonce_is_valid_for_its_subject_and_one_minute(transport: str) -> None:
    """OPN-4: a repeated opening gets the session and its token; another user's does not."""
    hub = Hub(echo, authenticate=TimedCredentials())
    ada, eve = ["ada", 1e6], ["eve", 1e6]
    async with frame_client(hub, transport, opening(1, credentials=ada)) as first:
        await asyncio.sleep(59)
        async with frame_client(hub, transport, opening(2, credentials=ada)) as second:
            assert second.opened["id"] == first.opened["id"]
            assert second.opened["verdict"] == "new"
            assert second.token == first.token
        async with frame_client(hub, transport, opening(1, credentials=eve)) as other:
            assert other.opened["id"] != first.opened["id"]
            assert other.token.split(".")[1] != first.token.split(".")[1]
        await asyncio.sleep(2)
        async with frame_client(hub, transport, opening(3, credentials=ada)) as third:
            assert third.opened["id"] not in (first.opened["id"], other.opened["id"])


@each_transport
async def test_open_repeated_often_keeps_its_token(transport: str) -> None:
    """OPN-4: whichever answer the client reads, and whichever token it uses first."""
    hub = Hub(echo)
    tokens = []
    for number in range(1, 6):
        async with frame_client(hub, transport, opening(number)) as client:
            tokens.append(client.token)
    for number in range(6, 9):
        frame = opening(number, session=tokens[0], nonce=f"again-{number}-0123456789abcdef")
        async with frame_client(hub, transport, frame) as client:
            assert client.opened["verdict"] == "resumed"
            await client.confirm()
        async with frame_client(hub, transport, opening(number + 10)) as client:
            tokens.append(client.token)  # a late copy of the first open
    assert len(set(tokens)) == 1


@each_transport
async def test_token_rejected_for_other_subject(transport: str) -> None:
    """IDN-2, RES-9: the answer is the same as for an unknown token; the session continues."""
    hub = Hub(echo, authenticate=TimedCredentials())
    async with frame_client(hub, transport, opening(credentials=["ada", 1000])) as client:
        await client.confirm()
        answers = []
        for token in (client.token, "no-such-id.no-such-secret", client.token[:-1] + "."):
            stolen = opening(9, session=token, credentials=["eve", 1000], nonce="e" * 22)
            async with frame_client(hub, transport, stolen) as eve:
                answers.append(eve.opened["reset"])
                assert eve.opened["id"] != client.opened["id"]
        assert answers[0] == answers[1] == answers[2]
        await client.send([1, 0, "mine"])
        assert await client.data() == ["mine"]


async def test_frame_client_uses_client_of_testing_package() -> None:
    assert opening()["client"] == CLIENT
