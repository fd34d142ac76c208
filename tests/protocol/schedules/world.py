"""The two cores, and between them a link that loses, repeats, delays, reorders and cuts; beside
them a model of two lists for each session: what its handler sent, and what it took.

Every step can be made in every situation, and does nothing where there is nothing for it to do: so
any list of steps is a schedule, and what is left of one when steps are taken out of it is one too.

What must hold, whatever happens:

- a client gets what the handler sent, once and in order, without a gap (NUM-3, NUM-4, RES-1);
- the handler takes what clients sent, once and in order;
- a send is settled as handled only if the handler finished with it, as not handled only if it never
  took it, then or later, and as unknown only where that is all that can be known (RES-3, CLS-3);
- what a reset calls lost is what was sent and did not arrive (RES-2);
- no mark on the wire is above what its sender holds, or has finished with (MRK-1 to MRK-3);
- only the newest attach carries what a client sends, and none that is older is served (ATT-3 to
  ATT-7); a resume brings what the other side does not have, in order, and nothing else (RES-1);
- neither side ever finds fault with the other's frames;
- when the link heals, all that lives comes to rest with nothing unacknowledged.
"""

from __future__ import annotations

import copy
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, assert_never

from tests.protocol.bench import Bench
from tests.protocol.vector_forms import from_wire
from tests.protocol.vector_forms import to_body as lines
from transport.errors import ChannelClosed, Fate
from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    Attached,
    Closed,
    ConnectionLost,
    Event,
    FrameReceived,
    Input,
    LinkDropped,
    Messages,
    Rejected,
    RenewalRequested,
    Request,
    Settled,
    Superseded,
    WasReset,
)
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import encode_message
from transport.protocol.frames import EncodedFrame, ResetReason, TransportKind
from transport.protocol.server.session import EMPTY, ServerSession
from transport.protocol.states import AttachmentState, State

LIMITS = Limits(window_messages=8, batch=7, message=64, depth=8)
LENIENT = Terms.of(Limits())
"""By which a client checks what it sends, as one does that has not met this server yet."""
WAIT = 20
"""Messages that a client keeps at most: more than the window."""
LARGE = 100
"""Characters of a message that this server refuses (DAT-4)."""
NAMES = {
    TransportKind.WEBSOCKET: "websocket",
    TransportKind.SSE: "sse",
    TransportKind.LONGPOLL: "poll",
}
TRANSPORTS = list(TransportKind)

STEPS: dict[str, tuple[tuple[int, int], ...]] = {
    "open": ((0, 11), (0, 2)),
    "come_back": ((0, 2),),
    "send": ((0, 11), (1, 4)),
    "send_large": ((0, 11),),
    "clone": ((0, 11),),
    "contest": ((0, 11), (0, 2)),
    "client_closes": ((0, 11),),
    "handler_takes": ((0, 11), (1, 4)),
    "handler_sends": ((0, 11), (1, 4)),
    "handler_ends": ((0, 11), (0, 1)),
    "server_resets": ((0, 11),),
    "server_drains": ((0, 11),),
    "server_restarts": ((0, 11),),
    "up": ((0, 11), (1, 6)),
    "down": ((0, 11), (1, 6)),
    "flow": ((1, 3),),
    "converse": ((0, 11), (1, 4), (1, 2)),
    "request_arrives": ((0, 11), (0, 1)),
    "request_is_lost": ((0, 11),),
    "client_stops_waiting": ((0, 11),),
    "cut": ((0, 11), (0, 1), (0, 1)),
    "time_passes": ((0, 4),),
    "everything_sleeps": ((0, 11),),
}
"""Each step, and the bounds of its arguments: methods of `World`."""

FAULTS = ("gap", "bad_frame", "bad_json", "bad_number", "window_exceeded")
"""Codes that neither core ever gives the other cause for."""


