"""`ClientSteps`: what clients and their applications do in a schedule."""

from __future__ import annotations

from tests.properties.schedules.client_core import ClientFactory
from tests.properties.schedules.model import OVERSIZE
from tests.properties.schedules.network import Network
from tests.properties.schedules.profile import Profile
from tests.properties.schedules.state import ClientState
from transport.protocol.frames import TransportKind

TRANSPORTS = list(TransportKind)
UNLOAD_ROOMS = (1, 800, 1000, 65536)
"""Bytes of the POST that a page may write as it is unloaded: for nothing, a message, some, all."""


class ClientSteps:
    """Clients: the first one opens, the others are clones of it.

    Args:
        network: on which they are.
        profile: for the number of clients, and of messages that they keep.
        new_core: makes the first client.
    """

    def __init__(self, network: Network, profile: Profile, new_core: ClientFactory) -> None:
        self._network = network
        self._profile = profile
        self._new_core = new_core

    def new_client(self) -> None:
        """Make the first client."""
        core = self._new_core("client-0-0123456789", self._profile.limits)
        self._network.clients.append(ClientState(core))

    def open(self, pick: int, transport: int) -> None:
        """Open a connection, perhaps beside others, so that opens race."""
        clients = self._network.living_clients
        if clients and len((client := clients[pick % len(clients)]).connections) <= 2:
            self._network.attach(client, TRANSPORTS[transport])

    def come_back(self, transport: int) -> None:
        """Open a connection for each client that has none, and deliver the answers."""
        for client in self._network.living_clients:
            if not client.connections and not client.is_over:
                self._network.attach(client, TRANSPORTS[transport])
                self._network.flow(2)

    def send(self, pick: int, count: int) -> None:
        """Send messages. Those for which the window has no room wait."""
        if clients := self._network.living_clients:
            client = clients[pick % len(clients)]
            marks = client.core.marks
            room = marks.acked + self._profile.max_unacknowledged - marks.last
            if not marks.is_ending:
                for _ in range(min(count, room)):
                    self._send(client, self._network.new_name("m"))
            self._network.transmit(client)

    def send_large(self, pick: int) -> None:
        """Send a message that the server refuses: the client checked it against other terms."""
        if clients := self._network.living_clients:
            client = clients[pick % len(clients)]
            if not client.core.marks.is_ending:
                self._send(client, self._network.new_name("m") + OVERSIZE)
                self._network.transmit(client)

    def clone(self, pick: int) -> None:
        """Duplicate a client, with its token and its marks, as a browser duplicates a tab."""
        clients = self._network.living_clients
        if not 0 < len(clients) < self._profile.max_clients:
            return
        original = clients[pick % len(clients)]
        marks = original.core.marks
        if marks.is_ending or marks.last > marks.sent or not original.session:
            return
        core = original.core.clone(f"client-{len(self._network.clients)}-0123456789")
        self._network.clients.append(original.clone(core))

    def client_closes(self, pick: int) -> None:
        """Close the channel; seldom."""
        client = self._network.clients[pick % len(self._network.clients)]
        if pick < 2 and not client.is_over:
            self.close(client)

    def client_leaves(self, pick: int) -> None:
        """Say that the client goes away for good (LIV-6), which its next attach takes back."""
        if (clients := self._network.living_clients) and pick < 4:
            client = clients[pick % len(clients)]
            client.has_left = True
            self._network.leave(client, UNLOAD_ROOMS[pick])

    def client_vanishes(self, pick: int, noticed: int) -> None:
        """Let a client go without a word, as a page that crashes, if others are left; seldom."""
        clients = self._network.living_clients
        if pick < 3 and len(clients) > 1:
            client = clients[pick % len(clients)]
            client.is_over = client.has_vanished = True
            for connection in client.connections:
                connection.is_half_open = True
                connection.up.clear()
                if noticed:
                    self._network.lose(connection)
            client.connections = []

    def close(self, client: ClientState) -> None:
        """Close the channel of a client."""
        client.core.close(1000, "")
        self._network.transmit(client)

    def _send(self, client: ClientState, message: str) -> None:
        send = client.core.send(message)
        client.sends[send], client.numbers[message] = message, send
