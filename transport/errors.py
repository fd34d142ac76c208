"""The errors of the channel, in one tree, named for the condition.

Each says whose fault it is. What a peer does wrong is a `ProtocolError`, which the transports turn
into an ``error`` frame, a close code or a status; it never reaches a handler. What a handler or a
caller can meet are `ChannelClosed`, `Stalled`, `Busy`, `Unsendable` and `TooLarge`.
"""

from __future__ import annotations

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
