"""`HubStatistics`: what a hub counts, in one process or in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from transport.protocol.frames import TransportKind
from transport.protocol.server.counters import counters_of
from transport.server.memory import Memory
from transport.server.registry import Registry
from transport.stores.journaled import StoreStatistics


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """Counters of one hub, over all its processes.

    Attributes:
        sessions: sessions that exist now.
        connections: connections attached now, by transport.
        opened: sessions ever opened.
        resets: sessions that were ever reset, and resumes that were refused otherwise, by their
            reason (PROTOCOL.md RES-5); 0 for a reason that has not occurred.
        refused: opens ever answered with an error.
        sent, received, replayed: total messages; see `ChannelStatistics`.
        memory: bytes that all sessions take now, as ``limits.memory`` counts them in each process.
        memory_reached: how often that limit refused a session, or reset one.
        processes: how many are counted: a worker that does not answer is not, and what one has
            counted goes with it.
        store: how the store fares that the processes share: the worst ``state`` and ``flight`` of
            all, and the sum of what they have counted; None without such a store.
    """

    sessions: int
    connections: dict[str, int]
    opened: int = 0
    resets: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    sent: int = 0
    received: int = 0
    replayed: int = 0
    memory: int = 0
    memory_reached: int = 0
    processes: int = 1
    store: StoreStatistics | None = None


def no_statistics() -> HubStatistics:
    """Return the counters of a hub that has not started."""
    return HubStatistics(0, {kind.value: 0 for kind in TransportKind})


def statistics_of(registry: Registry, refused: int, memory: Memory) -> HubStatistics:
    """Return the counters of this process.

    Args:
        registry: its sessions.
        refused: see `HubStatistics`.
        memory: that they take.
    """
    connections = no_statistics().connections
    totals = registry.totals.copy()
    for runner in registry.runners:
        counters = counters_of(runner.session)
        totals.add(counters)
        for transport in counters.transports:
            connections[transport.value] += 1
    return HubStatistics(
        len(registry),
        connections,
        opened=registry.opened,
        resets=registry.resets.copy(),
        refused=refused,
        sent=totals.sent,
        received=totals.received,
        replayed=totals.replayed,
        memory=memory.used,
        memory_reached=memory.reached,
        store=registry.journals.statistics if registry.journals is not None else None,
    )


def total(parts: Sequence[HubStatistics]) -> HubStatistics:
    """Return the sum of the counters of several processes, at least one."""
    connections: Counter[str] = Counter()
    resets: Counter[str] = Counter()
    for part in parts:
        connections.update(part.connections)
        resets.update(part.resets)
    numbers = {
        each.name: sum(getattr(part, each.name) for part in parts)
        for each in fields(HubStatistics)
        if each.name not in ("connections", "resets", "store")
    }
    store = _total_store([part.store for part in parts if part.store is not None])
    return HubStatistics(connections=dict(connections), resets=resets, store=store, **numbers)


def _total_store(parts: Sequence[StoreStatistics]) -> StoreStatistics | None:
    if not parts:
        return None
    return StoreStatistics(
        state=max((part.state for part in parts), key=("ok", "slow", "gone").index),
        flight=max(part.flight for part in parts),
        takeovers=sum(part.takeovers for part in parts),
        fenced=sum(part.fenced for part in parts),
        healed=sum(part.healed for part in parts),
    )
