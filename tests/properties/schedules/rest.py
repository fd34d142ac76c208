"""What must hold once the network is healed and nobody sends: everything is at rest.

Each client has what its session's handler sent, each send is settled, and each side knows what the
other has (`transport.testing.rest`). Then nothing more happens: no timer and no request runs in a
loop, and only heartbeats and polls are written.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.properties.schedules.network import Network
from tests.properties.schedules.state import ClientState, HandlerRecord
from transport.protocol.client.events import Request
from transport.testing.rest import unsettled

SECONDS_AT_REST = 32.0
"""How long a world is watched: there is a heartbeat or two in that."""
MAX_WRITES_AT_REST = 40
"""What each client and its server may write in that time; perhaps one connection is replaced, as
the network has delayed a request for long before it was healed."""


def unrest(network: Network) -> Iterator[str]:
    """Yield what is not at rest, in words."""
    if any(one.kind is not Request.POLL for one in network.requests):
        yield "a request is on its way"
    for client in network.clients:
        if not client.has_vanished:
            for what in _unrest_of(network, client):
                yield f"{client.name}: {what}"


def _unrest_of(network: Network, client: ClientState) -> Iterator[str]:
    if client.fates.keys() != client.sends.keys():
        yield f"not settled: {client.sends.keys() - client.fates.keys()}"
    if client.is_over:
        return
    marks = client.core.marks
    if client.session == "" or marks.is_ending:
        yield "its session has neither begun nor ended"
        return
    if client.received != network.model.handlers.get(client.session, HandlerRecord()).sent:
        yield "it has not received what was sent"
    sessions = [one for one in network.bench.sessions if one.id == client.session]
    if not sessions or sessions[0].ending is not None:
        yield "it does not know that its session has ended"
        return
    yield from unsettled(marks, sessions[0], network.now)
