"""`SharedStore`: what makes several processes serve the sessions of one hub."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from transport.bus.interface import Bus
from transport.limits import Limits
from transport.stores.journaled import JournaledStore
from transport.stores.topics.wire import TopicStore


class Joined(NamedTuple):
    """The part of one process.

    Attributes:
        bus: to the other processes.
        store: from which they take sessions over from each other; None if a session ends with the
            process that has it.
        topics: where what is published is kept for the sessions of that store.
    """

    bus: Bus
    store: JournaledStore | None = None
    topics: TopicStore | None = None


class SharedStore(ABC):
    """Where the sessions of a hub are kept that runs in several processes: ``Hub(store=...)``."""

    @abstractmethod
    def join(self, hub: str, limits: Limits) -> Joined:
        """Return what a process of a hub needs; called when the hub starts in it.

        Args:
            hub: the name of the hub.
            limits: those of the hub.

        Raises:
            RuntimeError: it cannot be used; the message says why, and what to do.
        """
