"""`Pair`: both halves of a session, over a link that loses, repeats, delays, reorders and cuts.

A pair is a simulation in one thread. The client's end is here: it attaches, writes what the client
session has due, and attaches again after each cut. The server's end is a `PairServer`. Between them
is a `LossyLink`, which has the clock and decides by chance, from one seed, when something arrives
and whether it does.

`Pair.run` advances the clock from one event to the next. After each event, the server's handler
takes what has arrived, and both ends write what is due. Two invariants make it useful:

- The same seed and the same calls give the same run.
- Without faults, everything that was sent arrives and is acknowledged: `settle` waits for that.
  After that nothing more happens, save what keeps a connection alive: `check_rest` checks that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from transport.errors import ChannelClosed
from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    ConnectionLost,
    Event,
    Input,
    LinkDropped,
    Messages,
    Output,
    Request,
)
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import encode_message
from transport.protocol.frames import EncodedFrame, Json, TransportKind
from transport.protocol.server.session import ServerSession
from transport.testing.faults import NO_FAULTS, Faults
from transport.testing.lossy_link import LossyLink
from transport.testing.pair_server import PairConnection, PairServer
from transport.testing.rest import SessionMarks, unsettled

ANSWER_TIMEOUT = 10.0
"""Seconds after which the client considers a request lost."""
MAX_ABSENCE = 0.2
"""The maximum delay until a client attaches again after a cut, in seconds."""
TICK = 0.25
"""Seconds between checks of the deadlines of both ends."""
MIN_STEP = 0.001
"""The smallest step of the clock to a deadline of the client, in seconds."""
MAX_WRITES_AT_REST = 8
"""Writes of both ends in a heartbeat in which nothing happens: a ping and the POST of its pong, or
a poll, with their answers; and perhaps a stream that is replaced."""


class Pair:
    """A client session and a server session, the link between them, and a clock of their own.

    All randomness comes from ``seed``, and nothing sleeps: `run` advances the clock.

    Args:
        seed: of everything that the link does by chance.
        faults: the faults that the link injects.
        transports: the kinds of connection; each attach takes one of them at random.
        limits: of the server.

    Attributes:
        now: seconds since the pair was made.
        faults: the faults to inject from now on; may be replaced at any time.
        client: the client session.
        server: the server session; None before the first attach.
        handled: the messages that the server's handler has received.
        received: the messages that the client has received.
        events: every event of the client session.
        attaches: how often the client has attached.
    """

    def __init__(
        self,
        seed: int,
        *,
        faults: Faults = Faults(),
        transports: Sequence[TransportKind] = tuple(TransportKind),
        limits: Limits = Limits(),
    ) -> None:
        self.transports = transports
        self.limits = limits
        self.client = ClientSession(f"client-{seed:016d}", Terms.of(limits))
        self.received: list[Json] = []
        self.events: list[Event] = []
        self.attaches = 0
        self._link = LossyLink(seed, faults)
        self._server = PairServer(limits, self._write_to_client)
        self._connections: list[PairConnection] = []
        """The connections that at least one end considers open."""
        self._writes = 0
        """How often either end has written."""
        self._link.call_at(0.0, self._attach)
        self._link.call_at(TICK, self._tick)

    @property
    def now(self) -> float:
        return self._link.now

    @property
    def faults(self) -> Faults:
        return self._link.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._link.faults = faults

    @property
    def server(self) -> ServerSession | None:
        return self._server.session

    @property
    def handled(self) -> list[Json]:
        return self._server.handled

    # What a test does

    def send(self, message: Json) -> int:
        """Send a message from the client. Return the number of the send."""
        return self.client.send(encode_message(message, self.client.terms))

    def reply(self, message: Json) -> int:
        """Send a message from the server's handler. There must be room in the send window.

        Raises:
            ChannelClosed: the session has not begun, or has ended.
        """
        if self.server is None:
            raise ChannelClosed(1000, "no session yet")
        return self.server.send(encode_message(message, self.limits))

    def run(self, seconds: float) -> None:
        """Advance the clock by ``seconds``, and run everything that comes due."""
        self._flush()
        self._link.run(self.now + seconds, self._flush)

    def settle(self, within: float = 120.0) -> None:
        """Stop injecting faults, and run until nothing is `unsettled`.

        Raises:
            TimeoutError: that took more than ``within`` seconds.
        """
        self.faults = NO_FAULTS
        until = self.now + within
        while left := self.unsettled():
            if self.now >= until:
                raise TimeoutError(f"the pair did not settle in {within} s: {'; '.join(left)}")
            self.run(TICK)

    def unsettled(self) -> list[str]:
        """Return what is left to do, in words; empty once both ends are at rest.

        At rest, each end has what the other has sent and knows that the other has it, the handler
        has finished with every message, and no deadline is overdue. A channel that has ended is at
        rest once the server's session has ended, too.
        """
        server = self.server
        if self.client.ending is not None:
            is_over = server is None or server.ending is not None
            return [] if is_over else ["the server's session has not ended"]
        if server is None:
            return ["no session has begun"]
        return list(unsettled(SessionMarks.of(self.client), server, self.now))

    def check_rest(self, seconds: float = 60.0) -> None:
        """Run for ``seconds``, and check that both ends stay at rest; call `settle` first.

        Nothing may become unsettled, and nothing be written but heartbeats and polls.

        Raises:
            AssertionError: something was.
        """
        before = self._writes
        self.run(seconds)
        left, writes = self.unsettled(), self._writes - before
        assert not left, "; ".join(left)
        most = MAX_WRITES_AT_REST * (1 + seconds / self.limits.heartbeat)
        assert writes <= most, f"the ends wrote {writes} times in {seconds} s, with nothing to do"

    # Time

    def _tick(self) -> None:
        self._server.tick(self.now)
        self._handle_events(self.client.tick(self.now))
        self._link.call_at(self.now + TICK, self._tick)

    def _flush(self) -> None:
        """After each event, let the handler take its messages, and both ends write what is due."""
        self._server.run_handler()
        for connection in list(self._connections):
            ended = self._server.flush(connection, self.now)
            if ended and connection.is_cut:
                self._remove(connection)
        for connection in list(self._connections):
            if not connection.is_cut:
                for output in self.client.transmit(connection.link, self.now):
                    self._write_to_server(connection, output)
        if self.client.deadline < self.now + TICK:
            self._link.call_at(max(self.client.deadline, self.now + MIN_STEP), _do_nothing)

    # The client

    def _attach(self) -> None:
        has_connection = any(not one.is_cut for one in self._connections)
        if has_connection or self.client.ending is not None:
            return
        self.attaches += 1
        transport = self._link.choose(self.transports)
        link = self.client.attach(transport, f"nonce-{self._link.nonce()}")
        self._connections.append(PairConnection(link))

    def _handle_input(self, connection: PairConnection, report: Input) -> None:
        if not connection.is_cut:
            self._handle_events(self.client.handle_input(connection.link, report, self.now))

    def _handle_events(self, events: Sequence[Event]) -> None:
        self.events += events
        for event in events:
            match event:
                case Messages():
                    self.received += event.messages
                case LinkDropped():
                    for connection in self._connections:
                        if connection.link is event.link:
                            self._cut(connection, noticed=True)
                case _:
                    pass

    # What each end writes

    def _write_to_server(self, connection: PairConnection, output: Output) -> None:
        self._writes += 1
        if self._link.cuts():
            self._lose(connection)
        elif connection.transport is TransportKind.WEBSOCKET:
            arrival = self._link.arrival(connection.up)
            for encoded in output.frames:
                self._link.call_at(arrival, partial(self._frame_arrives, connection, encoded))
        else:
            assert output.request is not None
            self._send_request(connection, output.request, list(output.frames))

    def _write_to_client(self, connection: PairConnection, report: Input) -> None:
        self._writes += 1
        if connection.is_cut:
            return
        if self._link.cuts():
            self._lose(connection)
            return
        arrival = self._link.arrival(connection.down)
        self._link.call_at(arrival, lambda: self._handle_input(connection, report))

    def _frame_arrives(self, connection: PairConnection, encoded: EncodedFrame) -> None:
        if not connection.is_cut:
            self._server.receive_frame(connection, encoded, self.now)

    def _send_request(
        self, connection: PairConnection, request: Request, frames: list[EncodedFrame]
    ) -> None:
        """Send a request, and report the first answer of any of its copies, or the timeout."""
        is_answered = False

        def answer(status: int, text: str) -> None:
            nonlocal is_answered
            if not is_answered:
                is_answered = True
                self._handle_input(connection, Answer(request, status, text))

        def respond(status: int, text: str) -> None:
            self._writes += 1
            self._link.send_once(lambda: answer(status, text))

        def arrive() -> None:
            self._server.receive_request(connection, frames, respond, self.now)

        self._link.send_request(arrive)
        timeout = ANSWER_TIMEOUT + (self.limits.poll_hold if request is Request.POLL else 0)
        if request is not Request.OPEN or connection.transport is TransportKind.LONGPOLL:
            self._link.call_at(self.now + timeout, lambda: answer(0, ""))
        else:
            self._link.call_at(self.now + timeout, lambda: self._give_up(connection))

    # Cuts

    def _give_up(self, connection: PairConnection) -> None:
        """Give up an event stream that has not opened in time."""
        if connection.attachment is None:
            self._lose(connection)

    def _lose(self, connection: PairConnection) -> None:
        """Cut a connection, so that the client notices, and perhaps the server."""
        self._handle_events(
            self.client.handle_input(connection.link, ConnectionLost("cut"), self.now)
        )
        self._cut(connection, noticed=not self._link.hides_cut())

    def _cut(self, connection: PairConnection, *, noticed: bool) -> None:
        if not connection.is_cut:
            connection.is_cut = True
            self._link.call_at(self.now + self._link.pause(MAX_ABSENCE), self._attach)
        if noticed:
            self._server.connection_lost(connection)
            self._remove(connection)

    def _remove(self, connection: PairConnection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)


def _do_nothing() -> None:
    """Do nothing: an event at which the clock stops, so that both ends write what is due."""
