"""The client's half of a session: numbers, marks, attaches, verdicts, close.

Pure: what is heard and ``now`` (seconds of any monotonic clock) go in; what is to be written,
events and the next deadline come out. The browser's core, `client_js/src/session.ts`, is its twin.

A session outlives its links; a link is one attach over one connection. For each, a driver calls
`ClientSession.attach`, then after every input `transmit` (and writes what it answers), and `tick`
at `deadline`. When a session could not go on, the same `ClientSession` goes on with the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, assert_never

from msgspec import UNSET

from transport import codes
from transport.codes import CODES, Again, Code
from transport.errors import ChannelClosed, Fate, Foreign, ProtocolError
from transport.protocol.client.buffer import WaitingBuffer
from transport.protocol.client.events import (
    Answer,
    Closed,
    Closing,
    Dropped,
    Event,
    Frame,
    Heard,
    Lost,
    Messages,
    Opening,
    Out,
    Rejected,
    RenewalAsked,
    Request,
    Settled,
    Superseded,
    WasReset,
)
from transport.protocol.client.link import PATIENCE, Link, Post
from transport.protocol.client.terms import Terms
from transport.protocol.codec import (
    Decoder,
    Oversized,
    Payload,
    encode_bytes,
    encode_control,
    encode_data,
    size_of,
)
from transport.protocol.frames import (
    VERSION,
    Ack,
    Bytes,
    Close,
    Data,
    Drain,
    EncodedFrame,
    Error,
    Json,
    Loss,
    Open,
    Opened,
    Ping,
    Poll,
    Pong,
    Renew,
    Renewal,
    Reset,
    ResetReason,
    Send,
    ServerControl,
    Skip,
    TransportKind,
    Verdict,
    nothing_known,
)
from transport.protocol.receive_window import ReceiveCursor
from transport.protocol.states import ATTACH, AttachState, AttachStep, follow

MUTE = 5.0
"""Seconds that a stream may stay mute once the server says that it wrote to it (SND-2)."""
RESTART = 2.0
"""The ``retry_in`` of a server that goes without a word, by WebSocket close 1012 (DRN-1)."""
ACK_DELAY = 0.1
"""Seconds that an ``ack`` waits for company on HTTP, and between two that have none (MRK-6)."""
SHORTEST_HOLD = 5.0
"""Seconds that a poll is held at least, where a proxy was seen to cut one."""
CUT_AFTER = 2.0
"""Seconds after which a poll that got no answer was cut by something that does not hold so long."""

_AROUND = 64
"""Bytes that stand around the messages of a frame, at most."""
_AROUND_BYTES = 99
"""Bytes that stand around a message of bytes in base64, at most."""

_OF_ONE_TRANSPORT = frozenset(
    {
        codes.NORMAL,
        codes.NOT_FOUND,
        codes.METHOD_NOT_ALLOWED,
        codes.UNSUPPORTED_MEDIA_TYPE,
        codes.UPGRADE_REQUIRED,
    }
)
"""What a proxy can say too: it only speaks of one transport."""

FATAL: dict[str, Code] = {
    name: code
    for name, code in CODES.items()
    if code.again is Again.NO
    and code not in _OF_ONE_TRANSPORT
    and code is not codes.SUPERSEDED  # it depends on by whom (ATT-5)
}
"""Codes that end the channel: the same attempt would fail again (section 13)."""


class ClientSession:
    """The sessions of one client instance, one after the other.

    Sends are counted from 1 over all of them: that is the number that `send` gives and events name.

    Args:
        client: names this instance (OPN-3).
        terms: to go by until a server has told its own.
        target, wishes: further fields of every ``open`` (TGT-1, OPN-8).

    Attributes:
        terms: the server's.
        outgoing: what was sent and is not acknowledged.
        incoming: the mark of the downlink.
        replayed: messages that were put on a wire again.
    """

    __slots__ = (
        "_ack_after",
        "_ack_at",
        "_attaches",
        "_before",
        "_confirmed",
        "_decoder",
        "_epoch",
        "_events",
        "_extras",
        "_hold",
        "_id",
        "_links",
        "_nonce",
        "_ours",
        "_refused",
        "_replay",
        "_theirs",
        "_token",
        "_unacked",
        "client",
        "incoming",
        "outgoing",
        "replayed",
        "terms",
    )

    def __init__(
        self,
        client: str,
        terms: Terms,
        *,
        target: dict[str, Json] | None = None,
        wishes: dict[str, Json] | None = None,
    ) -> None:
        self.client = client
        self.terms = terms
        self.outgoing = WaitingBuffer(terms)
        self.incoming = ReceiveCursor(terms)
        self.replayed = 0
        self._decoder = _decoder(terms)
        self._extras: dict[str, Any] = {
            "target": UNSET if target is None else target,
            "wishes": UNSET if wishes is None else wishes,
        }
        self._nonce: str | None = None
        self._token: str | None = None
        self._epoch: str | None = None
        self._id = ""
        self._attaches = 0
        self._confirmed = 0
        """The highest attach that was confirmed: the one that sends (ATT-3)."""
        self._refused = 0
        """How often another client stood in the way of the first confirmation (ATT-5)."""
        self._links: list[Link] = []
        self._before = 0
        """Sends of the sessions before this one."""
        self._replay = 0
        """What arrives at or below it is a replay (OPN-6)."""
        self._ack_at = inf
        """When a lone ``ack`` is due."""
        self._ack_after = 0.0
        """Before which none is due on WebSocket."""
        self._unacked = 0
        """Bytes that it will acknowledge (MRK-6)."""
        self._hold: float | None = None
        """Seconds that a poll may be held, once a proxy was seen to cut one."""
        self._ours: Closing | None = None
        self._theirs: Close | None = None
        self._events: list[Event] = []

    # What a driver asks

    @property
    def begun(self) -> bool:
        """Whether there is, or may be, a session; or will be, for what was sent."""
        return self._attaches + self.outgoing.last > 0

    @property
    def sends(self) -> int:
        """The number of the last send."""
        return self._before + self.outgoing.last

    @property
    def deadline(self) -> float:
        """When to call `tick`, or `transmit`."""
        return min(
            (
                min(
                    link.until,
                    self._ack_at if self._leads(link) and link.post is None else inf,
                )
                for link in self._links
            ),
            default=inf,
        )

    # The application's side

    def send(self, payload: Payload) -> int:
        """Keep a message until it is acknowledged.

        Returns:
            The number of this send.

        Raises:
            ChannelClosed: the channel is closing or over.
        """
        if (ending := self.ending) is not None:
            raise ChannelClosed(ending.code, ending.reason)
        return self._before + self.outgoing.append(payload, size_of(payload))

    @property
    def ending(self) -> Closing | None:
        """How the channel is to end, or has ended: as the server says, or as we do."""
        if self._theirs is not None:
            return Closing(self._theirs.code, self._theirs.reason, self._theirs.by)
        return self._ours

    def close(self, code: int, reason: str) -> None:
        """No message follows: what was sent is still brought over, then the ``close`` (CLS-2)."""
        if self._ours is None:
            self._ours = Closing(code, reason, "app")

    def renew(self, credentials: Json) -> None:
        """Answer a `RenewalAsked` (REN-1)."""
        for link in self._links:
            link.control.append(encode_control(Renew(credentials=credentials)))

    def abandon(self, code: int, reason: str) -> list[Event]:
        """End the session from this side alone, without a word to the server."""
        self._end(Closing(code, reason, "protocol"))
        return self._flush()

    # Links

    def attach(self, carrier: TransportKind, nonce: str, credentials: Json = UNSET) -> Link:
        """Mint the next attach (ATT-1).

        Args:
            carrier: the transport.
            nonce: fresh; used where a new session is to be asked for (OPN-3, OPN-4).
            credentials: for the server's ``authenticate``.
        """
        self._attaches += 1
        if self._nonce is None:
            self._nonce = nonce
        received = self.incoming.received
        frame = Open(
            versions=[VERSION],
            client=self.client,
            nonce=self._nonce,
            attach=self._attaches,
            received=received,
            first_retained=self.outgoing.acked + 1,
            session=UNSET if self._token is None else self._token,
            epoch=UNSET if self._epoch is None else self._epoch,
            credentials=credentials,
            **self._extras,
        )
        link = Link(
            self._attaches,
            carrier,
            encode_control(frame),
            resuming=self._token is not None,
            acked=received,
        )
        self._links.append(link)
        return link

    def _leads(self, link: Link) -> bool:
        """The newest confirmed attach has the session: only it carries data and acks (ATT-3)."""
        return link.attach == self._confirmed and link in self._links

    def _confirm(self, link: Link) -> None:
        link.state = follow(ATTACH, link.state, AttachStep.CONFIRM, "attach")
        self._confirmed = link.attach
        # What is due on an earlier link may not be on this one, and what that took along may be
        # lost: its mark here is what its `open` said.
        self._ack_at = 0.0 if link.acked < self.incoming.received else inf

    def _drop(
        self, link: Link, reason: str, retry_in: float = 0.0, *, drained: bool = False
    ) -> None:
        if link in self._links:
            self._links.remove(link)
            self._events.append(Dropped(link, reason, retry_in, drained))
            # Those below the confirmed one have ended, or will not carry what is sent (ATT-3).
            for older in [one for one in self._links if one.attach < self._confirmed]:
                self._drop(older, codes.SUPERSEDED.name)

    # Time

    def tick(self, now: float) -> list[Event]:
        """Drop what is silent (LIV-2)."""
        for link in list(self._links):
            if now >= link.until:
                self._drop(link, "silent")
        return self._flush()

    def _flush(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    # Writing

    def transmit(self, link: Link, now: float) -> list[Out]:
        """All that is to be written on ``link`` now."""
        match link.state:
            case AttachState.FRESH:
                link.state = follow(ATTACH, link.state, AttachStep.OPEN, "attach")
                return [Out(Request.OPEN, [link.opening])]
            case AttachState.OPENING:
                return []
            case AttachState.PROVISIONAL | AttachState.CONFIRMED:
                pass
            case _:
                assert_never(link.state)
        confirms = (
            link.state is AttachState.PROVISIONAL
            and link.attach > self._confirmed
            and link in self._links
        )
        if confirms:
            self._confirm(link)
        if link.carrier is not TransportKind.WEBSOCKET:
            return self._requests(link, now, confirms=confirms)
        wires: list[EncodedFrame] = [self._ack(link)] if confirms else []
        self._fill(link, wires, now, inf)
        return [Out(None, wires)] if wires else []

    def _requests(self, link: Link, now: float, *, confirms: bool) -> list[Out]:
        head: dict[str, Any] = {
            "session": self._token,
            "client": self.client,
            "attach": link.attach,
            "epoch": self._epoch,
        }
        out: list[Out] = []
        if link.post is None:
            first = encode_control(Send(**head))
            post = Post(link.next, link.control)
            wires: list[EncodedFrame] = []
            self._fill(link, wires, now, self.terms.body - len(first))
            # A first poll confirms as well as a POST does (ATT-3).
            if wires or (confirms and link.carrier is TransportKind.SSE):
                link.post = post
                out.append(Out(Request.POST, [first, *wires]))
        if link.carrier is TransportKind.LONGPOLL and link.polled is None and self._leads(link):
            link.polled = now
            poll = Poll(
                **head,
                poll=link.poll,
                ack=self._mark(link),
                hold=UNSET if self._hold is None else self._hold,
            )
            out.append(Out(Request.POLL, [encode_control(poll)]))
        return out

    def _mark(self, link: Link) -> int:
        """The mark of the downlink, on its way over ``link``."""
        self._ack_at = inf
        self._unacked = 0
        link.acked = self.incoming.received
        return link.acked

    def _ack(self, link: Link) -> str:
        return encode_control(Ack(ack=self._mark(link)))

    def _fill(self, link: Link, wires: list[EncodedFrame], now: float, room: float) -> None:
        """Add control frames, data, our ``close``, and an ``ack`` that is due.

        Args:
            link: where to.
            wires: what to add to.
            now: seconds.
            room: bytes that a body has left; on WebSocket infinite.
        """
        for control in link.control:
            wires.append(control)
            room -= size_of(control) + 1
        link.control = []
        if not self._leads(link):
            return
        self._fill_data(link, wires, room)
        if self._ours and not link.close_written and link.next > self.outgoing.last:
            wires.append(self._last_word(link, self._ours))
        if link.acked < self.incoming.received and now >= self._ack_at:
            self._ack_after = now + ACK_DELAY
            wires.append(self._ack(link))

    def _fill_data(self, link: Link, wires: list[EncodedFrame], room: float) -> None:
        outgoing, terms = self.outgoing, self.terms
        http = room < inf
        # What was acknowledged in the meantime is not written again.
        number = max(link.next, outgoing.acked + 1)
        texts: list[str] = []
        size = 0

        def flush() -> None:
            nonlocal size
            if texts:
                wires.append(encode_data(number - len(texts), self._mark(link), texts))
                texts.clear()
                size = 0

        while (payload := outgoing.peek(number)) is not None:
            skipped = number in outgoing.skipped
            length = size_of(payload)
            text = isinstance(payload, str) and not skipped
            cost = length + 1 if text or not http else length * 4 // 3 + _AROUND_BYTES
            if len(texts) >= terms.batch or size + cost + _AROUND > terms.body:
                flush()
            full = room < cost + _AROUND or len(wires) + 4 > terms.batch
            # One always goes: a body holds any message (section 12).
            if http and full and len(texts) + len(wires) > 0:
                break
            if number <= outgoing.sent:
                self.replayed += 1
            outgoing.put(number, length)
            room -= cost if texts else cost + _AROUND
            if skipped:
                flush()
                wires.append(encode_control(Skip(number=number, ack=self._mark(link))))
            elif isinstance(payload, str):
                texts.append(payload)
                size += cost
            else:
                flush()
                wires.append(encode_bytes(number, self._mark(link), payload, binary=not http))
            number += 1
        flush()
        link.next = number

    def _last_word(self, link: Link, ending: Closing) -> str:
        """Our ``close``, as asked for or in answer to the server's (CLS-1, CLS-3)."""
        link.close_written = True
        return encode_control(
            Close(
                code=ending.code,
                reason=ending.reason,
                by=ending.by,
                last=self.outgoing.sent,
                ack=self._mark(link),
            )
        )

    # Hearing

    def hear(self, link: Link, heard: Heard, now: float) -> list[Event]:
        """The connection of ``link`` reports."""
        if link in self._links:
            try:
                self._hear(link, heard, now)
            except Foreign:  # MRK-5, RES-6
                self._reset(nothing_known(ResetReason.FOREIGN))
            except ProtocolError as error:
                # A frame that is refused has had no effect (FRM-4); the next attach starts from
                # the marks.
                self._drop(link, error.code.name)
        return self._flush()

    def _hear(self, link: Link, heard: Heard, now: float) -> None:
        match heard:
            case Frame():
                self._receive(link, heard.wire, now)
            case Answer():
                self._answered(link, heard, now)
            case Lost() if heard.code == codes.RESTART.websocket:
                self._drop(link, heard.reason, RESTART, drained=True)
            case Lost():
                self._drop(link, heard.reason)
            case _:
                assert_never(heard)

    def _answered(self, link: Link, answer: Answer, now: float) -> None:
        lines = [line for line in answer.text.split("\n") if line]
        if answer.of is Request.POST and answer.status == 200:
            self._taken(link, [self._decoder.decode(line) for line in lines], now)
            return
        held = 0.0
        if answer.of is Request.POLL and link.polled is not None:
            held = now - link.polled
            link.polled = None
        if answer.status == 200 and lines:
            link.failures = 0
            if answer.of is Request.POLL:
                link.poll += 1
            for line in lines:
                self._receive(link, line, now)
            return
        if answer.of is Request.POST:
            self._take_back(link)
        if (error := self._read_error(lines)) is not None:
            self._fail(link, error)
            return
        if answer.status == 200:  # empty: a newer poll stands (POL-2)
            link.poll += 1
        elif held > CUT_AFTER:
            self._hold = max(SHORTEST_HOLD, held / 2)
        # A poll that nobody answered was the connection, as a stream that ends. Else the request is
        # repeated with the same content, and what has come up since (SND-1, POL-2).
        link.failures += 1
        cut = answer.of is Request.POLL and not answer.status
        if cut or answer.of is Request.OPEN or link.failures >= PATIENCE:
            ended = f"HTTP {answer.status}" if answer.status else "no answer"
            self._drop(link, "ended" if answer.status == 200 else ended)

    def _read_error(self, lines: Sequence[str]) -> Error | None:
        """What refused a request; None for a page of something between, which says no more of the
        channel than silence does."""
        try:
            frame = self._decoder.decode(lines[0]) if lines else None
        except ProtocolError:
            return None
        return frame if isinstance(frame, Error) else None

    def _take_back(self, link: Link) -> None:
        """Put back what the POST took along; its marks are due again."""
        post, link.post = link.post, None
        if post is not None:
            link.next = post.next
            link.control[:0] = post.control
            link.close_written = False
            link.acked = -1
            self._ack_at = 0.0

    def _taken(self, link: Link, frames: Sequence[Any], now: float) -> None:
        """The answer to a POST: marks, how the downlink does, what the frames caused (SND-2)."""
        first = frames[0] if frames else None
        if not isinstance(first, Ack) or not isinstance(first.received, int):
            raise ProtocolError(codes.BAD_FRAME, "a POST's answer begins with the marks")
        link.post = None
        link.failures = 0
        self.outgoing.check(first.received)
        link.next = min(link.next, first.received + 1)
        for frame in frames:
            self._handle(link, frame, now)
        if link.carrier is not TransportKind.SSE:
            return
        if first.attached is False:
            self._drop(link, "detached")
        elif isinstance(first.sent, int) and first.sent > self.incoming.received:
            # A stream that is written to and brings nothing is held up by something on the way.
            link.until = min(link.until, now + MUTE)

    def _receive(self, link: Link, wire: EncodedFrame, now: float) -> None:
        """A frame of the downlink."""
        self._handle(link, self._decoder.decode(wire), now)
        if link.state is not AttachState.OPENING:
            link.until = now + 2 * self.terms.heartbeat + 5

    def _handle(self, link: Link, frame: Any, now: float) -> None:
        if link not in self._links:
            return  # frames behind the one that ended the link
        opening = link.state is AttachState.OPENING
        if opening is not isinstance(frame, Opened) and isinstance(
            frame, (Opened, Data, Oversized, Ack, Renewal)
        ):
            raise ProtocolError(codes.BAD_FRAME, "a frame out of place")
        self._dispatch(link, frame, now, opening=opening)

    def _dispatch(
        self,
        link: Link,
        frame: Data | Oversized | ServerControl,
        now: float,
        *,
        opening: bool,
    ) -> None:
        match frame:
            case Data():
                self._take(link, frame, now)
            case Ack():
                self._settle(frame.ack)
            case Opened():
                self._opened(link, frame)
            case Ping():
                link.control.append(encode_control(Pong(id=frame.id)))
            case Pong():
                pass
            case Error():
                self._fail(link, frame)
            case Drain():
                self._drop(link, "drain", frame.retry_in, drained=True)
            case Renewal():
                self._events.append(RenewalAsked(frame.within))
            case Reset():
                self._reset(self._above_what_is_held(frame))
            case Close():
                self._settle(frame.ack)
                self._theirs = frame
                # In the place of `opened`: the session was over before (CLS-5).
                self._end_if_complete(link, late=opening)
            case Oversized() | Bytes():
                raise ProtocolError(codes.TOO_LARGE, "a message above the server's own limit")
            case _:
                assert_never(frame)

    def _opened(self, link: Link, frame: Opened) -> None:
        resumed = frame.verdict is Verdict.RESUMED
        reset = frame.reset if isinstance(frame.reset, Loss) else None
        token = frame.session if isinstance(frame.session, str) else None
        fits = link.resuming if resumed else token is not None
        if (
            (frame.attach, frame.client) != (link.attach, self.client)
            or not fits
            or (link.resuming and not resumed and reset is None)
        ):
            raise ProtocolError(codes.BAD_FRAME, "this answers another open")
        if self._token is not None and reset is None and frame.id != self._id:
            # Of opens that race, one came to a server that did not know of the other (OPN-4).
            self._drop(link, "another session")
            return
        if reset is not None:
            self._reset(self._above_what_is_held(reset), heir=link)
        self.outgoing.check(max(frame.received, frame.handled))
        link.state = follow(ATTACH, link.state, AttachStep.OPENED, "attach")
        if self._token is None:
            # Kept from now on: what comes behind this, on a link that ends before it is confirmed,
            # is of this session too. A later session needs another nonce (OPN-3).
            self._token = token
            self._id = frame.id
            self._nonce = None
        link.next = frame.received + 1
        self._epoch = frame.epoch
        self._agree(self.terms.told(frame))
        self._replay = frame.sent if resumed else 0
        replayed = max(0, self._replay - self.incoming.received)
        verdict = Verdict.RESUMED if resumed else Verdict.NEW
        self._events.append(Opening(link, verdict, frame.id, replayed))
        self._settle(frame.handled)
        # The server's limit may be below the one that these were checked against.
        for number in self.outgoing.above(self.terms.message):
            self._skip(number)

    def _agree(self, terms: Terms) -> None:
        if terms != self.terms:
            self.terms = terms
            self.outgoing.agree(terms)
            self._decoder = _decoder(terms)

    def _take(self, link: Link, frame: Data, now: float) -> None:
        """Messages of the downlink; repetitions are passed over (NUM-3)."""
        messages, incoming = frame.messages, self.incoming
        self.outgoing.check(frame.ack)
        known = incoming.repeated(frame.seq, len(messages))
        self._settle(frame.ack)  # not before a gap is known: FRM-4
        if known >= len(messages):
            return
        first = frame.seq + known
        incoming.advance(len(messages) - known)
        replays = min(max(0, self._replay + 1 - first), len(messages) - known)
        self._events.append(Messages(messages[known:] if known else messages, replays, frame.size))
        self._unacked += frame.size
        terms = self.terms
        if link.carrier is not TransportKind.LONGPOLL:  # a poll takes the mark along by itself
            quarter = (
                incoming.received - link.acked >= terms.window_messages / 4
                or self._unacked >= terms.window_bytes / 4
            )
            if quarter:
                due = now
            elif link.carrier is TransportKind.WEBSOCKET:
                due = max(now, self._ack_after)
            else:
                due = now + ACK_DELAY
            self._ack_at = min(self._ack_at, due)
        self._end_if_complete(link)

    # What becomes of sends

    def _settle(self, mark: int) -> None:
        """All up to ``mark`` was handled (MRK-3)."""
        outgoing = self.outgoing
        first = outgoing.acked + 1
        if outgoing.acknowledge(mark):
            self._events += self._ranges([(first, mark, Fate.HANDLED)])
            outgoing.skipped = {number for number in outgoing.skipped if number > mark}

    def _ranges(self, fates: Sequence[tuple[int, int, Fate]]) -> list[Settled]:
        """As events name them, without those that were skipped: their senders were told."""
        settled = []
        skipped = sorted(self.outgoing.skipped)
        for first, last, fate in fates:
            begin = first
            for end in [*(one for one in skipped if first <= one <= last), last + 1]:
                if begin < end:
                    settled.append(Settled(self._before + begin, self._before + end - 1, fate))
                begin = end + 1
        return settled

    def _fates(self, handled: int | None, in_hand: int | None) -> list[Settled]:
        """What became of each unacknowledged send (RES-3)."""
        outgoing = self.outgoing
        low = outgoing.acked if handled is None else min(handled, outgoing.sent)
        low = max(low, outgoing.acked)
        high = outgoing.sent
        if handled is not None and in_hand is not None:
            high = max(low, min(in_hand, outgoing.sent))
        return self._ranges(
            [
                (outgoing.acked + 1, low, Fate.HANDLED),
                (low + 1, high, Fate.UNKNOWN),
                (high + 1, outgoing.last, Fate.NOT_HANDLED),
            ]
        )

    def _skip(self, number: int) -> None:
        """The server takes no message of this size: a ``skip`` stands in its place (DAT-5)."""
        size = self.outgoing.skip(number)
        if size is not None:
            self._events.append(Rejected(self._before + number, size))

    # Errors and ends

    def _fail(self, link: Link, error: Error) -> None:
        number = error.number if isinstance(error.number, int) else 0
        expected = error.expected if isinstance(error.expected, int) else 0
        http = link.carrier is not TransportKind.WEBSOCKET
        if error.code == codes.TOO_LARGE.name and number:
            # Only that message is refused; all behind it was dropped unread (DAT-4, DAT-5).
            self._skip(number)
            link.next = min(link.next, number)
        elif error.code == codes.GAP.name and expected and http and link.failures + 1 < PATIENCE:
            link.failures += 1
            self.outgoing.check(expected - 1)
            link.next = expected
        elif (fatal := FATAL.get(error.code)) is not None:
            reason = f"{error.code}: {error.message}"
            self._end(Closing(fatal.websocket or 4400, reason, "protocol"))
        elif error.code == codes.SUPERSEDED.name:
            self._superseded(link, error)
        else:
            self._drop(link, error.code, _seconds(error))

    def _superseded(self, link: Link, error: Error) -> None:
        attach = error.attach if isinstance(error.attach, int) else 0
        self._attaches = max(self._attaches, attach)
        client = error.client
        if isinstance(client, str) and client != self.client:
            taken = 0 < self._confirmed < attach  # else our confirmation was refused (ATT-5, ATT-6)
            self._refused += not taken
            if taken or self._refused > PATIENCE:
                self._events.append(Superseded(attach, client))
                reason = "superseded: taken by another page"
                self._end(Closing(codes.SUPERSEDED.websocket or 0, reason, "protocol"))
                return
        elif attach > self._confirmed:
            raise Foreign  # another copy of this client went on (ATT-5)
        self._drop(link, error.code, _seconds(error))

    def _above_what_is_held(self, frame: Loss) -> Loss:
        """What is held was not lost: its ack may have been (RES-4), or it came on an older link."""
        lost: list[int] | None = None
        if frame.lost is not None:
            first, last = frame.lost or (1, 0)
            first = max(first, self.incoming.received + 1)
            lost = [first, last] if first <= last else []
        return Loss(reason=frame.reason, lost=lost, handled=frame.handled, in_hand=frame.in_hand)

    def _reset(self, loss: Loss, heir: Link | None = None) -> None:
        """The session is over; a new one begins (RES-2, RES-4, RES-6).

        Args:
            loss: what became of it.
            heir: whose ``opened`` brings the new one; None: it comes with the next open.
        """
        sends = self._fates(loss.handled, loss.in_hand)
        self._events.append(WasReset(loss.reason, loss.lost, loss.handled, sends))
        self._forget()
        self.incoming = ReceiveCursor(self.terms)
        self._confirmed = self._refused = 0
        self._token = self._epoch = self._theirs = None
        self._ack_at = inf
        if heir is None:
            self._nonce = None
        else:
            heir.acked = 0
        for link in list(self._links):
            if link is not heir:
                self._drop(link, codes.RESET.name)

    def _forget(self) -> None:
        self._before += self.outgoing.last
        self.outgoing = WaitingBuffer(self.terms)

    def _end_if_complete(self, link: Link, *, late: bool = False) -> None:
        """End where the server's ``close`` and everything up to its ``last`` are here (CLS-4).

        Args:
            link: that brought the last of it.
            late: the session was over before this attach: nothing more comes (CLS-5).
        """
        close, received = self._theirs, self.incoming.received
        if close is None or (received < close.last and not late):
            return
        ending = Closing(close.code, close.reason, close.by)
        if not late:
            # The last word, though a POST may be in flight: its answer tells nothing any more.
            link.post = None
            if not link.close_written:
                link.control.append(self._last_word(link, ending))
            elif link.acked < received:
                link.control.append(self._ack(link))
        in_hand = close.in_hand if isinstance(close.in_hand, int) else close.ack
        sends = self._fates(close.ack, in_hand)
        self._end(ending, sends, clean=received >= close.last)

    def _end(
        self, ending: Closing, sends: Sequence[Settled] | None = None, *, clean: bool = False
    ) -> None:
        """Nothing more goes out but what stands in a link's control frames."""
        if sends is None:
            sends = self._fates(None, None)
        self._events.append(Closed(ending.code, ending.reason, ending.by, clean, sends))
        self._ours = ending
        self._forget()
        self._links.clear()


def _decoder(terms: Terms) -> Decoder:
    return Decoder(terms, ServerControl)


def _seconds(error: Error) -> float:
    return error.retry_in if isinstance(error.retry_in, (int, float)) else 0.0
