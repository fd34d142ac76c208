"""`Handler`: the application's handler in one process, for as long as that is the home."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.properties.stored.page import replies_to
from transport.errors import ChannelClosed
from transport.limits import Limits
from transport.protocol.codec import encode_message
from transport.protocol.frames import Json
from transport.protocol.journal import Image
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession
from transport.protocol.states import SessionState

if TYPE_CHECKING:
    from tests.properties.stored.process import Process

SENDING = (SessionState.OPEN, SessionState.PEER_CLOSED)
TOPIC = "news"


class Handler:
    """Takes the messages of the page, and sends replies; the session is a member of a topic.

    Args:
        process: in which it runs.
        session: the session.
        image: with which it began here.

    Attributes:
        hand: the message in its hand, or 0.
        cursor: the last entry of the topic that the session was given.
        must_flush: whether it waits until what it has sent is stored.
        given: the messages that have numbers, as far as this process knows them.
    """

    def __init__(self, process: Process, session: ServerSession, image: Image) -> None:
        self.hand = 0
        self.cursor = image.cursors.get(TOPIC, 0)
        self.must_flush = False
        self.given: dict[int, Json] = {
            number: json.loads(payload)
            for number, payload in enumerate(image.payloads, image.acked + 1)
        }
        self._process = process
        self._world = process.world
        self._session = session
        self._replied = 0
        self._partial = image.partial

    def take(self) -> None:
        """Go on: send a reply to the message, or ask for the next."""
        session = self._session
        if self.hand and self._replied < replies_to(self.hand):
            before = self._replied
            self.reply(1)
            if self._replied == before:  # there is no room: it holds the message for long
                self._world.flush()
            return
        self._process.look_at_lease()
        if self.hand:
            self._world.finished.add(self.hand)
        self.hand = 0
        try:
            message = session.receive_nowait()
        except ChannelClosed:
            if session.state is SessionState.PEER_CLOSED:
                session.close(1000, "", "app", self._world.now)
            return
        if message is not EMPTY:
            assert isinstance(message, int)
            self._world.handed_out(self._process, message)
            self.hand, self._replied, self._partial = message, self._partial, 0

    def reply(self, count: int) -> None:
        """Send replies to the message in the hand."""
        for _ in range(min(count, replies_to(self.hand) - self._replied) if self.hand else 0):
            message = ["reply", self.hand, self._replied + 1, self._process.name]
            if self._send(message):
                self._replied += 1

    def offer(self, last: int) -> None:
        """Give the session the entries of the topic up to ``last``."""
        session = self._session
        while self.cursor < last and self._send(["entry", self.cursor + 1, self._process.name]):
            self.cursor += 1
            session.offered()
            session.set_cursor(TOPIC, self.cursor)

    def _send(self, message: Json) -> bool:
        """Send a message if there is room; return whether there was."""
        session, payload = self._session, encode_message(message, Limits())
        if session.state not in SENDING or not session.outgoing.has_room(len(payload)):
            return False
        self.given[session.send(payload)] = message
        return True

    def close(self, *, fails: bool) -> None:
        """Return, or fail at the message."""
        session = self._session
        if session.state is not SessionState.OPEN:
            return
        if not fails and self.hand:
            self.reply(replies_to(self.hand))
            if self._replied < replies_to(self.hand):
                return
            self._world.finished.add(self.hand)
        session.close(1011 if fails else 4000, "", "app", self._world.now, failed=fails)
        self.hand = 0
