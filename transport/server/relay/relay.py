"""`Relay`: one process of a hub that has several."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import chain

from transport import codes
from transport.bus.calls import Calls
from transport.bus.interface import Bus, Pipe
from transport.bus.items import CallItem, Item, LinkItem, TopicItem
from transport.errors import ProtocolError, StoreUnavailable
from transport.limits import Limits
from transport.protocol.codec import Payload
from transport.server.authentication import Authenticator
from transport.server.opening import Opener
from transport.server.registry import Registry
from transport.server.relay.asking import Asking
from transport.server.relay.edge import Edge
from transport.server.relay.edge_requests import EdgeRequests
from transport.server.relay.foreign import ForeignSessions
from transport.server.relay.home import Home
from transport.server.relay.homes import NamedHomes
from transport.server.relay.inheritance import Inheritance
from transport.server.relay.lost_records import LostRecords, Rewritten
from transport.server.relay.openings import Openings
from transport.server.relay.queries import Local, Queries
from transport.server.relay.reservations import Reservations
from transport.server.relay.store_owner import StoreOwner
from transport.server.relay.stored_homes import StoredHomes
from transport.server.relay.stored_openings import Stored, StoredOpenings
from transport.server.sessions import Sessions
from transport.server.topics.owned.subscriber import Members
from transport.server.topics.owned.topics import Topics
from transport.server.uplink import Uplink
from transport.stores.memory import WorkerStore
from transport.stores.names import shorten_topic
from transport.stores.topics.running import keep_running
from transport.telemetry.log import ERROR, INFO, log_event
from transport.waiting import resolve

JOIN_INTERVAL = 1.0
"""Seconds between attempts to join the others."""


class Relay:
    """Joins the other processes, and distributes what they send. Implements `Receiver`.

    Args:
        bus: to the other processes.
        limits: of the hub.
        authenticator: of the clients that connect here.
        registry: the sessions of this process.
        sessions: makes them.
        stored: the store that the processes share, if there is one.

    Attributes:
        edge: has the links of clients of the others.
        openings: opens sessions of the others.
        requests: passes on POSTs and polls.
    """

    def __init__(
        self,
        bus: Bus,
        limits: Limits,
        authenticator: Authenticator,
        registry: Registry,
        sessions: Sessions,
        stored: Stored | None = None,
    ) -> None:
        self._bus = bus
        self._limits = limits
        self._registry = registry
        self._stored = stored
        self._calls = Calls(lambda: bus.stalled_at)
        now = registry.now
        self._lost_records: LostRecords | None = None
        homes: NamedHomes | StoredHomes
        if stored is None:
            homes = NamedHomes(bus, ForeignSessions(limits.ttl, now), self._inherit)
        else:
            homes = StoredHomes(stored.store, stored.hub, registry)
        self._homes = homes
        asking = Asking(bus, self._calls, homes)
        self.edge = Edge(bus, asking, authenticator, limits, lambda: registry.return_window)
        self.openings: Openings | StoredOpenings
        if isinstance(homes, NamedHomes):
            reservations = Reservations(bus, self._calls, limits.nonce, now)
            self.openings = Openings(bus, self.edge, asking, reservations, homes, self._until_open)
        else:
            assert stored is not None
            self._lost_records = LostRecords(self._rewrite)
            self.openings = StoredOpenings(
                stored,
                bus,
                self.edge,
                homes,
                registry,
                sessions,
                self._until_open,
                self._lost_records.is_held,
            )
        self.requests = EdgeRequests(
            asking, homes, authenticator, limits, self.edge.drained, self._until_open
        )
        self._home: Home | None = None
        self._inheritance: Inheritance | None = None
        loop = asyncio.get_running_loop()
        self._has_joined = False
        self._reason = ""
        """Why it has not."""
        self._following: list[asyncio.Task[None]] = []
        self._has_tried = loop.create_future()
        self._joining = loop.create_task(self._join())

    def serve(
        self,
        opener: Opener,
        uplink: Uplink,
        members: Members,
        local: Local,
    ) -> None:
        """Let the others reach the sessions of this process.

        Args:
            opener, uplink: see `Home`.
            members: see `Topics`.
            local: see `Queries`.
        """
        registry = self._registry
        self._home = Home(
            registry, opener, uplink, self._limits, self._calls, self.openings.until_begun
        )
        # With a store it keeps what is published, and nobody misses any of it.
        self._topics = None if self._stored else Topics(self._bus, members, registry.clock)
        self._queries = Queries(self._bus, self._calls, local, self._homes.home_of)
        assert isinstance(registry.store, WorkerStore)
        self._inheritance = Inheritance(self._bus, registry.store, registry.now)

    async def publish(self, topic: str, payload: Payload) -> None:
        """Send a message to the members of a topic; see `Topics.publish`."""
        await self._until_joined()
        if self._stored is not None:
            await self._stored.topics.publish(shorten_topic(topic), payload)
        elif self._topics is not None:
            await self._topics.publish(topic, payload)

    async def dismiss(self, subject: str) -> None:
        """End the sessions of a user in all processes; see `Hub.close_user`.

        Raises:
            RuntimeError: they cannot be found.
            StoreUnavailable, TimeoutError: see `Hub.close_user`.
        """
        queries = await self.queries()
        if self._stored is not None:
            await self._stored.dismissals.dismiss(subject)
        await queries.dismiss(subject)

    async def queries(self) -> Queries:
        """Return what asks the other processes, once they are known.

        Raises:
            StoreUnavailable, RuntimeError: they cannot be found.
        """
        await self._until_joined()
        return self._queries

    async def flush(self) -> None:
        """Wait, not for long, until the clients at other processes have got their last frames."""
        assert self._home is not None
        await self._home.flush()

    async def leave(self) -> None:
        """Let the other processes read how the sessions here have ended, before `stop`."""
        assert self._inheritance is not None
        if self._has_joined:
            if self._stored is None:
                self._inheritance.give()
            await self._bus.leave()
            if self._stored is not None:
                await self._stored.store.stop()

    async def _rewrite(self, session_ids: Sequence[str]) -> Rewritten:
        return await (await self.queries()).rewrite(session_ids)

    async def _inherit(self, name: str) -> None:
        assert self._inheritance is not None
        await self._inheritance.take(name)

    def clients(self) -> Iterator[Callable[[], None]]:
        """Return, for each client whose session is elsewhere, what sends it to another process."""
        return chain(self.edge.clients(), self.requests.clients())

    def stop(self) -> None:
        """Leave the other processes: their connections to sessions here end as if cut."""
        if not self._joining.get_loop().is_closed():
            self._joining.cancel()
            for task in self._following:
                task.cancel()
            resolve(self._has_tried)
            self._calls.stop()
            if self._lost_records is not None:
                self._lost_records.stop()
            if self._topics is not None:
                self._topics.stop()
        self._bus.stop()
        if self._stored is not None:
            self._stored.store.close()

    async def _join(self) -> None:
        """Join the others; try again until that succeeds, as after the disk was full."""
        while not self._has_joined:
            try:
                if self._stored is not None and not self._following:
                    owner = StoreOwner(self._stored.store, self._registry, self.edge)
                    await self._stored.store.start(owner)
                    owner.started()
                    loop = asyncio.get_running_loop()
                    self._following = [
                        loop.create_task(self._stored.topics.run()),
                        loop.create_task(keep_running(self._stored.dismissals.run)),
                    ]
                await self._bus.start(self)
                if self._topics is not None:
                    self._topics.begin()
                self._has_joined = True
                log_event(
                    INFO,
                    "joined",
                    worker=self._bus.name,
                    pid=os.getpid(),
                    others=len(self._bus.peers),
                )
            except Exception as error:  # noqa: BLE001 - logged; tried again
                self._log_failure(error)
                resolve(self._has_tried)
                await asyncio.sleep(JOIN_INTERVAL)
        resolve(self._has_tried)

    def _log_failure(self, error: Exception) -> None:
        """Log why this process has not joined the others, unless that is what it was before."""
        reason, self._reason = self._reason, str(error) or type(error).__name__
        if self._reason == reason:
            return
        if isinstance(error, StoreUnavailable):
            log_event(
                ERROR,
                "store_unusable",
                f"{error}. This process serves no client before it can use the store, and keeps "
                "trying",
            )
        else:
            log_event(
                ERROR,
                "workers_failed",
                "this process cannot reach the others, so it serves no client; it tries again "
                "until it can",
                exc_info=error,
            )

    async def _until_joined(self) -> None:
        """Wait until the others are known.

        Raises:
            StoreUnavailable: the store that they share cannot be used.
            RuntimeError: they cannot be found, or this process stops.
        """
        if not self._has_tried.done():
            await asyncio.wait([self._has_tried])
        if not self._has_joined:
            if self._stored is not None and self._reason:
                raise StoreUnavailable(self._reason)
            raise RuntimeError(
                "this worker is stopping, or cannot find the others: see its log for workers_failed"
            )

    async def _until_open(self) -> None:
        """Wait for the others before a client is served.

        Raises:
            ProtocolError: as `_until_joined`, for the client.
        """
        try:
            await self._until_joined()
        except (StoreUnavailable, RuntimeError):
            raise ProtocolError(
                codes.UNAVAILABLE,
                "this process of the server is stopping, or cannot reach the others, or the store "
                "that they share: see its log",
                retry_in=self._limits.drain_window,
            ) from None

    # `Receiver`

    def received(self, pipe: Pipe, item: Item) -> None:
        """See `Receiver.received`."""
        if isinstance(item, LinkItem):  # first, as most are
            self._side(pipe).received(pipe, item)
        elif isinstance(item, CallItem):
            self._calls.received(pipe, item)
        elif isinstance(item, TopicItem) and self._topics is not None:
            self._topics.received(pipe, item)

    def opened(self, pipe: Pipe) -> None:
        """See `Receiver.opened`."""
        if self._topics is not None:
            self._topics.opened(pipe)

    def ended(self, pipe: Pipe) -> None:
        """See `Receiver.ended`."""
        self._calls.ended(pipe)
        if self._topics is not None:
            self._topics.ended(pipe)
        self._side(pipe).ended(pipe)

    def joined(self, name: str) -> None:
        """See `Receiver.joined`."""

    def left(self, name: str) -> None:
        """See `Receiver.left`."""
        if self._topics is not None:
            self._topics.left(name)

    def _side(self, pipe: Pipe) -> Edge | Home:
        """Return what this process is on a pipe: the edge if it has opened it."""
        assert self._home is not None
        return self.edge if pipe.is_own else self._home
