"""`Pair`: both halves of a session over a link that loses, repeats, delays, reorders and cuts."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import assert_never

from transport import codes
from transport.errors import ChannelClosed, ProtocolError
from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    ConnectionLost,
    Event,
    FrameReceived,
    Input,
    LinkDropped,
    Messages,
    Output,
    Request,
)
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import Decoder, encode_control, encode_message
from transport.protocol.frames import (
    EncodedFrame,
    Json,
    Open,
    Poll,
    Reset,
    Send,
    TransportKind,
    error_frame,
)
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.opening import (
    Attach,
    Begin,
    Create,
    Found,
    Refuse,
    Replace,
    SendClose,
    attach,
    begin,
    check_version,
    resume,
)
from transport.protocol.server.session import EMPTY, ServerSession
from transport.protocol.server.uplink import Post, find_poll, find_session

ANSWER_WITHIN = 10.0
"""Seconds after which a client takes a request for lost."""
AWAY = 0.2
"""Seconds at most that a client whose link was cut stays away."""
TICK = 0.25
EPOCH = "pair"


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What a link does: chances from 0 to 1, and a time.

    Attributes:
        cut: that a connection is cut as something is written to it, and that with all on its way.
        unnoticed: of the cuts, that the server is not told.
        lose: that a request does not arrive, and that its answer does not. What is written to a
            standing connection arrives or is cut: below is TCP.
        repeat: that a request arrives twice, each at its own time.
        delay: seconds at most that anything is on its way; requests overtake each other in it.
    """

    cut: float = 0.02
    unnoticed: float = 0.5
    lose: float = 0.05
    repeat: float = 0.1
    delay: float = 0.1


NO_FAULTS = Faults(cut=0, unnoticed=0, lose=0, repeat=0, delay=0)


@dataclass(slots=True, eq=False)
class _Line:
    """One connection, as both ends see it."""

    link: Link
    transport: TransportKind
    session: ServerSession | None = None
    attachment: Attachment | None = None
    cut: bool = False
    up_at: float = 0.0
    down_at: float = 0.0
    """When what was written last arrives: what follows is not earlier."""
    poll: Callable[[str], None] | None = None
    """Answers the poll that is parked."""
    hold: float = 0.0


