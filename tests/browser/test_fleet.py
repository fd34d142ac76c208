"""Two hundred clients whose server cannot be reached for five seconds, or was started anew.

The clients are the browser's, in Node, and those of Python: `tests.kit.fleet` says why. The gate
before the server shuts (`tests.kit.gate`), the server's process and its sessions live on; attempts
are counted at the gate, for each client. Clients and server have their defaults: what is seen is
the client's own pacing.

`make test` takes the browser's over WebSocket alone. With ``MATRIX=full`` it is both kinds, over
each transport, and all in one.
"""

from __future__ import annotations

import os
import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import anyio
import httpx
import pytest

from tests.browser.test_channel import TRANSPORTS
from tests.kit.fleet import Clients, fleet, python_fleet
from tests.kit.gate import Gate
from tests.kit.server import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Kind: TypeAlias = Literal["browser", "python"]

FULL = os.environ.get("MATRIX") == "full"
CHOICES = [["websocket"], ["sse"], ["longpoll"], TRANSPORTS] if FULL else [["websocket"]]
CLIENTS = 200
EVERY = 0.5
"""Seconds between two messages of a client, each way."""
SHUT = 5.0
BACK_WITHIN = 10.0
MOST_IN_A_SECOND = 2
PATIENCE = 60.0
"""Seconds after which a client that is not back will not come."""


@dataclass(frozen=True, slots=True)
class Outage:
    """What became of the clients.

    Attributes:
        wrong: what was lost, repeated or out of order, by client.
        resets: how many had one.
        cut: how many knew of a cut.
        seconds: that each took until it was whole, from the opening on; in order.
        busiest: how many clients made at most so many attempts in any one second.
        connections: the same of all connections, those of sessions that go on too.
    """

    wrong: list[list[Any]]
    resets: int
    cut: int
    seconds: list[float]
    busiest: dict[int, int]
    connections: dict[int, int]


def talking() -> Any:
    return serving("tests.kit.talk:app", "--no-access-log")


def _all_of(gate: Gate) -> list[str]:
    return [gate.url(client) for client in gate.knocks]


def _clients(kind: Kind, gate: Gate, transports: list[str]) -> AbstractAsyncContextManager[Clients]:
    start = fleet if kind == "browser" else python_fleet
    return start(_all_of(gate), EVERY, transports=transports)


KINDS: list[Kind] = ["browser", "python"] if FULL else ["browser"]


@pytest.fixture(
    scope="module",
    params=[(kind, choice) for kind in KINDS for choice in CHOICES],
    ids=lambda param: "-".join((param[0], *param[1])),
)
async def outage(request: pytest.FixtureRequest) -> Outage:
    kind, transports = request.param
    async with (
        talking() as server,
        Gate(server.port, CLIENTS) as gate,
        _clients(kind, gate, transports) as clients,
    ):
        before = await clients.call("ask", within=PATIENCE)
        assert [one["wrong"] for one in before if one["wrong"]] == []
        started = time.monotonic()
        gate.shut()
        await anyio.sleep(SHUT)  # it is what is tested
        gate.open()
        # What they say is asked for at once, and answered once it has come through.
        after = await clients.call("ask", within=PATIENCE)
        resets = sum(await clients.call("count", "reset"))
        cut = sum(count > 0 for count in await clients.call("count", "recovering"))
    found = Outage(
        wrong=[one["wrong"] for one in after if one["wrong"]],
        resets=resets,
        cut=cut,
        seconds=sorted(one["seconds"] for one in after),
        busiest=gate.busiest(started, lambda knock: knock.attempt),
        connections=gate.busiest(started),
    )
    median, ninety, last = (found.seconds[CLIENTS * part // 100 - 1] for part in (50, 90, 100))
    print(  # noqa: T201 - the figures are the point
        f"\n{CLIENTS} {kind} clients, {'+'.join(transports)}, shut for {SHUT:g} s: back in "
        f"{median:.1f} s (half), {ninety:.1f} s (nine of ten), {last:.1f} s (all), "
        f"{sum(seconds > BACK_WITHIN for seconds in found.seconds)} later than {BACK_WITHIN:g} s; "
        f"most attempts in a second: {found.busiest}, connections: {found.connections}"
    )
    return found


async def test_an_outage_loses_nothing(outage: Outage) -> None:
    """Everything arrives once and in order, both ways, in the sessions that there were."""
    assert outage.wrong == []
    assert (outage.resets, outage.cut) == (0, CLIENTS)


async def test_all_are_back_soon(outage: Outage) -> None:
    assert outage.seconds[-1] <= BACK_WITHIN


async def test_no_client_hammers(outage: Outage) -> None:
    """Whatever knocks while the gate is shut is an attempt: what opens, POSTs that are repeated."""
    assert max(outage.busiest) <= MOST_IN_A_SECOND, outage.busiest


@pytest.mark.parametrize("transports", CHOICES, ids="-".join)
async def test_a_restart_is_told_to_each_truthfully(transports: list[str]) -> None:
    """What was acknowledged was received; what is said never to have been handled was not."""
    async with (
        talking() as server,
        Gate(server.port, CLIENTS) as gate,
        fleet(_all_of(gate), EVERY, transports=transports) as clients,
    ):
        await clients.call("ask", within=PATIENCE)
        names = await clients.call("ids")
        gate.shut()
        received = await _received(server)
        await server.restart()
        gate.open()
        with anyio.fail_after(PATIENCE):
            while await clients.call("count", "reset") != [1] * CLIENTS:  # noqa: ASYNC110 - Node
                await anyio.sleep(0.1)
        told = await clients.call("resets")
        after = await clients.call("ask", within=PATIENCE)
        assert [one["wrong"] for one in after if one["wrong"]] == []
        assert await clients.call("count", "reset") == [1] * CLIENTS
        assert await clients.call("count", "close") == [0] * CLIENTS
    for name, [reset] in zip(names, told, strict=True):
        assert (reset["reason"], reset["lost"]) == ("restarted", None)
        fates: dict[str, list[int]] = reset["fates"]
        assert sorted(count for counts in fates.values() for count in counts) == reset["pending"]
        assert set(fates) <= {"unknown", "not_handled"}
        acknowledged = set(range(1, reset["sent"] + 1)) - set(reset["pending"])
        assert all(count <= received[name] for count in acknowledged)
        assert all(count > received[name] for count in fates.get("not_handled", []))


async def _received(server: Server) -> dict[str, int]:
    """How many messages the handlers have received, by session."""
    async with httpx.AsyncClient(trust_env=False) as client:
        report = (await client.get(f"{server.url}/report")).json()
    return {name: half["received"] for name, half in report.items()}
