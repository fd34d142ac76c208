"""The refusal of messages that nobody receives (DAT-7).

It begins when the handler stops receiving, and lasts until somebody receives again and the client
has skipped every message that was refused: until then a copy of an old request may bring one, and
its sender has given that up. Made when it begins, as most sessions never refuse.

Pure: the session asks it about each message, until it ends.
"""

from __future__ import annotations

from msgspec import UNSET

from transport import codes
from transport.protocol.frames import Error, ServerControl
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.server.inbox import Inbox


class Unread:
    """The messages of one session that are refused as nobody receives them.

    Args:
        incoming: the marks of what the client sends.

    Attributes:
        is_reading: whether somebody receives again, so that only what was refused stays so.
    """

    __slots__ = ("_incoming", "_last", "is_reading")

    def __init__(self, incoming: ReceiveWindow) -> None:
        self._incoming = incoming
        self._last = 0
        """The last number that was refused."""
        self.is_reading = False

    def begin(self, inbox: Inbox) -> Error | None:
        """Refuse the messages that wait in ``inbox``. What was delivered is handled.

        Returns:
            The error that says so, or None if no message waited.
        """
        self.is_reading = False
        received = self._incoming.received
        if not inbox.give_back():
            return None
        self._last = received
        return self._error()

    def has_refused(self, count: int) -> bool:
        """Return whether the next ``count`` messages were all refused before."""
        return self._incoming.received + count <= self._last

    def is_followed(self, seq: int, last: int) -> bool:
        """Return whether the messages ``seq`` to ``last`` follow a refused one, and go beyond it.

        They were on their way when the client read of the refusal. Each on its own would be sent,
        and refused, once for every message before it.
        """
        is_new = self._incoming.received < seq
        return is_new and not self.is_reading and seq <= self._last + 1 <= last

    def extend(self, last: int) -> Error:
        """Refuse what follows too, up to ``last``, and return the error that says so."""
        self._last = last
        return self._error()

    def refuse(self, count: int) -> Error:
        """Refuse the next ``count`` messages, and return the error that says so."""
        incoming = self._incoming
        if not self.is_reading:
            self._last = max(self._last, incoming.received + count)
        incoming.refused = incoming.received + 1
        return self._error()

    def skipped(self) -> Unread | None:
        """Record that the client has skipped the message that was just received.

        Returns:
            The refusal, or None if that ends it.
        """
        incoming = self._incoming
        if incoming.received < self._last:
            incoming.refused = incoming.received + 1
        if not self.is_reading:
            incoming.delivered = incoming.received
            incoming.mark_handled()
        return self._rest()

    def end(self) -> Unread | None:
        """Refuse no further messages, as somebody receives again.

        Returns:
            The refusal, or None if every message that was refused has been skipped.
        """
        self.is_reading = True
        return self._rest()

    def _rest(self) -> Unread | None:
        is_over = self.is_reading and self._incoming.received >= self._last
        return None if is_over else self

    def _error(self) -> Error:
        """Return the refusal of the messages after the mark."""
        number, last = self._incoming.refused, self._last
        return Error(
            code=codes.NOT_READ.name,
            message="the server's handler does not receive messages",
            number=number,
            last=last if last > number else UNSET,
        )


def is_told_again(earlier: ServerControl, later: ServerControl) -> bool:
    """Return whether ``later`` refuses all that ``earlier`` does, so that it can take its place."""
    return (
        isinstance(earlier, Error)
        and isinstance(later, Error)
        and earlier.code == later.code == codes.NOT_READ.name
        and earlier.number == later.number
    )