@dataclass(eq=False)
class Connection:
    """A client's connection, and what is on its way on it."""

    name: str
    link: Link
    up: deque[Any] = field(default_factory=deque)
    down: deque[Input] = field(default_factory=deque)
    half_open: bool = False
    """Whether nothing passes any more, though the client does not know."""
    written: bool = False
    """Whether the server has written on it."""
    confirmed: bool = False
    """Whether the client has written anything on it but its ``open``."""
    taken: int | None = None
    """The uplink mark of its ``opened``, until data is written."""
    reads: int | None = None
    """The downlink number that was written on it last."""


@dataclass(eq=False)
class Sent:
    """A request on its way; it may arrive late, and twice."""

    of: Request
    frames: list[Any]
    connection: Connection
    waiting: bool = True
    """Whether the client still waits for the answer."""
    copies: int = 0


@dataclass(eq=False)
class Client:
    """One client instance, and what its application knows."""

    core: ClientSession
    connections: list[Connection] = field(default_factory=list)
    session: str = ""
    received: int = 0
    """Of `session`."""
    sends: dict[int, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    """The reverse of `sends`."""
    taken: dict[str, int] = field(default_factory=dict)
    """The last of its sends that the handler of each session took."""
    wire: dict[tuple[str, int], str] = field(default_factory=dict)
    """What it wrote under each number of a session."""
    fates: dict[int, Fate | None] = field(default_factory=dict)
    """None: it was too large."""
    confirmed: int = 0
    """The newest attach on which it has written more than ``open``, in this session."""
    over: bool = False
    nonces: int = 0


@dataclass(eq=False)
class Handled:
    """What the handler of one session did."""

    sent: int = 0
    in_hand: str | None = None
    finished: int = 0
    skips: set[int] = field(default_factory=set)
    """Numbers in whose place a ``skip`` was sent."""
    closed_at: float = 0.0
    confirmed: int = 0
    """The newest attach that the server has seen confirmed."""


class World:
    """Up to three clients, the first of which opens; the others are clones of it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.bench = Bench(LIMITS)
        self.clients: list[Client] = []
        self.connections: dict[str, Connection] = {}
        """By the names that the server knows."""
        self.requests: list[Sent] = []
        self.polls: dict[str, Sent] = {}
        self.ids: dict[str, str] = {}
        """Of the session that each of them was opened to."""
        self.opens: dict[str, Any] = {}
        """The ``open`` of each."""
        self.model: dict[str, Handled] = {}
        self.confirmed: set[tuple[str, int]] = set()
        """Attaches on which a client has written more than ``open``."""
        self.newest: dict[tuple[str, int], tuple[int, str]] = {}
        """The newest poll of each attach that has come."""
        self.taken: set[str] = set()
        self.finished: set[str] = set()
        self.count = 0

    def begin(self, transport: int) -> None:
        """The first step: all is well, or two opens race."""
        self.clients.append(Client(self.new_core("client-0-0123456789")))
        self.open(0, transport % 3)
        if transport < 3:
            self.flow(3)
        else:
            self.open(0, (transport + 1) % 3)

    def new_core(self, name: str) -> ClientSession:
        return ClientSession(name, Terms.of(LIMITS))

    # Clients

    @property
    def living(self) -> list[Client]:
        return [client for client in self.clients if not client.over]

    def open(self, pick: int, transport: int) -> None:
        """Also beside another connection: opens that race."""
        living = self.living
        if living and len((client := living[pick % len(living)]).connections) <= 2:
            self.attach(client, TRANSPORTS[transport])

    def come_back(self, transport: int) -> None:
        """A client that has no connection opens one, and is answered."""
        for client in self.living:
            if not client.connections and not client.over:
                self.attach(client, TRANSPORTS[transport])
                self.flow(2)

    def attach(self, client: Client, transport: TransportKind) -> None:
        client.nonces += 1
        index = self.clients.index(client)
        link = client.core.attach(transport, f"nonce-{index}-{client.nonces:04}-0123456789")
        connection = Connection(self.fresh("c"), link)
        client.connections.append(connection)
        if transport is TransportKind.WEBSOCKET:
            self.connect(connection)
        self.pump(client)

    def send(self, pick: int, count: int) -> None:
        """Also more than the window holds: they wait."""
        if living := self.living:
            client = living[pick % len(living)]
            for _ in range(count):
                if (
                    client.core.ending is None
                    and client.core.outbox.buffer.last < client.core.outbox.buffer.acked + WAIT
                ):
                    self.say(client, self.fresh("m"))
            self.pump(client)

    def send_large(self, pick: int) -> None:
        """A message of more than the server takes: it was checked against other terms."""
        if living := self.living:
            client = living[pick % len(living)]
            if client.core.ending is None:
                self.say(client, self.fresh("m") + LARGE * "x")
                self.pump(client)

    def say(self, client: Client, message: str) -> None:
        send = client.core.send(encode_message(message, LENIENT))
        client.sends[send], client.numbers[message] = message, send

    def clone(self, pick: int) -> None:
        """A tab is duplicated, and with it the token and the marks."""
        one = self.clients[pick % len(self.clients)]
        core = one.core
        if (
            one.over
            or len(self.clients) > 2
            or core.ending is not None
            or core.outbox.buffer.last > core.outbox.buffer.sent
            or not one.session
        ):
            return
        connections, links = one.connections, core._links
        one.connections, core._links = [], []
        twin = copy.deepcopy(one)
        one.connections, core._links = connections, links
        twin.core.handshake.client = f"client-{len(self.clients)}-0123456789"
        twin.core._confirmed = twin.confirmed = 0
        self.clients.append(twin)

    def contest(self, pick: int, transport: int) -> None:
        """Another client opens, and while its confirmation is on the way the session moves on."""
        self.clone(pick)
        *holders, other = self.living or self.clients
        if not holders or len(other.connections) > 2:
            return
        self.attach(other, TRANSPORTS[transport])
        one = other.connections[-1]
        for sent in [sent for sent in self.requests if sent.connection is one]:
            self.arrive(sent, again=False)
        while one.up:
            self.frame_arrives(one)
        while one.down and one in self.standing:
            self.handle_input(one, one.down.popleft())
        if pick % 4 == 3:
            holders[0].core.close(1000, "")
            self.pump(holders[0])
        elif pick % 2:
            self.send(pick % len(holders), 1)
        self.handler_sends(pick, 2)
        self.flow(2, but=other)

    def client_closes(self, pick: int) -> None:
        client = self.clients[pick % len(self.clients)]
        if pick < 2 and not client.over and client.core.has_begun:
            client.core.close(1000, "")
            self.pump(client)

    # The server

    @property
    def sessions(self) -> list[ServerSession]:
        return [
            session
            for session in self.bench.sessions
            if session.state is State.OPEN or session.state is State.PEER_CLOSED
        ]

    def handler_takes(self, pick: int, count: int) -> None:
        if sessions := self.sessions:
            session = sessions[pick % len(sessions)]
            for _ in range(count):
                if not self.take(session):
                    break
            self.serve({"tick": True})

    def take(self, session: ServerSession) -> bool:
        """As a handler does that returns when its iteration ends; whether there was a message."""
        did = self.did(session)
        self.finish(did)
        try:
            message = session.receive_nowait()
        except ChannelClosed:
            self.close(session, failed=False)
            return False
        if message is EMPTY:
            return False
        assert isinstance(message, str)
        self.check_taken(session, message)
        did.in_hand = message
        self.taken.add(message)
        return True

    def finish(self, did: Handled) -> None:
        """The handler has finished with what it has in its hand."""
        if did.in_hand is not None:
            did.finished += 1
            self.finished.add(did.in_hand)
            did.in_hand = None

    def handler_sends(self, pick: int, count: int) -> None:
        if sessions := self.sessions:
            session = sessions[pick % len(sessions)]
            did = self.did(session)
            for _ in range(count):
                if session.outgoing.has_room(20):
                    did.sent += 1
                    message = f"{session.id}:{did.sent}"
                    session.send(encode_message(message, LIMITS))
            self.serve({"tick": True})

    def handler_ends(self, pick: int, failed: int) -> None:
        sessions = self.sessions
        if pick < 1 and sessions:
            session = sessions[0]
            self.close(session, failed=bool(failed))
            self.serve({"tick": True})

    def close(self, session: ServerSession, *, failed: bool) -> None:
        """The handler returns, or fails."""
        did = self.did(session)
        if not failed:
            self.finish(did)
        did.closed_at = self.now
        by: Any = "protocol" if failed else "app"
        session.close(1011 if failed else 1000, "", by, self.now, failed=failed)

    def server_resets(self, pick: int) -> None:
        if pick < 1 and self.sessions:
            self.sessions[0].reset(ResetReason.OVERFLOW)
            self.serve({"tick": True})

    def server_drains(self, pick: int) -> None:
        if pick < 1 and self.sessions:
            self.sessions[0].drain(1.0)
            self.serve({"tick": True})

    def server_restarts(self, pick: int) -> None:
        """The process, and with it all that it knew (EPO-1)."""
        if pick < 1:
            names = list(self.bench.connections)
            self.bench.restart()
            for name in names:
                if (poll := self.polls.pop(name, None)) is not None:
                    self.answer(poll, Answer(Request.POLL, 0))
                elif (connection := self.connections.get(name)) is not None:
                    connection.down.append(ConnectionLost("gone"))

    def began_unseen(self, client: Client) -> bool:
        """Return whether the client's last nonce began a session whose ``opened`` it never got.

        If that session was closed, a repeated ``open`` is answered by its ``close`` (OPN-4, CLS-5).
        The client takes that for the close of the session that it had before, of which it is told
        nothing: what it says of that session's messages is then not checked.
        """
        begun = [
            session_id
            for (_, name), (session_id, _) in self.bench.directory.nonces.items()
            if name.startswith(f"{client.core.handshake.client} ")
        ]
        return bool(begun) and begun[-1] != client.session

    def did(self, session: ServerSession) -> Handled:
        return self.model.setdefault(session.id, Handled())

    # The link

    @property
    def standing(self) -> list[Connection]:
        return [connection for client in self.clients for connection in client.connections]

    def up(self, pick: int, count: int) -> None:
        """Frames arrive on a WebSocket."""
        if waiting := [one for one in self.connections.values() if one.up]:
            connection = waiting[pick % len(waiting)]
            for _ in range(count):
                if connection.up:
                    self.frame_arrives(connection)

    def frame_arrives(self, connection: Connection) -> None:
        frame = connection.up.popleft()
        stands = self.bench.connections.get(connection.name)
        if stands is not None:
            session, attachment = stands.session, stands.attachment
            self.serve({"receive": frame, "on": connection.name})
            if session and attachment and attachment.state is AttachmentState.CONFIRMED:
                self.is_confirmed(session, attachment.number)

    def is_confirmed(self, session: ServerSession, attach: int) -> None:
        did = self.did(session)
        did.confirmed = max(did.confirmed, attach)

    def down(self, pick: int, count: int) -> None:
        """Frames arrive at a client."""
        if waiting := [one for one in self.standing if one.down and not one.half_open]:
            connection = waiting[pick % len(waiting)]
            for _ in range(count):
                if connection.down and connection in self.standing:
                    self.handle_input(connection, connection.down.popleft())

    def flow(self, rounds: int, but: Client | None = None) -> None:
        """For a while nothing goes wrong: or hardly anything would ever be under way."""
        for _ in range(rounds):
            waits = but.connections if but is not None else []
            for sent in list(self.requests):
                if sent in self.requests and sent.connection not in waits:
                    self.arrive(sent, again=False)
            for one in list(self.connections.values()):
                while one.up and one not in waits:
                    self.frame_arrives(one)
            for one in [one for one in self.standing if one not in waits]:
                while one.down and not one.half_open and one in self.standing:
                    self.handle_input(one, one.down.popleft())

    def converse(self, pick: int, count: int, rounds: int) -> None:
        """Both sides speak, the handler takes."""
        self.send(pick, count)
        self.flow(rounds)
        self.handler_takes(pick, count)
        self.handler_sends(pick, count)

    def request_arrives(self, pick: int, again: int) -> None:
        """Any of those on the way, in whatever order; ``again``: it will arrive once more."""
        if self.requests:
            self.arrive(self.requests[pick % len(self.requests)], again=bool(again))

    def request_is_lost(self, pick: int) -> None:
        if self.requests:
            self.give_up(self.requests.pop(pick % len(self.requests)), pick)

    def client_stops_waiting(self, pick: int) -> None:
        """Its time is over; the request, or its answer, may be under way still."""
        if waiting := [one for one in self.requests if one.waiting]:
            self.give_up(waiting[pick % len(waiting)], pick)

    def cut(self, pick: int, client: int, server: int) -> None:
        """A connection breaks: either side notices, or both, or none."""
        if standing := self.standing:
            connection = standing[pick % len(standing)]
            connection.half_open = True
            connection.up.clear()
            if server and connection.name in self.bench.connections:
                self.serve({"lose": connection.name})
            if client:
                self.handle_input(connection, ConnectionLost("cut"))

    def time_passes(self, step: int) -> None:
        self.sleep((0.05, 0.15, 1.0, 10.0, 25.0)[step])

    def everything_sleeps(self, pick: int) -> None:
        """So long that sessions expire."""
        if pick < 1:
            self.sleep(LIMITS.ttl + 1)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.serve({"tick": True})
        for client in self.living:
            self.note(client, client.core.tick(self.now))
            self.pump(client)

    # What these do

    def fresh(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def connect(self, connection: Connection) -> None:
        self.connections[connection.name] = connection
        self.serve({"connect": connection.name, "carrier": NAMES[connection.link.transport]})

    def serve(self, step: dict[str, Any]) -> Any:
        """The server acts; what it writes is on its way."""
        if (frame := step.get("receive")).__class__ is dict and frame["type"] == "open":
            self.opens[step["on"]] = frame
        result = self.bench.run(step, self.now)
        self.check_served()
        ended = result.get("ended", {})
        for name, frames in result.get("writes", {}).items():
            self.check_writes(name, frames)
            if (poll := self.polls.pop(name, None)) is not None:
                refused = bool(frames) and frames[0].__class__ is dict and name in ended
                bad = refused and frames[0]["type"] == "error"
                self.answer(poll, Answer(Request.POLL, 400 if bad else 200, lines(frames)))
            elif (connection := self.connections.get(name)) is not None:
                self.write(connection, frames, over=name in ended)
        for name in ended:
            connection = self.connections.get(name)
            if connection is not None and connection.link.transport is TransportKind.WEBSOCKET:
                connection.down.append(ConnectionLost("ended", 1000))
            elif connection is not None and connection.link.transport is TransportKind.SSE:
                connection.down.append(Answer(Request.OPEN, 200))
        return result.get("answer")

    def write(self, connection: Connection, frames: list[Any], *, over: bool) -> None:
        transport = connection.link.transport
        first, connection.written = not connection.written, True
        bad = first and over and frames[0].__class__ is dict and frames[0]["type"] == "error"
        if transport is TransportKind.LONGPOLL or (transport is TransportKind.SSE and bad):
            body = lines(frames)
            connection.down.append(Answer(Request.OPEN, 400 if bad else 200, body))
        else:
            connection.down += [FrameReceived(_wire(frame)) for frame in frames]

    def pump(self, client: Client) -> None:
        """All that the client has to write is on its way."""
        for connection in list(client.connections):
            for out in client.core.transmit(connection.link, self.now):
                frames = [from_wire(wire) for wire in out.frames]
                if out.request is not Request.OPEN:
                    self.check_written(client, connection, frames)
                if connection.link.transport is TransportKind.WEBSOCKET:
                    if not connection.half_open:
                        connection.up += frames
                else:
                    assert out.request is not None
                    assert out.request is Request.OPEN or not any(
                        sent.waiting and sent.of is out.request and sent.connection is connection
                        for sent in self.requests
                        if not client.over  # only the last `close` goes beside another (SND-1)
                    )
                    self.requests.append(Sent(out.request, frames, connection))

    def arrive(self, sent: Sent, *, again: bool) -> None:
        sent.copies += 1
        if not again or sent.copies > 2:
            self.requests.remove(sent)
        connection = sent.connection
        match sent.of:
            case Request.OPEN:
                # A copy is a connection of its own, whose answer nobody reads.
                stands = sent.copies == 1 and sent.waiting
                name = connection.name if stands else self.fresh("x")
                if stands:
                    self.connections[name] = connection
                self.serve({"connect": name, "carrier": NAMES[connection.link.transport]})
                self.serve({"receive": sent.frames[0], "on": name})
            case Request.POST:
                session = self.find(sent.frames[0])
                answer = self.serve({"post": sent.frames})
                good = isinstance(answer, list)
                for frame in answer if good else [answer]:
                    self.check_frame(frame, self.did(session) if session else Handled())
                if good and session is not None:
                    self.is_confirmed(session, sent.frames[0]["attach"])
                text = lines(answer if good else [answer])
                self.answer(sent, Answer(Request.POST, 200 if good else 400, text))
            case Request.POLL:
                name = self.fresh("p")
                self.polls[name] = sent
                poll = sent.frames[0]
                attach = (poll["client"], poll["attach"])
                if poll["poll"] >= self.newest.get(attach, (0, ""))[0]:
                    self.newest[attach] = (poll["poll"], name)
                self.serve({"poll": sent.frames[0], "on": name})
            case _:
                assert_never(sent.of)

    def find(self, frame: Any) -> ServerSession | None:
        """The session that a request names."""
        return self.bench.directory.peek(frame.get("session", ""))

    def answer(self, sent: Sent, answer: Answer) -> None:
        if sent.waiting and not sent.connection.half_open:
            sent.waiting = False
            sent.connection.down.append(answer)

    def give_up(self, sent: Sent, pick: int) -> None:
        """There is no answer; or something between answers, which knows nothing of it."""
        if sent.waiting:
            sent.waiting = False
            if sent.connection in self.standing:
                page = Answer(sent.of, 502, "<html>") if pick % 4 == 3 else Answer(sent.of, 0)
                self.handle_input(sent.connection, page)

    def handle_input(self, connection: Connection, heard: Input) -> None:
        client = next(one for one in self.clients if connection in one.connections)
        stood = connection.link in client.core._links
        if isinstance(heard, ConnectionLost) and not stood:
            client.connections.remove(connection)
        taken = stood and 0 < client.confirmed < self.taken_by_another(client, heard)
        self.note(client, client.core.handle_input(connection.link, heard, self.now))
        assert client.over or not taken, "ATT-5: another client has the session"
        self.pump(client)

    def taken_by_another(self, client: Client, heard: Input) -> int:
        """The attach under which it says that another client has the session, or 0."""
        text = str(heard.frame) if isinstance(heard, FrameReceived) else getattr(heard, "text", "")
        if not text or '"superseded"' not in text:
            return 0
        frame = json.loads(text.split("\n")[0])
        if frame.__class__ is not dict or frame.get("client") in (
            None,
            client.core.handshake.client,
        ):
            return 0
        return int(frame["attach"])

    def note(self, client: Client, events: list[Event]) -> None:
        for event in events:
            self.told(client, event)
        client.connections = [
            one
            for one in client.connections
            # Its last word, perhaps.
            if one.link in client.core._links or (client.over and one.link.control)
        ]

    # What must hold: of the handler

    def check_taken(self, session: ServerSession, message: str) -> None:
        """Once, in order, and none that is said not to be handled."""
        assert message not in self.taken, "taken twice"
        for client in self.clients:
            if (send := client.numbers.get(message)) is not None:
                assert send > client.taken.get(session.id, 0), "out of order"
                client.taken[session.id] = send
                assert client.fates.get(send, Fate.UNKNOWN) is Fate.UNKNOWN, "taken nevertheless"

    # Of what the server writes

    def check_served(self) -> None:
        """One attach has a session; what is below it has ended (ATT-3, ATT-4)."""
        for session in self.bench.sessions:
            if (did := self.model.get(session.id)) is not None:
                for one in session.attachments.live:
                    least = did.confirmed + (one.state is AttachmentState.PROVISIONAL)
                    assert one.number >= least, "an attach that is superseded stands"

    def check_writes(self, name: str, frames: list[Any]) -> None:
        """What the server writes on a connection or as the answer to a poll."""
        connection, poll = self.connections.get(name), self.polls.get(name)
        held = None
        if poll is not None:
            asked = poll.frames[0]
            held = asked["ack"]
            newest = self.newest[asked["client"], asked["attach"]]
            assert frames or newest[1] != name, "POL-2: the newest is ended"
        for frame in frames:
            if frame.__class__ is dict and frame["type"] == "opened":
                self.ids[name] = frame["id"]
                if connection is not None:
                    resumed = frame["verdict"] == "resumed"
                    connection.reads = self.opens[name]["received"] if resumed else 0
                    connection.taken = frame["received"]
            asked = poll.frames[0] if poll is not None else {}
            if name not in self.ids and poll is None:  # `close`, in its place
                asked = self.opens[name]
            session = self.find(asked)
            session_id = session.id if session is not None else self.ids.get(name, "")
            did = self.model.setdefault(session_id, Handled())
            self.check_frame(frame, did)
            if frame.__class__ is list:
                seq, _, *messages = frame
                last = seq + len(messages) - 1
                assert messages == [f"{session_id}:{one}" for one in range(seq, last + 1)]
                if poll is None and connection is not None:
                    held, connection.reads = connection.reads, last
                if held is not None and seq != held + 1:
                    _, session = self.bench.directory.sessions[session_id]
                    assert seq > held, "RES-1: what was written already"
                    assert session.outgoing.acked >= seq - 1, "a gap"
                held = last

    def check_frame(self, frame: Any, did: Handled) -> None:
        """Its marks (MRK-3), and that the client is not found fault with."""
        if frame.__class__ is list:
            assert frame[1] <= did.finished + len(did.skips), "MRK-3: not handled yet"
            return
        mark = frame.get("ack", frame.get("handled"))
        if frame["type"] in ("ack", "opened") or (frame["type"] == "close" and mark):
            assert mark <= did.finished + len(did.skips), "MRK-3: not handled yet"
        if frame["type"] == "error":
            assert frame["code"] not in FAULTS, frame
            if frame["code"] == "superseded" and frame["attach"] > 1:
                confirmed = (frame["client"], frame["attach"])
                assert confirmed in self.confirmed, "ATT-3: superseded by what was not confirmed"

    # Of what a client writes

    def check_written(self, client: Client, connection: Connection, frames: list[Any]) -> None:
        """On the newest attach only (ATT-3), from where the server stands (RES-1), the same
        number for the same message (NUM-2), and marks of what is held (MRK-3)."""
        link = connection.link
        did = self.model.setdefault(client.session, Handled())
        for frame in frames:
            kind = "data" if frame.__class__ is list else frame["type"]
            if not connection.confirmed and kind in ("ack", "send", "poll"):
                connection.confirmed = True
                client.confirmed = max(client.confirmed, link.attach)
                self.confirmed.add((client.core.handshake.client, link.attach))
            ack = frame[1] if kind == "data" else frame.get("ack", 0)
            assert ack <= client.received, "MRK-3: it does not hold that"
            if kind == "skip":
                did.skips.add(frame["number"])
            if kind not in ("data", "skip"):
                continue
            assert connection.confirmed, "ATT-3: an attach is confirmed before it carries data"
            assert link.attach == client.confirmed, "ATT-3: not the newest attach"
            seq = frame[0] if kind == "data" else frame["number"]
            if connection.taken is not None:
                held, connection.taken = connection.taken, None
                acked = client.core.outbox.buffer.acked
                assert seq == held + 1 or held < seq <= acked + 1, "RES-1: not from the mark"
            if kind == "data":
                for number, message in enumerate(frame[2:], seq):
                    known = client.wire.setdefault((client.session, number), message)
                    assert known == message, "NUM-2: another message under its number"

    # Of what a client tells its page

    def told(self, client: Client, event: Event) -> None:
        match event:
            case Attached():
                if event.verdict.value == "new" and not client.session:  # else again, of a race
                    client.session, client.received = event.id, 0
                assert event.id == client.session
            case Messages():
                for message in event.messages:
                    client.received += 1
                    assert message == f"{client.session}:{client.received}"
            case Settled():
                self.settled(client, event)
            case Rejected():
                assert LARGE * "x" in client.sends[event.send]
                assert event.send not in client.fates
                client.fates[event.send] = None
            case WasReset():
                self.was_reset(client, event)
            case Closed():
                assert event.code in (1000, 1011, 4409), event
                if self.began_unseen(client):
                    for one in event.sends:
                        numbers = range(one.first, one.last + 1)
                        client.fates.update(dict.fromkeys(numbers, one.fate))
                else:
                    self.closed(client, event)
                client.over = True
                self.pump(client)
            case LinkDropped():
                assert event.reason not in FAULTS, event
                # What it has left may be under way for a while.
                for sent in self.requests:
                    sent.waiting = sent.waiting and sent.connection.link is not event.link
            case Superseded():
                assert len(self.clients) > 1
            case RenewalRequested():
                raise AssertionError(event)
            case _:
                assert_never(event)

    def closed(self, client: Client, event: Closed) -> None:
        for one in event.sends:
            self.settled(client, one, told=event.code != 4409)
        did = self.model.get(client.session, Handled())
        assert (
            event.clean
            or event.code == 4409
            or self.now >= did.closed_at + LIMITS.closing
            or len(self.clients) > 1  # another held it, and had everything
        ), "CLS-4: over before all has come"
        assert not event.clean or client.received == did.sent

    def was_reset(self, client: Client, event: WasReset) -> None:
        lives_on = event.reason is ResetReason.TRIMMED
        for one in event.sends:
            self.settled(client, one, told=event.handled is not None and not lives_on)
        if event.lost is not None:
            sent = self.model[client.session].sent
            lost = [client.received + 1, sent] if client.received < sent else []
            # Of one that lives on it is what was sent until then.
            assert event.lost == lost or (lives_on and event.lost[:1] in ([], lost[:1])), lost
        client.session = ""
        client.received = client.confirmed = 0

    def settled(self, client: Client, event: Settled, *, told: bool = False) -> None:
        """Whether it is true; ``told``: the server has said all that there is to know."""
        for send in range(event.first, event.last + 1):
            assert send not in client.fates, "settled twice"
            client.fates[send] = event.fate
            message = client.sends[send]
            match event.fate:
                case Fate.HANDLED:
                    assert message in self.finished, "not handled"
                case Fate.NOT_HANDLED:
                    assert message not in self.taken, "handled, perhaps"
                case Fate.UNKNOWN:
                    assert not told or message in self.taken - self.finished, "its fate is known"
                case _:
                    assert_never(event.fate)

    # The end

    def heal(self) -> None:
        """The link heals: all comes to rest."""
        for turn in range(60):
            for client in self.living:
                for connection in list(client.connections):
                    if connection.half_open and connection in client.connections:
                        self.handle_input(connection, ConnectionLost("healed"))
                if not client.connections and not client.over:
                    self.attach(client, TransportKind.WEBSOCKET)
            self.flow(1)
            for session in self.sessions:
                while session in self.sessions and self.take(session):
                    pass
            # An older attach of a race that is left over ends by silence (LIV-2).
            self.sleep(0.2 if turn < 20 else 5.0)
            if self.rests():
                return
        raise AssertionError(f"it does not come to rest: {self.clients}")

    def rests(self) -> bool:
        return not any(one.of is not Request.POLL for one in self.requests) and all(
            set(client.fates) == set(client.sends)
            and (
                client.over
                or (
                    client.session
                    and client.core.ending is None
                    and client.received == self.model.get(client.session, Handled()).sent
                )
            )
            for client in self.clients
        )


def _wire(frame: Any) -> EncodedFrame:
    return json.dumps(frame, separators=(",", ":"))
