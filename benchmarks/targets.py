"""The performance targets of this project, and whether a run met them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.peers import (
    BARE,
    COMPRESSED,
    OURS,
    POLL,
    RELAYED,
    STORED,
    STORED_RELAYED,
    STORED_SPREAD,
    STREAM,
    TRANSPORTS,
    WEBSOCKET,
    WRAPPED,
)
from benchmarks.report import Result, Results
from benchmarks.workloads import (
    CPU,
    DELIVERIES,
    KIB,
    P50,
    RATE,
    SESSIONS,
    TO_LAST,
    Figure,
    Growth,
    Opening,
    Resume,
)

DEEP = "echo, 64 sessions, depth 16, 64 B"
WIDE = "echo, 64 sessions, depth 1, 64 B"
SINGLE = "echo, 1 session, depth 1, 64 B"
RELAY = f"relayed {SINGLE}"
STORED_GROUP = "stored, one message to 1000"
PUSH = "10 messages at once to 200, without a pause"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A target and its result.

    Attributes:
        target: a description of the target.
        value: the value reached, or None if the run did not measure it.
        bound: the value to compare it with.
        at_least: True if the bound is a minimum, False if it is a maximum.
        unit: the unit of both values.
    """

    target: str
    value: float | None
    bound: float
    at_least: bool
    unit: str

    @property
    def met(self) -> bool:
        """Whether the target was met."""
        if self.value is None:
            return False
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def row(self) -> str:
        """Return the target as a row of a table."""
        sign = "at least" if self.at_least else "at most"
        met = "yes" if self.met else "**no**"
        return f"| {self.target} | {sign} {self.bound:g} {self.unit} | {self.value:.2f} | {met} |"


def verdicts(results: Results) -> list[Verdict]:
    """Return the verdict on every target that this run measured."""
    return [verdict for verdict in _all(results) if verdict.value is not None]


def _all(results: Results) -> Iterator[Verdict]:
    bare, best, cost = "x bare", "x the best of them", "x the cost of bare"

    def ratio(title: str, transport: str, figure: Figure) -> float | None:
        return results.ratio(title, transport, figure)

    def beside_peers(
        title: str, transport: str, figure: Figure, *, node: bool = True
    ) -> float | None:
        """Return our figure as a multiple of the best peer's."""
        ratios = [
            results.ratio(title, transport, figure, to=result.peer)
            for result in results.groups().get((title, transport), [])
            if result.peer not in (OURS, COMPRESSED, WRAPPED, BARE)
            and (node or not result.peer.on_node)
        ]
        return min([value for value in ratios if value is not None], default=None)

    echo = "WebSocket echo, 64 sessions, depth 16"
    yield Verdict(f"{echo}: messages/s", ratio(DEEP, WEBSOCKET, RATE), 3, True, bare)
    by_cpu = _inverse(ratio(DEEP, WEBSOCKET, CPU))
    yield Verdict(f"{echo}: CPU per message", by_cpu, round(1 / 3, 3), False, cost)
    peers = beside_peers(DEEP, WEBSOCKET, RATE)
    yield Verdict(f"{echo}: ahead of every peer", peers, 1, True, best)
    for name, title in (("1 session", SINGLE), ("64 sessions", WIDE)):
        value = ratio(title, WEBSOCKET, RATE)
        yield Verdict(f"WebSocket echo, {name}, depth 1: messages/s", value, 0.8, True, bare)
    for transport in (STREAM, POLL):
        echo = f"{transport} echo, 64 sessions, depth 16"
        mine, floor = results.find(DEEP, transport), results.find(DEEP, WEBSOCKET, BARE)
        value = mine.ratio(floor, RATE) if mine is not None and floor is not None else None
        yield Verdict(f"{echo}: messages/s", value, 1.8, True, "x bare WebSocket")
        peers = beside_peers(DEEP, transport, RATE)
        yield Verdict(f"{echo}: ahead of every peer", peers, 1, True, best)
        value = _inverse(ratio(SINGLE, transport, P50))
        yield Verdict(f"{transport} echo, depth 1: p50", value, 1.5, False, bare)
    for burst, title, bound in (
        ("one message", "one message to 1000", 0.9),
        ("ten at once", "10 messages at once to 1000", 3),
    ):
        value = ratio(title, WEBSOCKET, TO_LAST)
        yield Verdict(f"{burst} to 1,000: speed to the last", value, bound, True, bare)
    for transport in (STREAM, POLL):
        peers = beside_peers(PUSH, transport, DELIVERIES)
        yield Verdict(f"{transport}, push to 200: ahead of every peer", peers, 1, True, best)
    for result in _ours(results):
        transport, title = result.transport, result.workload.title
        if KIB in result.workload.figures:
            bound = 28 if transport == WEBSOCKET else 32
            yield Verdict(f"idle session, {transport}", result.value(KIB), bound, False, "KiB")
        elif isinstance(result.workload, Opening):
            if transport == WEBSOCKET:
                value = ratio(title, transport, SESSIONS)
                yield Verdict(f"open a session, {transport}", value, 0.7, True, bare)
            peers = beside_peers(title, transport, SESSIONS, node=False)
            name = f"open a session, {transport}: ahead of every Python peer"
            yield Verdict(name, peers, 1, True, best)
        elif isinstance(result.workload, Resume):
            name = f"1,000 missed messages, {transport}: to the last"
            yield Verdict(name, result.value(TO_LAST), 5, False, "ms")
    relayed, local = results.find(RELAY, WEBSOCKET, RELAYED), results.find(RELAY, WEBSOCKET)
    if relayed is not None and local is not None:
        value = relayed.difference(local, P50)
        yield Verdict("WebSocket echo, relayed: added to p50", value, 0.3, False, "ms")
    yield from _stored(results)
    crowds = [
        (result.workload.sessions, result)
        for result in _ours(results)
        if isinstance(result.workload, Growth)
    ]
    if len(crowds) > 1:
        (few, fewest), (many, most) = crowds[0], crowds[-1]
        value = _inverse(most.ratio(fewest, CPU))
        name = f"CPU per message at {many} sessions"
        yield Verdict(name, value, 1.15, False, f"x that at {few}")


def _stored(results: Results) -> Iterator[Verdict]:
    for peer, place, bound in ((STORED, "at home", 0.6), (STORED_RELAYED, "relayed", 0.5)):
        echo = f"WebSocket echo through Redis, {place}"
        value = results.ratio(f"stored {DEEP}", WEBSOCKET, RATE, peer, to=OURS)
        name = f"{echo}, 64 sessions, depth 16: messages/s"
        yield Verdict(name, value, bound, True, "x memory")
        single = results.find(f"stored {SINGLE}", WEBSOCKET, peer)
        memory = results.find(f"stored {SINGLE}", WEBSOCKET)
        if single is not None and memory is not None:
            added = single.difference(memory, P50)
            yield Verdict(f"{echo}, depth 1: added to p50", added, 1, False, "ms")
    group = results.find(STORED_GROUP, WEBSOCKET, STORED_SPREAD)
    if group is not None:
        name = "one message to 1,000 in two processes with Redis: to the last"
        yield Verdict(name, group.value(TO_LAST), 150, False, "ms")


def _ours(results: Results) -> list[Result]:
    order = {transport: number for number, transport in enumerate(TRANSPORTS)}
    ours = [result for result in results if result.peer is OURS]
    return sorted(ours, key=lambda result: order[result.transport])


def _inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value
