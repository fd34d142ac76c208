"""Whether a connection is alive, and whether it has lasted long enough (LIV-1, SSE-3, LIV-6).

Pure: `check` decides, the session acts on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, nextafter

from transport import codes
from transport.codes import Code
from transport.limits import Limits, silence_timeout
from transport.protocol.frames import Drain, Error, Ping, ServerControl, TransportKind
from transport.protocol.server.attachments import Attachment

_LONGPOLL = TransportKind.LONGPOLL
_SSE = TransportKind.SSE


@dataclass(frozen=True, slots=True)
class End:
    """End the attachment.

    Attributes:
        code: why.
        last: the frame that reports it, or None if nothing can be written.
    """

    code: Code
    last: ServerControl | None


def check(attachment: Attachment, now: float, limits: Limits) -> Ping | End | None:
    """Decide what is due at ``now`` for a live attachment.

    Returns:
        A ping to write, the end of the attachment, or None if nothing is due.
    """
    transport = attachment.transport
    heartbeat = limits.heartbeat
    if transport is _LONGPOLL:
        # Between two polls the client is silent by design, but not for long.
        quiet = now - max(attachment.received_at, attachment.written_at)
        if not attachment.writable and quiet >= silence_timeout(heartbeat):
            return End(codes.TIMEOUT, None)
        return None
    if transport is _SSE and now - attachment.attached_at >= limits.stream:
        return End(codes.RESTART, Drain(retry_in=0.0))
    silent = now - attachment.received_at
    if silent >= heartbeat * 3:
        return End(
            codes.TIMEOUT,
            Error(code=codes.TIMEOUT.name, message="two pings were not answered"),
        )
    if now - attachment.written_at >= heartbeat or silent >= heartbeat * (attachment.pings + 1):
        return Ping()
    return None


def time_of_leave(now: float, limits: Limits) -> float:
    """Return when the last frame would have come of a session that ``leave`` ends (LIV-6).

    The session then expires ``limits.away`` after ``now``. The time is before ``now``, in any case.
    """
    return nextafter(now, -inf) - max(0.0, limits.ttl - limits.away)
