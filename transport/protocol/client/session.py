"""`ClientSession`: the client's half of a session (PROTOCOL.md).

Pure: inputs and ``now`` (seconds of any monotonic clock) go in; outputs, events and the next
deadline come out. The browser's core, `client_js/src/session.ts`, is its twin.

A session outlives its links. A link is one attach over one connection; several may exist at a time,
and the newest confirmed one leads: it alone carries data and acks (ATT-3). For each connection a
driver calls `attach`. After every call it writes what `transmit` returns for each link, and acts on
the events; at `deadline` it calls `tick`. If a session cannot continue, the same `ClientSession`
continues with the next one, which the server begins.

Invariants:

- A message is kept until the server acknowledges it (NUM-4); a reset or the end of the channel
  reports the fate of each that is not acknowledged (RES-3).
- A frame that is refused has no effect (FRM-4): its link is dropped, and the next attach starts
  from the marks.
- Each part has one owner: `Outbox` the sends, `AckSchedule` the mark of the downlink, `PollPacing`
  the polls, `Handshake` the names of client and session. `uplink` writes from these, `answers` and
  `refusals` say what a response means, and this module acts on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, assert_never

from msgspec import UNSET

from transport import codes
from transport.errors import ChannelClosed, ForeignAck, ProtocolError
from transport.limits import silence_timeout
from transport.protocol.client import answers, uplink
from transport.protocol.client.acks import AckSchedule
from transport.protocol.client.answers import MAX_CONSECUTIVE_FAILURES
from transport.protocol.client.events import (
    Answer,
    Attached,
    Closed,
    Closing,
    ConnectionLost,
    Event,
    FrameReceived,
    Input,
    LinkDropped,
    Messages,
    Output,
    Ponged,
    RenewalRequested,
    Request,
    Settled,
    Superseded,
    WasReset,
)
from transport.protocol.client.handshake import Handshake
from transport.protocol.client.link import Link
from transport.protocol.client.outbox import Outbox
from transport.protocol.client.pings import Pings
from transport.protocol.client.polls import PollPacing
from transport.protocol.client.refusals import (
    MAX_RETRY_IN,
    OF_ONE_MESSAGE,
    RESTART_RETRY_IN,
    Refusals,
    number_of,
    retry_in,
)
from transport.protocol.client.terms import Terms
from transport.protocol.codec import Decoder, Oversized, Payload, encode_control, json_size
from transport.protocol.frames import (
    MAX_NUMBER,
    NOTHING,
    Ack,
    Bytes,
    Close,
    Data,
    Drain,
    EncodedFrame,
    Error,
    Json,
    Loss,
    Opened,
    Ping,
    Pong,
    Renew,
    RenewRequest,
    Reset,
    ResetReason,
    ServerControl,
    TransportKind,
    Verdict,
    reset_without_marks,
)
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.states import ATTACH_TRANSITIONS, AttachState, AttachStep, transition


class ClientSession:
    """The sessions of one client instance, one after the other.

    Args:
        client: the id of this instance (OPN-3).
        terms: the terms to assume until a server advertises its own.
        renewable: whether the application may have fresh credentials if these are refused.
        target: asks for a WebSocket application, see `Handshake`: a failure of it is then the end
            of the channel, as that of any connection.

    Attributes:
        attaches: the number of the newest attach (ATT-1).
        confirmed: the highest attach that was confirmed: the one that sends (ATT-3).
        terms: the server's limits and times.
        outbox: the sends, which are counted from 1 over all sessions.
        incoming: the mark of the downlink.
        acks: when to send a standalone ack.
        polls: how long polls are held.
        pings: the application's pings.
        handshake: the names of the client and of its session.
        closing: how the application asked to end the channel, or how the channel has ended.
        is_leaving: whether the application has gone away for good (LIV-6).
    """

    def __init__(
        self,
        client: str,
        terms: Terms,
        *,
        renewable: bool = False,
        target: Sequence[str] | None = None,
    ) -> None:
        self.terms = terms
        self._silence_timeout = silence_timeout(terms.heartbeat)
        self.handshake = Handshake(client, target)
        self.outbox = Outbox(terms)
        self.incoming = ReceiveWindow(terms)
        self.acks = AckSchedule(self.incoming)
        self.polls = PollPacing()
        self.pings = Pings()
        self.closing: Closing | None = None
        self.is_leaving = False
        self._server_close: Close | None = None
        self._decoder = Decoder(terms, ServerControl)
        self.attaches = 0
        self.confirmed = 0
        self._refusals = Refusals(renewable=renewable)
        self._replay_up_to = 0
        """Messages up to this number are replays (OPN-6)."""
        self._links: list[Link] = []
        self._events: list[Event] = []

    # What a driver asks

    @property
    def has_begun(self) -> bool:
        """Whether the server may have a session, or will have one for what was sent."""
        return self.attaches + self.outbox.buffer.last > 0

    @property
    def deadline(self) -> float:
        """When to call `tick` and `transmit`."""
        deadline = inf
        for link in self._links:
            deadline = min(deadline, link.until)
            if link.post is None and self.leads(link):
                deadline = min(deadline, self.acks.due_on(link))
        return deadline

    # The application's side

    def send(self, payload: Payload) -> int:
        """Keep a message until it is acknowledged.

        Returns:
            The number of this send.

        Raises:
            ChannelClosed: the channel is closing or closed.
        """
        if (ending := self.ending) is not None:
            raise ChannelClosed(ending.code, ending.reason)
        return self.outbox.send(payload)

    @property
    def ending(self) -> Closing | None:
        """How the channel will end, or has ended: by the server's ``close``, or else by ours."""
        close = self._server_close
        if close is not None and not self._goes_on_after(close):
            return Closing(close.code, close.reason, close.by)
        return self.closing

    def _goes_on_after(self, close: Close) -> bool:
        """Return whether the channel continues with a new session after a ``close`` (CLS-8)."""
        asks_for_channel = self.handshake.target is None
        return close.retry_in is not UNSET and asks_for_channel and self.closing is None

    def close(self, code: int, reason: str) -> None:
        """Take no more messages; deliver those sent before, and then the ``close`` (CLS-2)."""
        if self.closing is None:
            self.closing = Closing(code, reason, "app")

    def leave(self) -> None:
        """Tell the server that this client goes away and will not come back (LIV-6).

        The next attach takes that back.
        """
        self.is_leaving = True

    def ping(self) -> int:
        """Ask the server for a `Ponged`, over cuts too, and return the number that it will have."""
        number = self.pings.begin()
        for link in self._links:
            if self.leads(link):
                link.control += self.pings.frames()
        return number

    def renew(self, credentials: Json) -> None:
        """Answer a `RenewalRequested` (REN-1)."""
        for link in self._links:
            link.control.append(encode_control(Renew(credentials=credentials)))

    def abandon(self, code: int, reason: str) -> list[Event]:
        """End the channel on this side only, without telling the server."""
        self._end(Closing(code, reason, "protocol"), is_abandoned=True)
        return self._flush()

    # Links

    def attach(self, transport: TransportKind, nonce: str, credentials: Json = UNSET) -> Link:
        """Begin the next attach (ATT-1).

        Args:
            transport: the transport of the connection.
            nonce: a fresh one; used if the attach asks for a new session (OPN-3, OPN-4).
            credentials: for the server's ``authenticate``.
        """
        self.attaches += 1
        self.is_leaving = False
        received, first = self.incoming.received, self.outbox.buffer.acked + 1
        link = Link(
            self.attaches,
            transport,
            self.handshake.open_frame(self.attaches, nonce, received, first, credentials),
            resuming=self.handshake.token is not None,
            acked=received,
        )
        self._links.append(link)
        return link

    def remove(self, link: Link) -> None:
        """Forget a link whose connection the driver has left."""
        if link in self._links:
            self._links.remove(link)

    def leads(self, link: Link) -> bool:
        """Return whether ``link`` has the session: it is the newest confirmed attach (ATT-3)."""
        return link.attach == self.confirmed and link in self._links

    @property
    def is_carried(self) -> bool:
        """Whether a link has the session."""
        return any(self.leads(link) for link in self._links)

    def _drop(
        self,
        link: Link,
        reason: str,
        retry_in: float = 0.0,
        *,
        drained: bool = False,
    ) -> None:
        if link in self._links:
            self._links.remove(link)
            retry_in = min(retry_in, MAX_RETRY_IN)
            self._events.append(LinkDropped(link, reason, retry_in, drained))
            # Attaches below the confirmed one have ended, or no longer carry anything (ATT-3).
            for older in [one for one in self._links if one.attach < self.confirmed]:
                self._drop(older, codes.SUPERSEDED.name)

    # Time

    def tick(self, now: float) -> list[Event]:
        """Drop the links that have been silent for too long (LIV-2)."""
        for link in list(self._links):
            if now >= link.until:
                self._drop(link, "silent")
        return self._flush()

    def _flush(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # Writing

    def transmit(self, link: Link, now: float) -> list[Output]:
        """Return everything to write on ``link`` now.

        The first write after ``opened`` confirms the attach.
        """
        match link.state:
            case AttachState.FRESH:
                link.state = transition(ATTACH_TRANSITIONS, link.state, AttachStep.OPEN, "attach")
                return [Output(Request.OPEN, [link.opening])]
            case AttachState.OPENING:
                return []
            case AttachState.PROVISIONAL | AttachState.CONFIRMED:
                pass
            case _:
                assert_never(link.state)
        confirms = (
            link.state is AttachState.PROVISIONAL
            and link.attach > self.confirmed
            and link in self._links
        )
        if confirms:
            link.state = transition(ATTACH_TRANSITIONS, link.state, AttachStep.CONFIRM, "attach")
            self.confirmed = link.attach
            self.acks.set_due_on(link)
            link.control += self.pings.frames()
        if link.transport is TransportKind.WEBSOCKET:
            return uplink.websocket_frames(self, link, now, confirms=confirms)
        return uplink.requests(self, link, now, confirms=confirms)

    # Reading

    def handle_input(self, link: Link, report: Input, now: float) -> list[Event]:
        """Handle what the connection of ``link`` reports; ignored for a link that has ended."""
        if link not in self._links:
            return self._flush()
        try:
            match report:
                case FrameReceived():
                    self._receive(link, report.frame, now)
                case Answer():
                    self._handle_answer(link, report, now)
                case ConnectionLost() if report.code == codes.RESTART.websocket:
                    self._drop(link, report.reason, RESTART_RETRY_IN, drained=True)
                case ConnectionLost():
                    self._drop(link, report.reason)
                case _:
                    assert_never(report)
        except ForeignAck:  # MRK-5, RES-6
            self._reset(reset_without_marks(ResetReason.FOREIGN))
        except ProtocolError as error:
            # The frame has had no effect (FRM-4).
            self._drop(link, error.code.name)
        return self._flush()

    def _handle_answer(self, link: Link, answer: Answer, now: float) -> None:
        outcome = answers.read_answer(link, answer, self._decoder, self.acks, self.polls, now)
        match outcome:
            case answers.PostTaken():
                self.outbox.check_ack(outcome.received)
                link.next = min(link.next, outcome.received + 1)
                for frame in outcome.frames:
                    self._handle(link, frame, now)
                if not answers.read_stream_state(link, outcome.marks, self.incoming.received, now):
                    self._drop(link, "detached")
            case answers.DownlinkFrames():
                for line in outcome.lines:
                    self._receive(link, line, now)
            case answers.Refused():
                self._fail(link, outcome.error)
            case answers.Failed():
                if outcome.reason is not None:
                    self._drop(link, outcome.reason, outcome.retry_in)
            case _:
                assert_never(outcome)

    def _receive(self, link: Link, encoded: EncodedFrame, now: float) -> None:
        """Handle a frame of the downlink, which is a sign of life."""
        self._handle(link, self._decoder.decode(encoded), now)
        if link.state is not AttachState.OPENING:
            link.until = now + self._silence_timeout

    def _handle(self, link: Link, frame: Any, now: float) -> None:
        if link not in self._links:
            return  # frames after the one that ended the link
        opening = link.state is AttachState.OPENING
        if opening is not isinstance(frame, Opened) and isinstance(
            frame, (Opened, Data, Oversized, Ack, RenewRequest)
        ):
            raise ProtocolError(codes.BAD_FRAME, "this frame is not expected here")
        match frame:
            case Data():
                self._receive_data(link, frame, now)
            case Ack():
                self._events += self.outbox.settle(frame.ack)
                if frame.prompt is True and self.leads(link):
                    self.acks.set_due_on(link)
            case Opened():
                self._opened(link, frame)
            case Ping():
                link.control.append(encode_control(Pong(id=frame.id)))
            case Pong():
                if number := self.pings.answer(frame.id):
                    self._events.append(Ponged(number))
            case Error():
                self._fail(link, frame)
            case Drain():
                self._drop(link, "drain", frame.retry_in, drained=True)
            case RenewRequest():
                self._events.append(RenewalRequested(frame.within))
            case Reset():
                self._reset(frame)
            case Close():
                self._events += self.outbox.settle(frame.ack)
                self._server_close = frame
                # Instead of `opened`: the session had ended before (CLS-5).
                self._end_if_complete(link, now, late=opening)
            case Oversized() | Bytes():
                raise ProtocolError(codes.TOO_LARGE, "a message above the server's own limit")
            case _:
                assert_never(frame)

    def _opened(self, link: Link, frame: Opened) -> None:
        handshake = self.handshake
        if not handshake.accepts(link, frame):
            self._drop(link, "another session")
            return
        resumed = frame.verdict is Verdict.RESUMED
        reset = frame.reset if isinstance(frame.reset, Loss) else None
        if reset is not None:
            self._reset(reset, successor=link)
        self.outbox.check_ack(max(frame.received, frame.handled))
        link.state = transition(ATTACH_TRANSITIONS, link.state, AttachStep.OPENED, "attach")
        handshake.adopt(frame)
        self._refusals.opened()
        link.next = min(link.next, frame.received + 1)
        terms = self.terms.updated(frame)
        if terms != self.terms:
            self.terms = terms
            self._silence_timeout = silence_timeout(terms.heartbeat)
            self.outbox.buffer.set_limits(terms)
            self._decoder = Decoder(terms, ServerControl)
        if not self.is_carried:  # else nothing was missed
            self._replay_up_to = frame.sent if resumed else 0
        replayed = max(0, self._replay_up_to - self.incoming.received)
        verdict = Verdict.RESUMED if resumed else Verdict.NEW
        self._events.append(Attached(link, verdict, frame.id, replayed))
        self._events += self.outbox.settle(frame.handled)
        # These were checked against our limit, and the server's may be lower.
        for number in self.outbox.buffer.waiting_above(terms.message):
            self._events += self.outbox.skip(number, number, codes.TOO_LARGE.name)

    def _receive_data(self, link: Link, frame: Data, now: float) -> None:
        """Receive messages of the downlink; duplicates are dropped (NUM-3)."""
        messages, size = frame.messages, frame.size
        self.outbox.check_ack(frame.ack)
        if link.transport is TransportKind.LONGPOLL and frame.seq > self.incoming.received + 1:
            return  # the answers to a poll and a POST overtake each other (POL-5)
        known = self.incoming.repeated(frame.seq, len(messages))
        self._events += self.outbox.settle(frame.ack)  # after the check for a gap: FRM-4
        if known >= len(messages):
            return
        if known:  # the duplicates are not kept: they count neither for the inbox nor for the ack
            messages = messages[known:]
            size = json_size(messages)
        first = frame.seq + known
        replays = min(max(0, self._replay_up_to + 1 - first), len(messages))
        if messages[0] is not NOTHING:
            self._events.append(Messages(messages, replays, size, frame.text))
        self.acks.record(len(messages), size, self.terms, now)
        if first <= self._replay_up_to <= self.incoming.received:
            self.acks.set_due()  # the last replay (MRK-7): the server keeps all since the cut
        self._end_if_complete(link, now)

    # Errors and ends

    def _fail(self, link: Link, error: Error) -> None:
        number, expected = number_of(error.number), number_of(error.expected)
        http = link.transport is not TransportKind.WEBSOCKET
        may_retry = http and link.failed_posts + 1 < MAX_CONSECUTIVE_FAILURES
        if error.code in OF_ONE_MESSAGE and number:
            # Only that message is refused; the server dropped the following unread (DAT-4, DAT-5).
            last = error.last if isinstance(error.last, int) else number
            self._events += self.outbox.skip(number, last, error.code)
            # If *received* has moved back, an `opened` may count the message all the same (DAT-7).
            links = self._links if error.code == codes.NOT_READ.name else [link]
            for one in links:
                one.next = min(one.next, number)
            return
        if error.code == codes.GAP.name and expected and may_retry:
            link.failed_posts += 1
            self.outbox.check_ack(expected - 1)
            link.next = min(link.next, expected)
            return
        superseded = error.code == codes.SUPERSEDED.name
        if superseded:
            self.attaches = max(self.attaches, number_of(error.attach))
        closing = self._refusals.closing(self, link, error)
        if closing is None:
            self._drop(link, error.code, retry_in(error))
            return
        if superseded:
            self._events.append(Superseded(number_of(error.attach), str(error.client)))
        self._end(closing)

    def _reset(
        self,
        loss: Loss,
        successor: Link | None = None,
        *,
        retry_in: float = 0.0,
    ) -> None:
        """End this session and begin a new one (RES-2, RES-4, RES-6).

        Args:
            loss: the fate of this one.
            successor: the link whose ``opened`` begins the new one; None if the next attach does.
            retry_in: the seconds after which the server takes that attach.
        """
        sends = self.outbox.fates(loss.handled, loss.in_hand)
        lost = self.acks.clip_lost_range(loss.lost)
        dropped = loss.dropped if isinstance(loss.dropped, int) else 0
        self._events.append(WasReset(loss.reason, lost, dropped, loss.handled, sends))
        self.outbox.start_over(self.terms)
        self.incoming = ReceiveWindow(self.terms)
        self.acks.reset(self.incoming)
        self.confirmed = 0
        self._refusals.start_over()
        self._server_close = None
        self.handshake.reset(opened=successor is not None)
        if successor is not None:
            successor.acked = 0
            successor.next = MAX_NUMBER
        for link in list(self._links):
            if link is not successor:
                self._drop(link, codes.RESET.name, retry_in)

    def _end_if_complete(self, link: Link, now: float, *, late: bool = False) -> None:
        """End once the server's ``close`` and everything up to its ``last`` are received (CLS-4).

        Args:
            link: the link on which the last of it was received.
            late: whether the session had ended before this attach: nothing more follows (CLS-5).
        """
        close, received = self._server_close, self.incoming.received
        if close is None or (received < close.last and not late):
            return
        ending = Closing(close.code, close.reason, close.by)
        if not late:
            # Send our close even while a POST is in flight: its answer no longer matters.
            link.post = None
            if not link.close_written:
                link.control.append(uplink.close_frame(self, link, ending))
            elif link.acked < received:
                link.control.append(uplink.ack_frame(self, link))
        in_hand = close.in_hand if isinstance(close.in_hand, int) else close.ack
        if self._goes_on_after(close):
            self._reopen(link, close, in_hand, now)
            return
        sends = self.outbox.fates(close.ack, in_hand)
        self._end(ending, sends, clean=received >= close.last)

    def _reopen(self, link: Link, close: Close, in_hand: int, now: float) -> None:
        """Continue with a new session after a ``close`` with ``retry_in`` (CLS-8)."""
        received = self.incoming.received
        assert isinstance(close.retry_in, (int, float))
        retry_in = min(close.retry_in, MAX_RETRY_IN)
        # The link carries no more data, only the control frames that are queued: our answer.
        self._links.remove(link)
        outputs = self.transmit(link, now)
        lost: list[int | None] = [received + 1, close.last] if received < close.last else []
        loss = Loss(reason=ResetReason.FAILED, lost=lost, handled=close.ack, in_hand=in_hand)
        self._reset(loss, retry_in=retry_in)
        dropped = LinkDropped(link, codes.RESET.name, retry_in, drained=False, outputs=outputs)
        self._events.append(dropped)

    def _end(
        self,
        ending: Closing,
        sends: Sequence[Settled] | None = None,
        *,
        clean: bool = False,
        is_abandoned: bool = False,
    ) -> None:
        """End the channel. Only control frames already queued on the links are still written."""
        if sends is None:
            sends = self.outbox.fates(None, None)
        self._events.append(
            Closed(ending.code, ending.reason, ending.by, clean, sends, is_abandoned)
        )
        self.closing = ending
        self.outbox.start_over(self.terms)
        self._links.clear()
