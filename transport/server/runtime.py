"""`Runtime`: what a hub needs in one event loop, put together in one place."""

from __future__ import annotations

from collections.abc import Mapping

from transport.bus.interface import Bus
from transport.limits import Limits
from transport.protocol.codec import Payload, size_of
from transport.server.admission import Admission
from transport.server.application import Application
from transport.server.audience import Audience
from transport.server.authentication import Authenticate, Authenticator
from transport.server.clock import Clock
from transport.server.deadlines import Deadlines
from transport.server.group import Group
from transport.server.memory import Memory
from transport.server.opening import Opener
from transport.server.registry import Registry
from transport.server.relay.relay import Relay
from transport.server.relay.stored_openings import Stored
from transport.server.sessions import Sessions
from transport.server.statistics import HubStatistics, statistics_of, total
from transport.server.uplink import Uplink
from transport.stores.interface import Store
from transport.stores.journaled import JournaledStore


class Runtime:
    """The sessions of a hub in the running event loop; the adapters' `Entrance` to them.

    Args:
        application: run for each session.
        store: where records are kept.
        limits: bounds and times.
        authenticate: None lets everybody in, as a guest.
        key: the secret from which tokens are derived, unless the processes share one.
        groups: the hub's, by their names.
        hub: its name, the same in each of its processes.
        bus: to the other processes of the hub, if it has several.
        journals: the store from which they take sessions over, if there is one.

    Attributes:
        registry: the sessions.
        opener: answers an ``open``.
        memory: the bound on what all sessions take.
        deadlines: see `Entrance`.
    """

    def __init__(
        self,
        application: Application,
        store: Store,
        limits: Limits,
        authenticate: Authenticate | None,
        key: bytes,
        groups: Mapping[str, Group],
        hub: str,
        bus: Bus | None = None,
        journals: JournaledStore | None = None,
    ) -> None:
        clock = Clock()
        admission = Admission(limits)
        self.memory = Memory(limits.memory)
        self.loop = clock.loop
        self.deadlines = Deadlines(clock.now)
        self.registry = Registry(store, limits, admission, self.memory, clock, self.deadlines)
        self._authenticator = Authenticator(
            authenticate, limits, self.deadlines, admission, clock.now
        )
        sessions = Sessions(
            application, self.registry, limits, admission, self.memory, self._authenticator
        )
        relay: Relay | None = None
        if bus is not None:
            stored = None if journals is None else Stored(journals, hub, application.wraps)
            relay = Relay(bus, limits, self._authenticator, self.registry, sessions, stored)
            self.registry.journals = journals
            self.registry.is_relayed = True
            self.registry.on_drain = relay.edge.drain
        self._relay = relay
        self.opener = Opener(
            application.wraps,
            self.registry,
            limits,
            sessions,
            self._authenticator,
            key,
            relay.openings if relay is not None else None,
        )
        uplink = Uplink(self.registry, limits, relay.requests if relay is not None else None)
        self._audience = Audience(self.registry, groups)
        if relay is not None:
            relay.serve(self.opener, uplink, self._audience, self)
        # Bound, not wrapped: every POST would pay for one more call.
        self.open = self.opener.open
        self.poll = uplink.poll
        self.send = uplink.send

    async def drain(self) -> None:
        """Let the handlers end, and let every client read what they have done (DRN-1)."""
        await self.registry.drain()
        if self._relay is not None:
            await self._relay.flush()

    async def leave(self) -> None:
        """Prepare the other processes for the end of this one. It follows `drain`."""
        if self._relay is not None:
            await self._relay.leave()

    def stop(self) -> None:
        """Stop the sessions' timer and handlers, and leave the other processes."""
        self.registry.stop()
        if self._relay is not None:
            self._relay.stop()

    # What an application calls, for all processes

    async def publish(self, topic: str, payload: Payload) -> None:
        """Send a message to the members of a topic; see `Group.send`."""
        if self._relay is None:
            self._audience.deliver(topic, payload)
        else:
            await self._relay.publish(topic, payload)

    async def send_to(self, channel_id: str, payload: Payload) -> bool:
        """Send a message to a channel; see `Hub.send_to`."""
        if self._relay is None or self.registry.get(channel_id) is not None:
            return self.deliver(channel_id, payload)
        queries = await self._relay.queries()
        return await queries.deliver(channel_id, payload)

    async def close_user(self, subject: str) -> None:
        """End the sessions of a user; see `Hub.close_user`."""
        self.dismiss(subject)
        if self._relay is not None:
            queries = await self._relay.queries()
            await queries.dismiss(subject)

    async def statistics(self) -> HubStatistics:
        """Return the counters; see `Hub.statistics`."""
        if self._relay is None:
            return self.count()
        queries = await self._relay.queries()
        return total([self.count(), *await queries.count()])

    # The same, for this process; implements `relay.queries.Local`

    def deliver(self, channel_id: str, payload: Payload) -> bool:
        """Send a message to a channel here, without waiting; return whether it took it."""
        runner = self.registry.get(channel_id)
        return runner is not None and runner.driver.try_send(payload, size_of(payload))

    def dismiss(self, subject: str) -> None:
        """End the sessions of a user here, also one that is just being opened (IDN-2)."""
        self._authenticator.dismiss(subject)
        self.opener.dismiss(subject)
        self.registry.dismiss(subject)

    def count(self) -> HubStatistics:
        """Return the counters of this process."""
        return statistics_of(self.registry, self.opener.refused, self.memory)
