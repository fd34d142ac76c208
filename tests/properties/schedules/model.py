"""`Model`: what applications are promised, checked against two lists for each session.

The model knows what the handler of each session sent, and what it took. It is told of every message
that a handler takes and of every event that a client reports, and fails if one breaks a promise:

- The handler takes what clients sent, once and in order (NUM-3).
- A client receives what the handler sent, once and in order, without a gap (NUM-3, NUM-4, RES-1).
- A send is settled as handled only if the handler has finished with it; as not handled only if the
  handler never took it, then or later; and as unknown only if nothing more can be known (RES-3,
  CLS-3).
- The range that a reset calls lost is what was sent and did not arrive (RES-2).
- A session closes cleanly only after everything has arrived (CLS-4).
"""

from __future__ import annotations

from typing import assert_never

from tests.properties.schedules.state import ClientState, HandlerRecord
from transport.errors import Fate
from transport.limits import Limits
from transport.protocol.client.events import (
    Attached,
    Closed,
    Event,
    LinkDropped,
    Messages,
    Ponged,
    Rejected,
    RenewalRequested,
    Settled,
    Superseded,
    WasReset,
)
from transport.protocol.frames import ResetReason
from transport.protocol.server.session import ServerSession

OVERSIZE = 100 * "x"
"""What a message contains that this server refuses as too large (DAT-4)."""
FAULTS = ("gap", "bad_frame", "bad_json", "bad_number", "window_exceeded")
"""The error codes for which neither core ever gives the other cause."""


class Model:
    """What the handlers did, and what may follow from it.

    Args:
        limits: of the server.

    Attributes:
        clients: every client that there has been.
        handlers: what the handler of each session did, by the session's id.
        taken: the messages that any handler took.
        finished: those of `taken` that the handler has finished with.
    """

    def __init__(self, limits: Limits) -> None:
        self.clients: list[ClientState] = []
        self.handlers: dict[str, HandlerRecord] = {}
        self.taken: set[str] = set()
        self.finished: set[str] = set()
        self._limits = limits

    def handler(self, session_id: str) -> HandlerRecord:
        """Return the record of a session's handler; begin one if necessary."""
        return self.handlers.setdefault(session_id, HandlerRecord())

    # The handler

    def take(self, session: ServerSession, message: str) -> None:
        """Record that the handler takes a message: once, in order, and not settled before."""
        assert message not in self.taken, "NUM-3: taken twice"
        for client in self.clients:
            if (send := client.numbers.get(message)) is not None:
                assert send > client.last_taken.get(session.id, 0), "NUM-3: out of order"
                client.last_taken[session.id] = send
                fate = client.fates.get(send, Fate.UNKNOWN)
                assert fate is Fate.UNKNOWN, "RES-3: taken after it was settled"
        self.handler(session.id).in_hand = message
        self.taken.add(message)

    def finish(self, record: HandlerRecord) -> None:
        """Record that the handler has finished with the message in its hand, if there is one."""
        if record.in_hand is not None:
            record.finished += 1
            self.finished.add(record.in_hand)
            record.in_hand = None

    # The events of a client

    def check_event(self, client: ClientState, event: Event, now: float) -> None:
        """Check an event, and record what the client's application knows from it."""
        match event:
            case Attached():
                # A session that is new to the client, or again the one that a race began (OPN-4).
                if event.verdict.value == "new" and not client.session:
                    client.session, client.received = event.id, 0
                assert event.id == client.session
            case Messages():
                for message in event.messages:
                    client.received += 1
                    assert message == f"{client.session}:{client.received}"
            case Settled():
                self._check_settled(client, event)
            case Rejected():
                for number in range(event.first, event.last + 1):
                    self._check_rejected(client, event, number)
                    client.fates[number] = None
            case WasReset():
                self._check_reset(client, event)
            case Closed():
                self._check_closed(client, event, now)
                client.is_over = True
            case LinkDropped():
                assert event.reason not in FAULTS, event
            case Superseded():
                assert len(self.clients) > 1
            case RenewalRequested() | Ponged():
                raise AssertionError(event)
            case _:
                assert_never(event)

    def _check_rejected(self, client: ClientState, event: Rejected, number: int) -> None:
        message = client.sends[number]
        if event.code == "too_large":
            assert OVERSIZE in message
        else:
            assert message not in self.taken, "DAT-7: refused, though taken"
        assert number not in client.fates

    def _check_closed(self, client: ClientState, event: Closed, now: float) -> None:
        assert event.code in (1000, 1011, 4409), event
        for one in event.sends:
            self._check_settled(client, one, is_final=event.code != 4409)
        record = self.handlers.get(client.session, HandlerRecord())
        assert (
            event.clean
            or event.code == 4409
            or now >= record.closed_at + self._limits.closing
            or len(self.clients) > 1  # another client had the session, and received everything
        ), "CLS-4: over before everything has arrived"
        assert not event.clean or client.received == record.sent

    def _check_reset(self, client: ClientState, event: WasReset) -> None:
        lives_on = event.reason is ResetReason.TRIMMED
        for one in event.sends:
            self._check_settled(client, one, is_final=event.handled is not None and not lives_on)
        if event.lost is not None:
            sent = self.handlers[client.session].sent
            lost: list[int | None]
            lost = [client.received + 1, sent] if client.received < sent else []
            if event.reason is ResetReason.OVERFLOW:
                lost = [client.received + 1, None]
                assert event.dropped
            # A session that lives on may have sent more since.
            assert event.lost == lost or (lives_on and event.lost[:1] in ([], lost[:1])), lost
        client.session = ""
        client.received = client.confirmed = 0

    def _check_settled(
        self, client: ClientState, event: Settled, *, is_final: bool = False
    ) -> None:
        """Check fates; ``is_final``: the server has said everything that can be known."""
        for send in range(event.first, event.last + 1):
            assert send not in client.fates, "settled twice"
            client.fates[send] = event.fate
            message = client.sends[send]
            match event.fate:
                case Fate.HANDLED:
                    assert message in self.finished, "RES-3: not handled"
                case Fate.NOT_HANDLED:
                    assert message not in self.taken, "RES-3: handled, perhaps"
                case Fate.UNKNOWN:
                    is_in_hand = message in self.taken - self.finished
                    assert not is_final or is_in_hand, "RES-3: its fate is known"
                case _:
                    assert_never(event.fate)
