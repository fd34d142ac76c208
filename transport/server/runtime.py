"""`Runtime`: what a hub needs in one event loop, put together in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from transport.bus.shared import Joined
from transport.errors import StoreUnavailable
from transport.limits import Limits
from transport.protocol.codec import Payload, size_of
from transport.server.admission import Admission
from transport.server.application import Application
from transport.server.audience import Audience
from transport.server.authentication import Authenticate, Authenticator
from transport.server.channel import Channel
from transport.server.clock import Clock
from transport.server.deadlines import Deadlines
from transport.server.group import JOINED, Group
from transport.server.group import Joined as JoinedTopic
from transport.server.memory import Memory
from transport.server.opening import Opener
from transport.server.registry import Registry
from transport.server.relay.relay import Relay
from transport.server.relay.stored_openings import Stored
from transport.server.sessions import Sessions
from transport.server.statistics import HubStatistics, statistics_of, total
from transport.server.topics.stored.dismissals import Dismissals
from transport.server.topics.stored.memberships import Memberships
from transport.server.topics.stored.stored_topics import StoredTopics
from transport.server.uplink import Uplink
from transport.stores.interface import Store


class Runtime:
    """The sessions of a hub in the running event loop; the adapters' `Entrance` to them.

    Args:
        application: run for each session.
        store: where records are kept.
        limits: bounds and times.
        authenticate: None lets everybody in, as a guest.
        key: the secret from which tokens are derived, unless the processes share one.
        groups: the hub's that have members here, by their names.
        group: returns the hub's group of a name.
        hub: its name, the same in each of its processes.
        joined: what joins the processes of the hub, if it has several.

    Attributes:
        registry: the sessions.
        opener: answers an ``open``.
        memory: the bound on what all sessions take.
        deadlines: see `Entrance`.
        is_stopping: see `Entrance`.
    """

    def __init__(
        self,
        application: Application,
        store: Store,
        limits: Limits,
        authenticate: Authenticate | None,
        key: bytes,
        groups: Mapping[str, Group],
        group: Callable[[str], Group],
        hub: str,
        joined: Joined | None = None,
    ) -> None:
        clock = Clock()
        admission = Admission(limits)
        self.memory = Memory(limits.memory)
        self.loop = clock.loop
        self.deadlines = Deadlines(clock.now)
        self.is_stopping = False
        self.registry = Registry(store, limits, admission, self.memory, clock, self.deadlines)
        self._authenticator = Authenticator(
            authenticate, limits, self.deadlines, admission, clock.now
        )
        sessions = Sessions(
            application, self.registry, limits, admission, self.memory, self._authenticator
        )
        relay: Relay | None = None
        self._memberships: Memberships | None = None
        if joined is not None:
            stored: Stored | None = None
            if joined.store is not None and joined.topics is not None:
                topics = StoredTopics(joined.topics)
                dismissals = Dismissals(
                    topics, self.registry.dismiss, self.registry.subjects, self._refuse
                )
                stored = Stored(joined.store, topics, dismissals, hub, application.wraps)
                self._memberships = Memberships(topics, group)
                sessions.on_begun = self._memberships.begun
                self.registry.journals = joined.store
                self.registry.on_removed = self._memberships.ended
            relay = Relay(joined.bus, limits, self._authenticator, self.registry, sessions, stored)
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

    def begin_drain(self) -> None:
        """Tell every client to reconnect, and let the handlers end: the server stops (DRN-1)."""
        self.is_stopping = True
        self.registry.begin_drain()

    def depart(self) -> float:
        """Send the clients to other processes, one after the other, while the server still serves.

        Without others that can go on with their sessions, all are told at once.

        Returns:
            The seconds that it takes.
        """
        if self._relay is None or self.registry.journals is None:
            self.begin_drain()
            return 0.0
        self.is_stopping = True
        return self.registry.depart(self._relay.clients())

    async def drain(self) -> None:
        """Let the handlers end, and let every client read what they have done (DRN-1)."""
        self.is_stopping = True
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

    def join(self, topic: str, channel: Channel) -> JoinedTopic:
        """Make a channel a member of a topic; see `Group.add`."""
        joining = self._memberships.join(topic, channel) if self._memberships is not None else None
        if joining is None:
            return JOINED
        task = self.loop.create_task(joining)
        task.add_done_callback(_retrieve)
        return JoinedTopic(task)

    def leave_topic(self, topic: str, channel: Channel) -> None:
        """Let a channel leave a topic; see `Group.discard`."""
        if self._memberships is not None:
            self._memberships.leave(topic, channel)

    async def send_to(self, channel_id: str, payload: Payload) -> bool:
        """Send a message to a channel; see `Hub.send_to`."""
        if self._relay is None or self.registry.get(channel_id) is not None:
            is_taken = self.deliver(channel_id, payload)
            if is_taken:
                await self.saved(channel_id)
            return is_taken
        queries = await self._relay.queries()
        return await queries.deliver(channel_id, payload)

    async def close_user(self, subject: str) -> None:
        """End the sessions of a user; see `Hub.close_user`."""
        self.dismiss(subject)
        if self._relay is not None:
            await self._relay.dismiss(subject)

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

    async def saved(self, channel_id: str) -> None:
        """Wait until a channel here is stored as it is now, if processes share a store."""
        runner = self.registry.get(channel_id)
        if runner is not None and runner.driver.journal is not None:
            await runner.driver.journal.saved()

    async def rewrite(self, session_ids: Sequence[str]) -> list[str]:
        """Let sessions that are here be written to the store again, and wait until they are."""
        found = (self.registry.get(session_id) for session_id in session_ids)
        held = [runner.driver for runner in found if runner is not None]
        journals = [driver.journal for driver in held if driver.journal is not None]
        for journal in journals:
            journal.prove()
        with suppress(StoreUnavailable):
            await asyncio.gather(*(journal.saved() for journal in journals))
        return [driver.session.id for driver in held]

    def dismiss(self, subject: str) -> None:
        """End the sessions of a user here, also one that is just being opened (IDN-2)."""
        self._refuse(subject)
        self.registry.dismiss(subject)

    def _refuse(self, subject: str) -> None:
        """Let nobody in whose sign-in as this user is under way."""
        self._authenticator.dismiss(subject)
        self.opener.dismiss(subject)

    def count(self) -> HubStatistics:
        """Return the counters of this process."""
        return statistics_of(self.registry, self.opener.refused, self.memory)


def _retrieve(task: asyncio.Task[None]) -> None:
    """Take the error of a store, so that the loop does not report what nobody has awaited."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, StoreUnavailable):
        raise error  # a defect: the loop reports it
