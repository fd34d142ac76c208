"""`PythonClient`: the Python core as a `ClientCore`."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from tests.properties.schedules.client_core import LENIENT, ClientMarks, Turn
from transport.limits import Limits
from transport.protocol.client.events import Closed, Event, Input, LinkDropped
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import encode_message
from transport.protocol.frames import TransportKind


class PythonClient:
    """A `ClientSession` of this process.

    Args:
        session: the core.
    """

    def __init__(self, session: ClientSession) -> None:
        self._session = session
        self._links: list[Link] = []
        """Those that the core has not dropped."""

    @classmethod
    def new(cls, name: str, limits: Limits) -> PythonClient:
        """Return a new client: see `ClientFactory`."""
        return cls(ClientSession(name, Terms.of(limits)))

    @property
    def name(self) -> str:
        return self._session.handshake.client

    @property
    def marks(self) -> ClientMarks:
        session, buffer = self._session, self._session.outbox.buffer
        return ClientMarks(
            received=session.incoming.received,
            acked=buffer.acked,
            sent=buffer.sent,
            last=buffer.last,
            is_carried=session.is_carried,
            is_ending=session.ending is not None,
            deadline=session.deadline,
        )

    def clone(self, name: str) -> PythonClient:
        links, self._session._links = self._session._links, []
        twin = copy.deepcopy(self._session)
        self._session._links = links
        twin.handshake.client = name
        twin.confirmed = 0
        return PythonClient(twin)

    def send(self, message: str) -> int:
        return self._session.send(encode_message(message, LENIENT))

    def close(self, code: int, reason: str) -> None:
        self._session.close(code, reason)

    def leave(self, room: int, now: float) -> Turn:
        self._session.leave()
        return self._turn([], now)

    def attach(self, transport: TransportKind, nonce: str) -> Link:
        link = self._session.attach(transport, nonce)
        self._links.append(link)
        return link

    def transmit(self, now: float) -> Turn:
        return self._turn([], now)

    def handle_input(self, link: Link, report: Input, now: float) -> Turn:
        return self._turn(self._session.handle_input(link, report, now), now)

    def tick(self, now: float) -> Turn:
        return self._turn(self._session.tick(now), now)

    def _turn(self, events: Sequence[Event], now: float) -> Turn:
        for event in events:
            if isinstance(event, LinkDropped):
                self._links.remove(event.link)
        turn = Turn(events, [(link, self._session.transmit(link, now)) for link in self._links])
        if any(isinstance(event, Closed) for event in events):
            self._links.clear()
        return turn
