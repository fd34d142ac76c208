"""Campaigns against a real server: once, in order and unchanged, both ways, whatever breaks.

Both ends count the messages, and their counts agree.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.client.kit import TRANSPORTS, apps, check, converse, open_to, until
from tests.support.faults.http_proxy import Delay, Fault, Lose, Repeat, RequestProxy
from tests.support.faults.tcp_proxy import FaultProxy
from transport.client import Channel, Pacing

CAMPAIGN = 10_000
"""Messages each way over a pair of transports: enough to include all of Unicode."""
SHORT = 1_000
"""Messages each way if requests are broken."""

LOST = [Lose(), Lose(headers=True)]
REPEATED = [Repeat(), Repeat(later=1), Repeat(later=3)]
REORDERED = [Delay(later=later, cut=True) for later in (1, 2, 4)]


async def passing(channel: Channel, count: int, parts: int) -> AsyncIterator[int]:
    """Yield each part of a campaign when it has begun."""
    for part in range(1, parts + 1):
        await until(lambda: channel.statistics().received >= count * part // (parts + 2))  # noqa: B023
        yield part


@pytest.mark.parametrize("second", TRANSPORTS)
@pytest.mark.parametrize("first", TRANSPORTS)
async def test_campaign_survives_cuts_and_switches(
    first: str, second: str, record_property: Any
) -> None:
    """RES-1, SND-1, POL-2: the network breaks at any byte, and the transports switch."""
    started = time.monotonic()
    async with (
        apps("campaign") as server,
        FaultProxy(
            server.port, seed=TRANSPORTS.index(first) * 3 + TRANSPORTS.index(second)
        ) as proxy,
        open_to(proxy.port, first) as channel,
    ):

        async def steer() -> None:
            async for part in passing(channel, CAMPAIGN, 10):
                channel.transports = (second if part % 2 else first,)
                for _ in range(4):
                    # The distribution makes cuts in small frames as frequent as in large ones.
                    proxy.cut_after(int(2 ** proxy.random.uniform(0, 18)), every=True)
            channel.transports = (second,)

        await converse(channel, CAMPAIGN, steer)
        cuts = proxy.statistics.cuts
        proxy.heal()
        await check(server, CAMPAIGN, channel)
        await until(lambda: channel.transport == second)
        note(record_property, f"{cuts} cuts", channel, started)
        assert cuts >= 20


@pytest.mark.parametrize("transport", ["sse", "longpoll"])
@pytest.mark.parametrize(
    "faults", [LOST, REPEATED, REORDERED], ids=["lost", "repeated", "reordered"]
)
async def test_campaign_survives_broken_requests(
    transport: str, faults: list[Fault], record_property: Any
) -> None:
    """NUM-3, SND-1, POL-2: answers are lost, and requests arrive twice or after later ones."""
    started = time.monotonic()
    async with (
        apps("brisk") as server,
        RequestProxy(server.port, seed=TRANSPORTS.index(transport)) as proxy,
        open_to(proxy.port, transport) as channel,
    ):
        proxy.disturb(0.4, ["send", "poll", "sse"], faults)

        async def steer() -> None:
            async for _ in passing(channel, SHORT, 10):
                channel.reconnect()

        await converse(channel, SHORT, steer)
        broken = proxy.faults.total()
        proxy.heal()
        await proxy.settled()
        await check(server, SHORT, channel)
        note(
            record_property, f"{broken} of {len(proxy.requests)} requests broken", channel, started
        )
        assert broken >= 20


@pytest.mark.parametrize("seed", range(3))
async def test_campaign_survives_all_faults_at_once(seed: int, record_property: Any) -> None:
    """Cuts at bytes, switches among all transports, and every fault of requests."""
    started = time.monotonic()
    async with (
        apps("brisk") as server,
        RequestProxy(server.port, seed=seed) as requests,
        FaultProxy(requests.port, seed=seed) as proxy,
        open_to(
            proxy.port, pacing=Pacing(retry_base=0.02, retry_max=0.1, post_timeout=0.5)
        ) as channel,
    ):
        delayed = [Delay(later=later) for later in (1, 2)]
        requests.disturb(0.15, ["send", "poll", "sse"], [*LOST, *REPEATED, *REORDERED, *delayed])

        async def steer() -> None:
            async for part in passing(channel, SHORT, 10):
                channel.transports = (TRANSPORTS[(seed + part) % 3],)
                for _ in range(2):
                    proxy.cut_after(int(2 ** proxy.random.uniform(0, 17)))
            channel.transports = TRANSPORTS

        await converse(channel, SHORT, steer)
        figures = (
            f"{proxy.statistics.cuts} cuts, "
            f"{requests.faults.total()} of {len(requests.requests)} requests broken"
        )
        proxy.heal()
        requests.heal()
        await requests.settled()
        await check(server, SHORT, channel)
        note(record_property, figures, channel, started)


def note(record_property: Any, what: str, channel: Channel, started: float) -> None:
    """Record and print the figures of a campaign."""
    statistics, seconds = channel.statistics(), time.monotonic() - started
    record_property("seconds", seconds)
    print(  # noqa: T201
        f"\n{statistics.received} messages each way, {what}, {statistics.attaches} attaches, "
        f"{statistics.replayed} replayed, {seconds:.1f} s"
    )
