"""`Runtime`: what a hub needs in one event loop, put together in one place."""

from __future__ import annotations

from transport.bus.interface import Bus
from transport.limits import Limits
from transport.server.admission import Admission
from transport.server.application import Application
from transport.server.authentication import Authenticate, Authenticator
from transport.server.clock import Clock
from transport.server.deadlines import Deadlines
from transport.server.memory import Memory
from transport.server.opening import Opener
from transport.server.registry import Registry
from transport.server.relay.edge import Edge
from transport.server.relay.relay import Relay
from transport.server.uplink import Uplink
from transport.stores.interface import Store


class Runtime:
    """The sessions of a hub in the running event loop; the adapters' `Entrance` to them.

    Args:
        application: run for each session.
        store: where records are kept.
        limits: bounds and times.
        authenticate: None lets everybody in, as a guest.
        key: the secret from which tokens are derived.
        bus: to the other processes of the hub, if it has several.

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
        bus: Bus | None = None,
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
        self._relay: Relay | None = None
        edge: Edge | None = None
        if bus is not None:
            self._relay = Relay(bus, limits, self._authenticator, clock.now)
            edge = self._relay.edge
            self.registry.is_relayed = True
            self.registry.on_drain = edge.drain
        self.opener = Opener(
            application,
            self.registry,
            limits,
            admission,
            self.memory,
            self._authenticator,
            key,
            edge,
        )
        uplink = Uplink(self.registry, limits, edge)
        if self._relay is not None:
            self._relay.serve(self.registry, self.opener, uplink)
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

    def dismiss(self, subject: str) -> int:
        """End the sessions of a user, also one that is just being opened (IDN-2).

        Returns:
            How many sessions were open.

        Raises:
            TypeError: the subject is not a str, so no session can have it.
        """
        if not isinstance(subject, str):
            raise TypeError(
                f"a subject is a str, as in Identity(subject), not a {type(subject).__name__}"
            )
        self._authenticator.dismiss(subject)
        return self.registry.dismiss(subject)