class Pair:
    """A client's and a server's session, the link between them, and a clock of their own.

    Nothing of it is random but by ``seed``, and nothing waits: `run` turns the clock.

    Args:
        seed: what the link does is the same each time for the same seed.
        faults: what it does.
        carriers: each attach takes one of them.
        limits: the server's.

    Attributes:
        now: seconds since it was made.
        client: the client's session.
        server: the server's; None before the first attach.
        handled: messages that the server's handler was given.
        received: messages that the client was given.
        events: all that the client's session has told.
        attaches: how often the client has come.
    """

    def __init__(
        self,
        seed: int,
        *,
        faults: Faults = Faults(),
        carriers: Sequence[TransportKind] = tuple(TransportKind),
        limits: Limits = Limits(),
    ) -> None:
        self.now = 0.0
        self.faults = faults
        self.carriers = carriers
        self.limits = limits
        self.client = ClientSession(f"client-{seed:016d}", Terms.of(limits))
        self.server: ServerSession | None = None
        self.handled: list[Json] = []
        self.received: list[Json] = []
        self.events: list[Event] = []
        self.attaches = 0
        self._random = random.Random(seed)
        self._decoder = Decoder(limits)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._lines: list[_Line] = []
        self._by_token: dict[str, ServerSession] = {}
        self._by_nonce: dict[str, ServerSession] = {}
        self._at(0.0, self._attach)
        self._at(TICK, self._tick)

    # What a test does

    def send(self, message: Json) -> int:
        """The client sends."""
        return self.client.send(encode_message(message, self.client.terms))

    def reply(self, message: Json) -> int:
        """The server's handler sends; there must be room in its window.

        Raises:
            ChannelClosed: there is no session yet, or no more.
        """
        if self.server is None:
            raise ChannelClosed(1000, "no session yet")
        return self.server.send(encode_message(message, self.limits))

    def run(self, seconds: float) -> None:
        """Let time pass, and all that falls into it happen."""
        until = self.now + seconds
        self._turn()
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, do = heappop(self._agenda)
            do()
            self._turn()
        self.now = until

    def settle(self, within: float = 120.0) -> None:
        """No more faults: let time pass until all that was sent has arrived and is acknowledged.

        Raises:
            TimeoutError: it did not.
        """
        self.faults = NO_FAULTS
        until = self.now + within
        while not self._settled():
            if self.now >= until:
                raise TimeoutError(f"it has not settled in {within} s")
            self.run(TICK)

    def _settled(self) -> bool:
        client, server = self.client.outbox.buffer, self.server
        return (
            server is not None
            and client.acked == client.last
            and server.outgoing.acked == server.outgoing.last
        )

    # Time

    def _at(self, when: float, do: Callable[[], None]) -> None:
        heappush(self._agenda, (when, next(self._order), do))

    def _chance(self, chance: float) -> bool:
        return self._random.random() < chance

    def _delay(self) -> float:
        return self._random.uniform(0, self.faults.delay)

    def _tick(self) -> None:
        for session in {*self._by_nonce.values()}:
            session.tick(self.now)
        self._on(self.client.tick(self.now))
        self._at(self.now + TICK, self._tick)

    def _turn(self) -> None:
        """After anything: the handler takes, and both sides write what is due."""
        if self.server is not None:
            self._take(self.server)
        for line in list(self._lines):
            self._serve(line)
        for line in list(self._lines):
            if not line.cut:
                for out in self.client.transmit(line.link, self.now):
                    self._write(line, out)
        if self.client.deadline < self.now + TICK:
            self._at(max(self.client.deadline, self.now + 0.001), lambda: None)

    def _take(self, session: ServerSession) -> None:
        try:
            while (message := session.receive_nowait()) is not EMPTY:
                self.handled.append(message)
        except ChannelClosed:
            pass

    # The client

    def _attach(self) -> None:
        if any(not line.cut for line in self._lines) or self.client.ending is not None:
            return
        self.attaches += 1
        transport = self._random.choice(list(self.carriers))
        link = self.client.attach(transport, f"nonce-{self._random.getrandbits(128):032x}")
        self._lines.append(_Line(link, transport))

    def _on(self, events: Sequence[Event]) -> None:
        self.events += events
        for event in events:
            match event:
                case Messages():
                    self.received += event.messages
                case LinkDropped():
                    for line in self._lines:
                        if line.link is event.link:
                            self._cut(line, noticed=True)
                case _:
                    pass

    def _handle_input(self, line: _Line, report: Input) -> None:
        if not line.cut:
            self._on(self.client.handle_input(line.link, report, self.now))

    def _write(self, line: _Line, out: Output) -> None:
        if self._chance(self.faults.cut):
            self._lose(line)
        elif line.transport is TransportKind.WEBSOCKET:
            line.up_at = max(line.up_at, self.now + self._delay())
            for encoded in out.frames:
                self._at(line.up_at, partial(self._frame, line, encoded))
        else:
            assert out.request is not None
            self._request(line, out.request, list(out.frames))

    def _request(self, line: _Line, of: Request, frames: list[EncodedFrame]) -> None:
        answered = False

        def answer(status: int, text: str) -> None:
            nonlocal answered
            if not answered:
                answered = True
                self._handle_input(line, Answer(of, status, text))

        def reply(status: int, text: str) -> None:
            if not self._chance(self.faults.lose):
                self._at(self.now + self._delay(), lambda: answer(status, text))

        for _ in range(1 + self._chance(self.faults.repeat)):
            if not self._chance(self.faults.lose):
                arrive = partial(self._arrives, line, of, frames, reply)
                self._at(self.now + self._delay(), arrive)
        limit = ANSWER_WITHIN + (self.limits.poll_hold if of is Request.POLL else 0)
        if of is not Request.OPEN or line.transport is TransportKind.LONGPOLL:
            self._at(self.now + limit, lambda: answer(0, ""))
        else:
            self._at(self.now + limit, lambda: self._give_up(line))

    def _give_up(self, line: _Line) -> None:
        if line.attachment is None:
            self._lose(line)

    def _lose(self, line: _Line) -> None:
        """A cut that the client notices."""
        self._on(self.client.handle_input(line.link, ConnectionLost("cut"), self.now))
        self._cut(line, noticed=not self._chance(self.faults.unnoticed))

    def _cut(self, line: _Line, *, noticed: bool) -> None:
        if not line.cut:
            line.cut = True
            self._at(self.now + self._random.uniform(0, AWAY), self._attach)
        if noticed:
            if line.session is not None and line.attachment is not None:
                line.session.attachments.detach(line.attachment)
            self._drop(line)

    def _drop(self, line: _Line) -> None:
        if line in self._lines:
            self._lines.remove(line)

    # The server

    def _frame(self, line: _Line, encoded: EncodedFrame) -> None:
        """A WebSocket message arrives."""
        if line.cut:
            return
        try:
            frame = self._decoder.decode(encoded)
            if isinstance(frame, Open):
                self._open(line, frame)
                return
            session, attachment = line.session, line.attachment
            if session is not None and attachment is not None and attachment.code is None:
                replies = session.receive(attachment, frame, self.now)
                session.reply(attachment, replies)
        except ProtocolError as error:
            self._fail(line, error)

    def _fail(self, line: _Line, error: ProtocolError) -> None:
        if line.session is not None and line.attachment is not None:
            line.session.fail(line.attachment, error)
        else:
            self._down(line, FrameReceived(encode_control(error_frame(error))))

    def _arrives(
        self,
        line: _Line,
        of: Request,
        frames: list[EncodedFrame],
        reply: Callable[[int, str], None],
    ) -> None:
        """A request arrives, perhaps late, perhaps again, perhaps of a connection that is gone."""
        try:
            first, *rest = map(self._decoder.decode, frames)
            match first:
                case Open():
                    self._open(line, first)
                    if line.transport is TransportKind.LONGPOLL and line.attachment is not None:
                        assert line.session is not None
                        reply(
                            200,
                            _lines(line.session.downlink.answer_poll(line.attachment, self.now)),
                        )
                case Send():
                    post = Post(first, rest, self._find(first), self.now)
                    if post.take(self.now) is not None:
                        raise ProtocolError(codes.BAD_FRAME, "a pair has no credentials")
                    self._take(self._find(first))
                    reply(200, _lines(post.answer()))
                case Poll():
                    session = self._find(first)
                    self._park(line, session, find_poll(first, session), first, reply)
                case _:
                    raise AssertionError(first)
        except ProtocolError as error:
            reply(error.code.status or 400, encode_control(error_frame(error)) + "\n")

    def _park(
        self,
        line: _Line,
        session: ServerSession,
        attachment: Attachment,
        frame: Poll,
        reply: Callable[[int, str], None],
    ) -> None:
        if not session.poll(attachment, frame, self.now):
            reply(200, "")
            return
        if line.poll is not None:
            line.poll("")
        line.poll = lambda text: reply(200, text)
        line.hold = self.now + self.limits.poll_hold

    def _find(self, frame: Send | Poll) -> ServerSession:
        return find_session(frame, self._by_token.get(frame.session), epoch=EPOCH)

    def _open(self, line: _Line, frame: Open) -> None:
        check_version(frame)
        named = self._by_token.get(frame.session) if isinstance(frame.session, str) else None
        reset: Reset | None = None
        match resume(frame, Found(named) if named is not None else None, epoch=EPOCH):
            case Attach(session):
                line.attachment = attach(session, frame, line.transport, self.now, epoch=EPOCH)
                line.session = session
                return
            case SendClose(close):
                self._down(line, FrameReceived(encode_control(close)))
                return
            case Refuse(error):
                raise error
            case Begin(reset):
                pass
            case Replace(session, reset):
                session.reset(reset.reason)
        self._begin(line, frame, reset)

    def _begin(self, line: _Line, frame: Open, reset: Reset | None) -> None:
        begun = self._by_nonce.get(frame.nonce)
        decision = begin(Found(begun, issued=begun is not None))
        match decision:
            case Attach(session):
                pass
            case Create():
                session = ServerSession(f"s{len(self._by_nonce) + 1}", self.limits, self.now)
                self._by_nonce[frame.nonce] = self.server = session
            case SendClose(close):
                self._down(line, FrameReceived(encode_control(close)))
                return
            case Refuse(error):
                raise error
            case _:
                assert_never(decision)
        token = f"{session.id}.{len(self._by_token)}"
        self._by_token[token] = session
        line.attachment = attach(
            session, frame, line.transport, self.now, epoch=EPOCH, token=token, reset=reset
        )
        line.session = session

    def _serve(self, line: _Line) -> None:
        """The server writes what is due on a connection."""
        session, attachment = line.session, line.attachment
        if session is None or attachment is None:
            return
        due = session.downlink.is_due(attachment, self.now)
        if line.transport is TransportKind.LONGPOLL:
            if line.poll is not None and (due or self.now >= line.hold):
                poll, line.poll = line.poll, None
                poll(_lines(session.downlink.answer_poll(attachment, self.now)))
        elif due:
            for encoded in session.downlink.transmit(attachment, self.now):
                self._down(line, FrameReceived(encoded))
        if attachment.code is not None:
            line.session = line.attachment = None
            if line.transport is not TransportKind.LONGPOLL:
                self._down(line, ConnectionLost("ended"))
            if line.cut:
                self._drop(line)

    def _down(self, line: _Line, report: Input) -> None:
        if line.cut:
            return
        if self._chance(self.faults.cut):
            self._lose(line)
            return
        line.down_at = max(line.down_at, self.now + self._delay())
        self._at(line.down_at, lambda: self._handle_input(line, report))


def _lines(frames: Sequence[EncodedFrame]) -> str:
    return "".join(f"{encoded!s}\n" for encoded in frames)
