"""Two hundred clients whose server is unreachable for five seconds, or restarts.

The clients are browser clients in Node and Python clients; `tests.support.clients.fleet` explains
why. The gate in front of the server (`tests.support.faults.connection_gate`) shuts while the
server's process and its sessions continue, and counts the attempts of each client. Clients and
server use their defaults, so the tests observe the client's real pacing.

`make test` runs only the browser clients, over WebSocket. With ``MATRIX=full`` both kinds run, over
each transport and with a free choice of transport.
"""

from __future__ import annotations

import time
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import anyio
import httpx
import pytest

from tests.browser.pages import FULL, TRANSPORTS
from tests.support.clients.fleet import Clients, fleet, python_fleet
from tests.support.faults.connection_gate import ClientConnection, ConnectionGate
from tests.support.servers.uvicorn import Server, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

Kind: TypeAlias = Literal["browser", "python"]

CHOICES = [["websocket"], ["sse"], ["longpoll"], TRANSPORTS] if FULL else [["websocket"]]
CLIENTS = 200
MESSAGE_INTERVAL = 0.5
"""Seconds between two messages of a client, each way."""
OUTAGE = 5.0
BUDGET_PERIOD = 1.25
"""Seconds in which a client makes at most two attempts while no connection works."""
RETURN_TIMEOUT = 120.0
"""Seconds to wait for all clients to return."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The measurements of one outage.

    Attributes:
        wrong: the messages lost, repeated or out of order, by client.
        resets: the number of clients whose session was reset.
        cut: the number of clients that noticed a cut.
        seconds: the time that each client took to catch up after the gate opened, sorted.
        attempts: for each client, its attempts and the number that its budget allowed.
        busiest: the number of clients by the most attempts that they made in any one second.
        connections: the same for all connections, including those of resumed sessions.
    """

    wrong: list[list[Any]]
    resets: int
    cut: int
    seconds: list[float]
    attempts: list[tuple[int, float]]
    busiest: dict[int, int]
    connections: dict[int, int]


def conversation_server() -> Any:
    return serving("tests.support.conversation:app", "--no-access-log")


def _urls(gate: ConnectionGate) -> list[str]:
    return [gate.url(client) for client in gate.connections]


def _clients(
    kind: Kind, gate: ConnectionGate, transports: list[str]
) -> AbstractAsyncContextManager[Clients]:
    start = fleet if kind == "browser" else python_fleet
    return start(_urls(gate), MESSAGE_INTERVAL, transports=transports)


def _attempts(connections: list[ClientConnection], since: float) -> tuple[int, float]:
    """Return the attempts of a client since then, and the number that its budget allows.

    The budget is for the time from the first to the last attempt, so a slow machine that delays
    all of them does not matter. It includes one more for a single attempt that was delayed.
    """
    times = sorted(
        connection.at for connection in connections if connection.attempt and connection.at >= since
    )
    return len(times), 2 * (1 + (times[-1] - times[0]) / BUDGET_PERIOD) + 1 if times else 0


KINDS: list[Kind] = ["browser", "python"] if FULL else ["browser"]


@pytest.fixture(
    scope="module",
    params=[(kind, choice) for kind in KINDS for choice in CHOICES],
    ids=lambda param: "-".join((param[0], *param[1])),
)
async def outage(request: pytest.FixtureRequest) -> Outage:
    kind, transports = request.param
    async with (
        conversation_server() as server,
        ConnectionGate(server.port, CLIENTS) as gate,
        _clients(kind, gate, transports) as clients,
    ):
        before = await clients.call("ask", within=RETURN_TIMEOUT)
        assert [one["wrong"] for one in before if one["wrong"]] == []
        started = time.monotonic()
        gate.shut()
        await anyio.sleep(OUTAGE)  # the outage under test
        gate.open()
        # Each client answers as soon as all its messages have arrived.
        after = await clients.call("ask", within=RETURN_TIMEOUT)
        resets = sum(await clients.call("count", "reset"))
        cut = sum(count > 0 for count in await clients.call("count", "recovering"))
    found = Outage(
        wrong=[one["wrong"] for one in after if one["wrong"]],
        resets=resets,
        cut=cut,
        seconds=sorted(one["seconds"] for one in after),
        attempts=[_attempts(connections, started) for connections in gate.connections.values()],
        busiest=gate.busiest(started, lambda connection: connection.attempt),
        connections=gate.busiest(started),
    )
    median, ninety, last = (found.seconds[CLIENTS * part // 100 - 1] for part in (50, 90, 100))
    print(  # noqa: T201 - the figures are the point
        f"\n{CLIENTS} {kind} clients, {'+'.join(transports)}, shut for {OUTAGE:g} s: back in "
        f"{median:.1f} s (half), {ninety:.1f} s (nine of ten), {last:.1f} s (all), "
        f"most attempts in a second: {found.busiest}, connections: {found.connections}"
    )
    return found


async def test_outage_loses_nothing(outage: Outage) -> None:
    """All clients return to their sessions; every message arrives once, in order, both ways."""
    assert outage.wrong == []
    assert (outage.resets, outage.cut) == (0, CLIENTS)


async def test_outage_attempts_stay_within_budget(outage: Outage) -> None:
    """While the gate is shut, every connection is an attempt: to open, or to repeat a POST."""
    beyond = [one for one in outage.attempts if one[0] > one[1]]
    assert beyond == [], outage.busiest


@pytest.mark.parametrize("transports", CHOICES, ids="-".join)
async def test_restart_reports_true_fates_to_clients(transports: list[str]) -> None:
    """Acknowledged messages were received; those reported as not handled were not."""
    async with (
        conversation_server() as server,
        ConnectionGate(server.port, CLIENTS) as gate,
        fleet(_urls(gate), MESSAGE_INTERVAL, transports=transports) as clients,
    ):
        await clients.call("ask", within=RETURN_TIMEOUT)
        names = await clients.call("ids")
        gate.shut()
        received = await _received(server)
        await server.restart()
        gate.open()
        with anyio.fail_after(RETURN_TIMEOUT):
            while await clients.call("count", "reset") != [1] * CLIENTS:  # noqa: ASYNC110 - Node
                await anyio.sleep(0.1)
        resets = await clients.call("resets")
        after = await clients.call("ask", within=RETURN_TIMEOUT)
        assert [one["wrong"] for one in after if one["wrong"]] == []
        assert await clients.call("count", "reset") == [1] * CLIENTS
        assert await clients.call("count", "close") == [0] * CLIENTS
    for name, [reset] in zip(names, resets, strict=True):
        assert (reset["reason"], reset["lost"]) == ("restarted", None)
        fates: dict[str, list[int]] = reset["fates"]
        assert sorted(count for counts in fates.values() for count in counts) == reset["pending"]
        assert set(fates) <= {"unknown", "not_handled"}
        acknowledged = set(range(1, reset["sent"] + 1)) - set(reset["pending"])
        assert all(count <= received[name] for count in acknowledged)
        assert all(count > received[name] for count in fates.get("not_handled", []))


async def _received(server: Server) -> dict[str, int]:
    """Return the number of messages that the handlers have received, by session."""
    async with httpx.AsyncClient(trust_env=False) as client:
        report = (await client.get(f"{server.url}/report")).json()
    return {name: half["received"] for name, half in report.items()}
