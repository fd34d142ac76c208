"""`LinkSteps`: what arrives, what is lost, and how much time passes in a schedule."""

from __future__ import annotations

from tests.properties.schedules.network import Network
from tests.properties.schedules.state import PendingRequest
from transport.limits import Limits
from transport.protocol.client.events import Answer, ConnectionLost

PAUSES = (0.05, 0.15, 1.0, 10.0, 25.0)


class LinkSteps:
    """The link between clients and server.

    Args:
        network: that is the link.
        limits: of the server.
    """

    def __init__(self, network: Network, limits: Limits) -> None:
        self._network = network
        self._limits = limits

    def up(self, pick: int, count: int) -> None:
        """Deliver frames of a WebSocket to the server."""
        if waiting := [one for one in self._network.server_connections if one.up]:
            connection = waiting[pick % len(waiting)]
            for _ in range(count):
                if connection.up:
                    self._network.frame_arrives(connection)

    def down(self, pick: int, count: int) -> None:
        """Deliver frames and answers to a client."""
        open_ones = self._network.client_connections
        if waiting := [one for one in open_ones if one.down and not one.is_half_open]:
            connection = waiting[pick % len(waiting)]
            for _ in range(count):
                if connection.down and connection in self._network.client_connections:
                    self._network.handle_input(connection, connection.down.popleft())

    def flow(self, rounds: int) -> None:
        """Deliver everything for a while: otherwise hardly anything would ever be in flight."""
        self._network.flow(rounds)

    def request_arrives(self, pick: int, again: int) -> None:
        """Deliver a request, in any order; ``again``: one more copy is still on its way.

        One POST in three stays in hand until everything flows; some of these are then cancelled.
        """
        if requests := self._network.requests:
            request = requests[pick % len(requests)]
            self._network.request_arrives(request, again=bool(again), stays=pick % 3 == 2)
        elif pick % 3 == 1:
            self._network.cancel_posts()

    def request_is_lost(self, pick: int) -> None:
        """Lose a request, so that it never arrives."""
        if requests := self._network.requests:
            self._give_up(requests.pop(pick % len(requests)), pick)

    def client_stops_waiting(self, pick: int) -> None:
        """Let the time for a request run out. The request, or its answer, may still arrive."""
        if waiting := [one for one in self._network.requests if one.is_awaited]:
            self._give_up(waiting[pick % len(waiting)], pick)

    def cut(self, pick: int, client: int, server: int) -> None:
        """Cut a connection; ``client`` and ``server`` say which of them notice."""
        if connections := self._network.client_connections:
            connection = connections[pick % len(connections)]
            connection.is_half_open = True
            connection.up.clear()
            if server:
                self._network.lose(connection)
            if client:
                self._network.handle_input(connection, ConnectionLost("cut"))

    def time_passes(self, pause: int) -> None:
        """Let time pass."""
        self._network.sleep(PAUSES[pause])

    def everything_sleeps(self, pick: int) -> None:
        """Let so much time pass that sessions expire; seldom."""
        if pick < 1:
            self._network.sleep(self._limits.ttl + 1)

    def _give_up(self, sent: PendingRequest, pick: int) -> None:
        """Give the client no answer, or the error page of a proxy."""
        page = Answer(sent.kind, 502, "<html>") if pick % 4 == 3 else Answer(sent.kind, 0)
        self._network.give_up(sent, page)
