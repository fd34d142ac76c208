"""The counters of a session, for statistics."""

from __future__ import annotations

from dataclasses import dataclass

from transport.protocol.frames import TransportKind
from transport.protocol.server.session import ServerSession


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of a session at one instant.

    Attributes:
        sent: messages that were numbered.
        acknowledged: of these, those that the client has acknowledged.
        buffered_bytes: the size of those that it has not.
        received: messages received in order.
        handled: of these, those that the handler has finished with.
        replayed: messages that were written again, on another connection.
        transports: the transport of each connection that is attached.
    """

    sent: int
    acknowledged: int
    buffered_bytes: int
    received: int
    handled: int
    replayed: int
    transports: tuple[TransportKind, ...]


def counters_of(session: ServerSession) -> Counters:
    """Return the counters of a session, now."""
    outgoing, incoming = session.outgoing, session.incoming
    return Counters(
        sent=outgoing.last,
        acknowledged=outgoing.acked,
        buffered_bytes=outgoing.size,
        received=incoming.received,
        handled=incoming.handled,
        replayed=session.downlink.replayed,
        transports=tuple(attachment.transport for attachment in session.attachments.live),
    )
