"""The memory that a session takes, as the bound on that of all sessions adds it up. Pure."""

from __future__ import annotations

from transport.protocol.server.session import ServerSession

_COPIES_SENT = 3
"""A message that a connection does not read is in the buffer, in a frame, and with the server."""

_MESSAGE_SENT = 64
_MESSAGE_RECEIVED = 200
"""Bytes that a message takes besides its content."""


def footprint(session: ServerSession) -> int:
    """Return about how many bytes of memory the buffers take, what the handler holds included.

    It is an upper bound for a client that tries to make them large.
    """
    outgoing, incoming, inbox = session.outgoing, session.incoming, session.inbox
    return (
        _COPIES_SENT * (outgoing.size + outgoing.excess)
        + _MESSAGE_SENT * (outgoing.last - outgoing.acked)
        + incoming.held
        + (_MESSAGE_RECEIVED * (incoming.received - incoming.handled) if inbox.messages else 0)
        + inbox.in_hand_size
    )
