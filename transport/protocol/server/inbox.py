"""`Inbox`: the messages that wait for the handler, and the one in its hand.

The window counts bytes of JSON. As Python objects the same messages may take thirty times as much
memory, so only the message that the handler waits for is kept as one: it is handed over in the
turn in which it arrived. The others stay JSON until they are taken.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Raw

from transport.protocol.codec import decode_message, object_size, undecoded
from transport.protocol.frames import NOTHING, Data, Json
from transport.protocol.receive_window import ReceiveWindow


class Empty(Enum):
    """The type of `EMPTY`: no message waits for the handler."""

    TOKEN = 0


EMPTY = Empty.TOKEN


SMALL_MESSAGE = 2048
"""Bytes of messages that are not weighed as Python objects when they are handed over."""


class Inbox:
    """The messages that the handler has not taken, in order.

    Args:
        incoming: the marks of what the client sends.

    Attributes:
        in_hand_size: at most how many bytes of memory the message takes that the handler was given
            last, or is given in this turn; 0 if it is small.
        messages: those after the one that the handler waits for, as `undecoded` keeps them.
    """

    __slots__ = ("_incoming", "_is_awaited", "_next", "in_hand_size", "messages")

    def __init__(self, incoming: ReceiveWindow) -> None:
        self.in_hand_size = 0
        self._incoming = incoming
        self._next: Json | Empty = EMPTY
        """The message that the handler waits for, once it has arrived."""
        self._is_awaited = False
        """Whether the handler waits for a message: it asked when the inbox was empty."""
        self.messages: list[Json] = []

    def __bool__(self) -> bool:
        return True if self._next is not EMPTY else self.messages != []

    def keep(self, messages: list[Json], frame: Data) -> None:
        """Keep ``messages``, the last ones of ``frame``, until the handler takes them."""
        if self._is_awaited and not self.messages and messages[0] is not NOTHING:
            self._next = messages[0]
            self._is_awaited = False
            big = frame.size > SMALL_MESSAGE
            self.in_hand_size = object_size(frame.text.encode()) if big else 0
            if len(messages) == 1:
                return
            messages = messages[1:]
        self.messages += undecoded(messages, frame.text)

    def take(self) -> Json | Empty:
        """Return the next message, or `EMPTY`. The one before counts as handled already."""
        incoming = self._incoming
        if self._next is not EMPTY:
            message, self._next = self._next, EMPTY
            incoming.delivered += 1
            return message
        self.in_hand_size = 0
        messages = self.messages
        while messages:
            self._is_awaited = False
            message = messages.pop(0)
            incoming.delivered += 1
            if type(message) is Raw:
                if incoming.held > SMALL_MESSAGE:  # of all that wait: few sessions hold so much
                    self.in_hand_size = object_size(bytes(message))
                return decode_message(message)
            if message is not NOTHING:
                return message
            incoming.mark_handled()
        self._is_awaited = True
        return EMPTY

    def put_down(self) -> None:
        """Record that the handler has finished with its message, and is not given the next yet."""
        if self._next is EMPTY:
            self.in_hand_size = 0

    def give_back(self) -> bool:
        """Drop what waits, whose numbers its sender is asked for again (DAT-7).

        What was delivered counts as handled.

        Returns:
            Whether messages waited.
        """
        incoming, messages = self._incoming, self.messages
        while self._next is EMPTY and messages and messages[0] is NOTHING:
            del messages[0]
            incoming.delivered += 1
        incoming.mark_handled()
        self._is_awaited = False
        if not self:
            return False
        self.clear()
        incoming.give_back()
        return True

    def clear(self) -> None:
        """Drop the messages; what the handler was given stays in its hand."""
        if self._next is not EMPTY:
            self._next = EMPTY
            self.in_hand_size = 0
        self.messages.clear()
        self._incoming.drop_waiting()
