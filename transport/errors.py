"""The errors of the channel, in one tree, each named for its condition.

A fault of the peer is a `ProtocolError`, which the transports turn into an ``error`` frame, a close
code or a status; it never reaches a handler. A handler or a caller can get `ChannelClosed`,
`Stalled`, `StoreUnavailable`, `Busy`, `Unsendable` and `TooLarge`, and with `connect` also
`Unreachable`, `SessionReset` and `Unacknowledged`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from transport import codes
from transport.codes import Code


class ChannelError(Exception):
    """Any error of this package."""


class ChannelClosed(ChannelError):
    """The session is over: closed by either side, expired, or reset.

    Attributes:
        code: the close code (PROTOCOL.md CLS-9), or, if the session ended without a ``close``, the
            WebSocket code of the reason in the table of codes.
        reason: for people; may be empty.
        channel: on the server, the id of the channel; else empty.
    """

    def __init__(self, code: int, reason: str, channel: str = "") -> None:
        super().__init__(f"the channel is closed ({code}{': ' + reason if reason else ''})")
        self.code = code
        self.reason = reason
        self.channel = channel


class Fate(StrEnum):
    """What became of a message that was sent (PROTOCOL.md RES-3)."""

    HANDLED = "handled"
    """The other side's application has finished with it."""
    NOT_HANDLED = "not_handled"
    """The other side has definitely not started on it: it is safe to send again."""
    UNKNOWN = "unknown"
    """It may have been handled, partly or completely."""


class Unreachable(ChannelError, ConnectionError):
    """`connect` could not open a channel over any transport within its timeout.

    Attributes:
        reasons: why the last attempt failed and what to do, by the name of the transport.
    """

    def __init__(self, reasons: Mapping[str, str], url: str = "") -> None:
        listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        at = f" at {url}" if url else ""
        super().__init__(f"no channel could be opened{at} ({listed or 'nothing was tried'})")
        self.reasons = dict(reasons)


class SessionReset(ChannelError):
    """The server could not continue the session. The channel goes on with a new one.

    Attributes:
        reason: one of PROTOCOL.md RES-5: ``expired``, ``restarted``, ``overflow``, ...
        lost: the first and the last number of the messages that the server sent and that will not
            arrive; ``(first, None)`` for all from the first on, if it is not known how many they
            are (``overflow``); empty if no message was lost, None if that is not known.
        dropped: how many messages the server refused because the buffer was full, as far as it had
            counted. They are lost too, but have no number.
    """

    def __init__(self, reason: str, lost: Sequence[int | None] | None, dropped: int = 0) -> None:
        listed = _listed(lost)
        if dropped:
            listed += f"; refused as the buffer was full: {dropped}"
        super().__init__(f"the session was reset: {reason} (messages lost: {listed})")
        self.reason = reason
        self.lost = None if lost is None else tuple(lost)
        self.dropped = dropped


class Unacknowledged(ChannelError):
    """The session ended before the server acknowledged the message.

    ``__cause__`` is the `SessionReset` or the `ChannelClosed` that ended it.

    Attributes:
        number: the number of the message.
        fate: what became of it, as far as is known.
    """

    def __init__(self, number: int, fate: Fate) -> None:
        super().__init__(f"message {number} was not acknowledged; its fate: {fate}")
        self.number = number
        self.fate = fate


class Stalled(ChannelError):
    """The client is attached but has acknowledged nothing for ``limits.stall`` seconds.

    The message was not sent. The session continues, and sending can be tried again.
    """


class StoreUnavailable(ChannelError):
    """The store that the hub's processes share does not answer, or refuses what it is asked.

    That is the fault of the store (its server, its settings or the network to it), not of the
    client and not of the handler. A message whose ``send`` raised it was not sent; what was sent
    before is kept, and stored when the store answers again. Sending can be tried again later. The
    log says what is wrong with the store, and so does ``hub.statistics()``.
    """


class Busy(ChannelError):
    """Two tasks called ``receive()`` on one channel at the same time; use one task."""


class Unsendable(ChannelError, ValueError):
    """The message contains something that JSON does not carry unchanged (DAT-3)."""


class NotRead(ChannelError):
    """The server's handler receives no messages, and did not get this one (PROTOCOL.md DAT-7)."""

    def __init__(self) -> None:
        super().__init__(
            "the message was not handled: the server's handler waits for the end of the channel "
            "and does not receive"
        )


class TooLarge(ChannelError, ValueError):
    """The message is larger than ``limits.message``; split it, or raise the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"the message has {size} bytes, above the limit of {limit}: "
            "split it, or raise Limits(message=...) on the server"
        )
        self.size = size
        self.limit = limit


class LocalProtocolError(ChannelError):
    """The core was called out of order: its table has no such transition."""


class ProtocolError(ChannelError):
    """The peer violated the protocol, or asked for something impossible. Nothing was changed.

    Attributes:
        code: a row of the table of codes.
        message: what was wrong, for people; it never contains the peer's input.
        extra: further fields of the ``error`` frame (``expected``, ``attach``, ``retry_in``, ...).
    """

    def __init__(self, code: Code, message: str, **extra: object) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.extra = extra


class Gap(ProtocolError):
    """A message came before its predecessor (PROTOCOL.md NUM-3)."""

    def __init__(self, expected: int) -> None:
        super().__init__(codes.GAP, "a message before this one is missing", expected=expected)


class ForeignAck(ChannelError):
    """An ack for numbers that were never sent (PROTOCOL.md MRK-5)."""


def _listed(lost: Sequence[int | None] | None) -> str:
    """Return a range of lost messages in words."""
    if not lost:
        return "unknown" if lost is None else "none"
    return f"{lost[0]} to {lost[1]}" if lost[1] is not None else f"all from {lost[0]}"
