"""`World`: clients, a server, a link and a model, driven by the steps of a schedule.

A schedule is a list of steps, each with a few small numbers as its arguments. Every step can be
made in every situation, and does nothing if there is nothing for it to do. So any list of steps is
a schedule, and a schedule from which steps are removed is one too: a failure can be cut down to the
steps that it needs.

The arguments choose among what there is at that moment (``pick``, modulo how many there are), say
how often, or make a step rare. They are the only source of variety: the same schedule gives the
same run.

What must hold is checked at each step, by `Model` and by `WireRules`. And when the link heals at
the end, everything comes to rest (`rest`).
"""

from __future__ import annotations

from collections.abc import Callable

from tests.properties.schedules.client_core import ClientFactory
from tests.properties.schedules.client_steps import ClientSteps
from tests.properties.schedules.link_steps import LinkSteps
from tests.properties.schedules.network import Network
from tests.properties.schedules.profile import MACHINE, STEPS, Profile
from tests.properties.schedules.python_client import PythonClient
from tests.properties.schedules.rest import MAX_WRITES_AT_REST, SECONDS_AT_REST, unrest
from tests.properties.schedules.server_steps import ServerSteps
from transport.protocol.client.events import ConnectionLost
from transport.protocol.frames import TransportKind

MAX_HEALING_TURNS = 60
TRANSPORTS = list(TransportKind)


class World:
    """Everything that a schedule needs; `begin` first, `do` each step, `heal` at the end.

    Args:
        profile: the kind of schedule.
        new_core: makes the first client, of which the others are clones.

    Attributes:
        network: the two sides, and what is on its way.
    """

    def __init__(
        self, profile: Profile = MACHINE, new_core: ClientFactory = PythonClient.new
    ) -> None:
        self.network = Network(profile.limits)
        self._profile = profile
        self._clients = ClientSteps(self.network, profile, new_core)
        self._server = ServerSteps(self.network, profile.limits)
        self._link = LinkSteps(self.network, profile.limits)
        actors = (self, self._clients, self._server, self._link)
        self._steps: dict[str, Callable[..., None]] = {
            name: next(getattr(one, name) for one in actors if hasattr(one, name)) for name in STEPS
        }

    def begin(self, transport: int) -> None:
        """Make the first step: a session opens without trouble, or two opens race."""
        self._clients.new_client()
        self._clients.open(0, transport % 3)
        if transport < 3:
            self.network.flow(3)
        else:
            self._clients.open(0, (transport + 1) % 3)

    def do(self, name: str, arguments: tuple[int, ...]) -> None:
        """Make one step of `STEPS`."""
        self._steps[name](*arguments)
        if self._profile.keeps_sessions:
            assert all(session.ending is None for session in self.network.bench.sessions)

    # Steps that are made of others

    def converse(self, pick: int, count: int, rounds: int) -> None:
        """Let both sides speak, and the handler take."""
        self._clients.send(pick, count)
        # Mostly the handler speaks while POSTs are in hand.
        self.network.flow(rounds, keep_posts=pick % 3 != 0)
        self._server.handler_takes(pick, count)
        self._server.handler_sends(pick, count)
        if pick % 6 == 5:
            self.network.cancel_posts()
        elif pick % 6 > 2:
            self.network.answer_posts()

    def contest(self, pick: int, transport: int) -> None:
        """Let another client open, and the session move on while its confirmation is on its way."""
        network = self.network
        self._clients.clone(pick)
        clients = network.living_clients
        if len(clients) < 2 or len(clients[-1].connections) > 2:
            return
        *owners, other = clients
        network.attach(other, list(TransportKind)[transport])
        connection = other.connections[-1]
        for sent in [sent for sent in network.requests if sent.connection is connection]:
            network.request_arrives(sent, again=False)
        while connection.up:
            network.frame_arrives(connection)
        while connection.down and connection in network.client_connections:
            network.handle_input(connection, connection.down.popleft())
        if pick % 4 == 3 and not self._profile.keeps_sessions:
            self._clients.close(owners[0])
        elif pick % 2:
            self._clients.send(pick % len(owners), 1)
        self._server.handler_sends(pick, 2)
        network.flow(2, but=other)

    def take_over(self, pick: int, transport: int) -> None:
        """Let another client open and take the session, at a moment when that is possible."""
        self._catch_up()
        clients = self.network.living_clients
        self._clients.clone(pick)
        if clients != self.network.living_clients:
            self.network.attach(self.network.clients[-1], list(TransportKind)[transport])
            self.network.flow(3)

    def _catch_up(self) -> None:
        """Let everything arrive and be handled, and the acks of it arrive too."""
        network = self.network
        network.flow(1)
        self._take_everything()
        network.sleep(0.2)
        network.flow(1)

    def _take_everything(self) -> None:
        """Let every handler take the messages that have arrived."""
        for session in self.network.open_sessions:
            while session in self.network.open_sessions and self._server.take(session):
                pass

    # The end

    def heal(self) -> None:
        """End all trouble, and check that everything comes to rest, and stays there."""
        network = self.network
        returning = [client for client in network.living_clients if client.has_left]
        for client in returning:  # or else their sessions would expire soon (LIV-6)
            network.attach(client, TRANSPORTS[client.nonces % 3])
        left: list[str] = []
        for turn in range(MAX_HEALING_TURNS):
            # An older attach that a race has left over ends by silence (LIV-2).
            self._heal_for(0.2 if turn < 20 else 5.0)
            if not (left := list(unrest(network))):
                break
        assert not left, f"the world does not come to rest: {left}"
        before = network.writes
        while_at_rest = network.now + SECONDS_AT_REST
        while network.now < while_at_rest:
            self._heal_for(4.0)
        network.flow(2)
        left, writes = list(unrest(network)), network.writes - before
        assert not left, f"the world was at rest, and is no longer: {left}"
        most = MAX_WRITES_AT_REST * len(network.clients)
        assert writes <= most, f"{writes} writes in {SECONDS_AT_REST} s, with nothing to do"

    def _heal_for(self, seconds: float) -> None:
        """Let clients come back, everything arrive and be handled, and time pass."""
        network = self.network
        for client in network.living_clients:
            for connection in list(client.connections):
                if connection.is_half_open and connection in client.connections:
                    network.handle_input(connection, ConnectionLost("healed"))
            if not client.connections and not client.is_over:
                network.attach(client, TRANSPORTS[client.nonces % 3])
        network.flow(1)
        self._take_everything()
        network.sleep(seconds)
