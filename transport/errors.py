"""The errors of the channel, in one tree, named for the condition.

Each says whose fault it is. What a peer does wrong is a `ProtocolError`, which the transports turn
into an ``error`` frame, a close code or a status; it never reaches a handler. What a handler or a
caller can meet are `ChannelClosed`, `Stalled`, `Busy`, `Unsendable` and `TooLarge`; and with
`connect` also `Unreachable`, `SessionReset` and `Unacknowledged`.
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
        code: the close code (PROTOCOL.md CLS-1), or that of the table for an end without ``close``.
        reason: for people; may be empty.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the channel is closed ({code}{': ' + reason if reason else ''})")
        self.code = code
        self.reason = reason


class Fate(StrEnum):
    """What became of a message that was sent (PROTOCOL.md RES-3)."""

    HANDLED = "handled"
    """The other side's application has finished with it."""
    NOT_HANDLED = "not_handled"
    """It was certainly not begun: it may be sent again."""
    UNKNOWN = "unknown"
    """It may have been handled, in part or in whole."""


class Unreachable(ChannelError, ConnectionError):
    """`connect` found no transport over which the server answers, in the time that it was given.

    Attributes:
        reasons: why each transport failed the last time, by its name.
    """

    def __init__(self, reasons: Mapping[str, str]) -> None:
        told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
        super().__init__(f"the server did not answer ({told or 'nothing was tried'})")
        self.reasons = dict(reasons)


class SessionReset(ChannelError):
    """The server could not carry on the session. The channel lives, over a new one.

    Attributes:
        reason: a word of PROTOCOL.md RES-5: ``expired``, ``restarted``, ``overflow``, ...
        lost: first and last number of what the server sent and this side will never get; empty
            for nothing, None where it is not known.
    """

    def __init__(self, reason: str, lost: Sequence[int] | None) -> None:
        told = "unknown" if lost is None else f"{lost[0]} to {lost[1]}" if lost else "none"
        super().__init__(f"the session was reset: {reason} (messages lost: {told})")
        self.reason = reason
        self.lost = None if lost is None else tuple(lost)


class Unacknowledged(ChannelError):
    """The session ended before the server acknowledged the message.

    ``__cause__`` is the `SessionReset` or the `ChannelClosed` that ended it.

    Attributes:
        number: of the message.
        fate: what is known of it.
    """

    def __init__(self, number: int, fate: Fate) -> None:
        super().__init__(f"message {number} was not acknowledged, its fate: {fate}")
        self.number = number
        self.fate = fate


class Stalled(ChannelError):
    """The client is attached but has acknowledged nothing for ``limits.stall`` seconds.

    The fate of what was sent is not known. The session lives: sending may be tried again.
    """


class Busy(ChannelError):
    """Two tasks call ``receive()`` on one channel at a time. The caller's fault: use one."""


class Unsendable(ChannelError, ValueError):
    """The message holds what JSON does not carry faithfully (DAT-3). The caller's fault."""


class TooLarge(ChannelError, ValueError):
    """The message is above ``limits.message``. The caller's fault: split it, or raise the limit."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"the message has {size} bytes, above the limit of {limit}: "
            "split it, or raise Limits(message=...) on the server"
        )
        self.size = size
        self.limit = limit


class LocalProtocolError(ChannelError):
    """This package was driven out of order: a transition that its table does not have."""


class ProtocolError(ChannelError):
    """The peer broke the protocol, or asked for what cannot be had. Nothing was changed.

    Attributes:
        code: the row of the table of codes.
        message: what was wrong, for people; never holds the peer's input.
        extra: further fields of the ``error`` frame (``expected``, ``attach``, ``retry_in``, ...).
    """

    def __init__(self, code: Code, message: str, **extra: object) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = message
        self.extra = extra


class Gap(ProtocolError):
    """A number beyond the next one (PROTOCOL.md NUM-3)."""

    def __init__(self, expected: int) -> None:
        super().__init__(codes.GAP, "a message before this one is missing", expected=expected)


class Foreign(ChannelError):
    """A mark above what was ever put on a wire (PROTOCOL.md MRK-5)."""
