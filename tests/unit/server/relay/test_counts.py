"""What a client at an edge counts against its address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from tests.support.clients.frame_client import TRANSPORTS, frame_client, try_open
from tests.unit.server.relay.conftest import DEADLINE
from tests.unit.server.relay.test_edges import resuming
from transport import Identity, Limits
from transport.server.admission import RESUMES_PER_SECOND
from transport.testing import opening

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
MakeCluster = Callable[..., Any]
LIMITS = Limits(opens_per_second=1)


def forged(token: str) -> str:
    return f"{token.partition('.')[0]}.{'A' * 43}"


@each_transport
async def test_resumes_at_an_edge_do_not_count_as_openings(
    make_cluster: MakeCluster, transport: str
) -> None:
    """The client has proven to its home that it has the session."""
    async with asyncio.timeout(DEADLINE), make_cluster(limits=LIMITS) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, transport) as first:
            pass
        async with frame_client(b, transport, opening(nonce="nonce-b-0123456789abcdef")):
            pass
        for number in range(2, 2 + RESUMES_PER_SECOND):
            async with frame_client(b, transport, resuming(first, number)) as again:
                assert again.opened["verdict"] == "resumed"


async def test_forged_token_at_an_edge_counts_as_an_opening(make_cluster: MakeCluster) -> None:
    async with asyncio.timeout(DEADLINE), make_cluster(limits=LIMITS) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "websocket") as first:
            pass
        first.token = forged(first.token)
        for number in range(2, 20):
            refused = await try_open(b, "longpoll", resuming(first, number))
            if refused is not None:
                assert refused.error["limit"] == "opens_per_second"
                return
        raise AssertionError("none was refused")


async def test_renewal_with_a_forged_token_is_not_checked(make_cluster: MakeCluster) -> None:
    """Otherwise anybody could let an edge authenticate as often as they like."""
    seen: list[Any] = []

    async def authenticate(connection: HTTPConnection, credentials: Any) -> Identity:
        seen.append(credentials)
        return Identity("ada")

    async with asyncio.timeout(DEADLINE), make_cluster(authenticate=authenticate) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "longpoll", opening(credentials="x")) as first:
            await first.confirm()
            first.token = forged(first.token)
            for hub in (a, b):
                first.carrier.app = hub  # type: ignore[attr-defined]
                answer = await first.post({"type": "renew", "credentials": "guess"})
                assert (answer.status, answer.frames[0]["code"]) == (404, "unknown_session")
        assert "guess" not in seen


async def test_forged_renewals_use_up_nothing_of_a_session(make_cluster: MakeCluster) -> None:
    """Its id is no secret."""
    async with asyncio.timeout(DEADLINE), make_cluster(limits=LIMITS) as cluster:
        a, b = cluster.hubs
        async with frame_client(a, "longpoll") as first:
            await first.confirm()
            token, first.token = first.token, forged(first.token)
            first.carrier.app = b  # type: ignore[attr-defined]
            for _ in range(RESUMES_PER_SECOND):
                answer = await first.post({"type": "renew", "credentials": "guess"})
                assert answer.frames[0]["code"] == "unknown_session"
            first.token = token
        async with frame_client(b, "longpoll", opening(nonce="nonce-b-0123456789abcdef")):
            pass
        for number in range(2, 2 + RESUMES_PER_SECOND):
            async with frame_client(b, "longpoll", resuming(first, number)) as again:
                assert again.opened["verdict"] == "resumed"
