"""`StoreOwner`: what a store that other processes share tells a process about all its sessions."""

from __future__ import annotations

from collections.abc import Iterator

from transport.server.driven_journal import DrivenJournal
from transport.server.registry import Registry
from transport.server.relay.edge import Edge
from transport.stores.journaled import JournaledStore

DRAIN_WINDOW = 10.0
"""Seconds over which the clients go elsewhere when the store does not answer."""


class StoreOwner:
    """Implements `Owner`.

    Args:
        store: of the sessions.
        registry: the sessions of this process.
        edge: its clients whose sessions are elsewhere.
    """

    def __init__(self, store: JournaledStore, registry: Registry, edge: Edge) -> None:
        self._store = store
        self._registry = registry
        self._edge = edge

    def started(self) -> None:
        """Learn that the store is known."""
        self._registry.epoch = self._store.run

    @property
    def _journals(self) -> Iterator[DrivenJournal]:
        for runner in self._registry.runners:
            if runner.driver.journal is not None:
                yield runner.driver.journal

    def lapsed(self) -> None:
        """See `Owner.lapsed`."""
        for journal in self._journals:
            journal.doubt()

    def renewed(self) -> None:
        """See `Owner.renewed`."""
        for journal in self._journals:
            journal.prove()

    def lost(self) -> None:
        """See `Owner.lost`."""
        self._registry.epoch = self._store.run
        for journal in self._journals:
            journal.lost()

    def unreachable(self) -> None:
        """See `Owner.unreachable`. Perhaps only this process cannot reach the store."""
        self._edge.send_away(DRAIN_WINDOW)
        for runner in self._registry.runners:
            runner.driver.send_away(DRAIN_WINDOW)

    def reachable(self) -> None:
        """See `Owner.reachable`."""
