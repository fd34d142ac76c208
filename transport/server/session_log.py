"""What the log says of one session, beyond the life of its handler (docs/errors.md)."""

from __future__ import annotations

from transport.protocol.server.attachments import Attachment
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import Ending
from transport.telemetry.log import DEBUG, INFO, WARNING, log_event


def log_detached(session: ServerSession, attachment: Attachment) -> None:
    """Log that a connection of the session is gone."""
    code = attachment.code
    log_event(
        DEBUG,
        "detached",
        channel=session.id,
        transport=attachment.transport.value,
        code=code.name if code is not None else None,
    )


def log_stalled(session: ServerSession) -> None:
    """Log that the senders of the session have failed."""
    log_event(
        WARNING,
        "stalled",
        "the client is connected but acknowledges nothing, so send() raises Stalled",
        channel=session.id,
    )


def log_full_buffer(session: ServerSession) -> None:
    """Log that a broadcast resets the session (DAT-6)."""
    log_event(
        WARNING,
        "overflow",
        "a broadcast found this session's send buffer full, so the session was reset",
        channel=session.id,
    )


def log_missed(session: ServerSession) -> None:
    """Log that the session is reset for a message of a group that did not come."""
    log_event(
        WARNING,
        "overflow",
        "this session missed a message of a group, so it was reset: this worker stood still, or "
        "was cut off from another one, or the store that they share has lost the message, or "
        "dropped it as old",
        channel=session.id,
    )


def log_full_memory(session: ServerSession) -> None:
    """Log that the session is reset for the memory that it takes."""
    log_event(
        WARNING,
        "overflow",
        "the sessions take all of Limits(memory=...), and this one most, so it was reset",
        channel=session.id,
    )


def log_ended(session: ServerSession, ending: Ending) -> None:
    """Log how the session ended, without the reason of a close.

    That is the application's or a client's text.
    """
    log_event(
        INFO,
        "ended",
        channel=session.id,
        code=ending.code,
        by=ending.by,
        reset=ending.reset.value if ending.reset is not None else None,
    )
