"""The two cores over a link that loses, repeats, delays, reorders and cuts, in whatever order
Hypothesis finds; against a model of two lists for each session: what the handler sent, and what it
took.

What must hold, whatever happens (NUM-3, NUM-4, RES-1, RES-3, ATT-3 to ATT-6, OPN-4):

- a client gets what the handler sent, once and in order, without a gap;
- the handler takes what clients sent, once and in order;
- a send is settled as handled only if the handler finished with it, and as not handled only if it
  never took it, then or later;
- when the link heals, all that lives comes to rest with nothing unacknowledged.
"""

from __future__ import annotations

import copy
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Any, assert_never

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from tests.protocol.bench import Bench, from_wire
from tests.protocol.client_bench import lines
from transport.errors import Fate
from transport.limits import Limits
from transport.protocol.client import (
    Answer,
    ClientSession,
    Closed,
    Dropped,
    Event,
    Frame,
    Heard,
    Link,
    Lost,
    Messages,
    Opening,
    Rejected,
    RenewalAsked,
    Request,
    Settled,
    Superseded,
    Terms,
    WasReset,
)
from transport.protocol.codec import encode_message
from transport.protocol.frames import Carrier, ResetReason, Wire
from transport.protocol.session import WAITING, Session
from transport.protocol.states import State

LIMITS = Limits(window_messages=8, batch=5)
NAMES = {Carrier.WEBSOCKET: "websocket", Carrier.SSE: "sse", Carrier.LONGPOLL: "poll"}
PICK = st.integers(0, 11)
"""Which of those that there are."""


@dataclass(eq=False)
class Connection:
    """A client's connection, and what is on its way on it."""

    name: str
    link: Link
    up: deque[Any] = field(default_factory=deque)
    down: deque[Heard] = field(default_factory=deque)
    half_open: bool = False
    """Whether nothing passes any more, though the client does not know."""
    written: bool = False
    """Whether the server has written on it."""


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
    fates: dict[int, Fate] = field(default_factory=dict)
    over: bool = False
    nonces: int = 0


@dataclass(eq=False)
class Handled:
    """What the handler of one session did."""

    sent: int = 0
    taken: list[str] = field(default_factory=list)
    finished: int = 0


class World(RuleBasedStateMachine):
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
        self.model: dict[str, Handled] = {}
        self.count = 0

    @initialize(carrier=st.sampled_from(Carrier))
    def begin(self, carrier: Carrier) -> None:
        core = ClientSession("client-0-0123456789", Terms.of(LIMITS))
        self.clients.append(Client(core))
        self.open(0, carrier)
        self.flow(3)

    # Clients

    @property
    def living(self) -> list[Client]:
        return [client for client in self.clients if not client.over]

    @rule(pick=PICK, carrier=st.sampled_from(Carrier))
    def open(self, pick: int, carrier: Carrier) -> None:
        """Also beside another connection: opens that race."""
        living = self.living
        if not living or len((client := living[pick % len(living)]).connections) > 2:
            return
        client.nonces += 1
        index = self.clients.index(client)
        link = client.core.attach(carrier, f"nonce-{index}-{client.nonces:04}-0123456789")
        connection = Connection(self.fresh("c"), link)
        client.connections.append(connection)
        if carrier is Carrier.WEBSOCKET:
            self.connect(connection)
        self.pump(client)

    @rule(pick=PICK, count=st.integers(1, 4))
    def send(self, pick: int, count: int) -> None:
        living = self.living
        if not living:
            return
        client = living[pick % len(living)]
        core = client.core
        for _ in range(count):
            if core.ending is not None or not core.outgoing.has_room(10):
                break
            message = self.fresh("m")
            client.sends[core.send(encode_message(message, core.terms))] = message
        self.pump(client)

    @precondition(lambda self: len(self.clients) < 3 and self.living)
    @rule()
    def clone(self) -> None:
        """A tab is duplicated, and with it the token and the marks."""
        one = self.living[0]
        core = one.core
        if core.ending is not None or core.outgoing.last > core.outgoing.sent or not one.session:
            return
        connections, links = one.connections, core._links
        one.connections, core._links = [], []
        twin = copy.deepcopy(one)
        one.connections, core._links = connections, links
        twin.core.client = f"client-{len(self.clients)}-0123456789"
        self.clients.append(twin)

    @rule(pick=PICK)
    def client_closes(self, pick: int) -> None:
        client = self.clients[pick % len(self.clients)]
        if pick < 2 and not client.over and client.core.begun:
            client.core.close(1000, "")
            self.pump(client)

    # The server

    @property
    def sessions(self) -> list[Session]:
        return [
            session
            for _, session in self.bench.sessions.values()
            if session.state in (State.OPEN, State.PEER_CLOSED)
        ]

    @rule(pick=PICK, count=st.integers(1, 4))
    def handler_takes(self, pick: int, count: int) -> None:
        if sessions := self.sessions:
            session = sessions[pick % len(sessions)]
            for _ in range(count):
                if not self.take(session):
                    break
            self.serve({"tick": True})

    def take(self, session: Session) -> bool:
        """As a handler does that returns when its iteration ends; whether there was a message."""
        did = self.did(session)
        peer = session.peer_closed_with
        if peer is not None and not session._inbox and session.incoming.received >= peer.last:
            did.finished = len(did.taken)
            session.close(1000, "", "app", self.now)
            return False
        message = session.take()
        did.finished = len(did.taken)
        if message is WAITING:
            return False
        did.taken.append(message)
        return True

    @rule(pick=PICK, count=st.integers(1, 4))
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

    @rule(pick=PICK, failed=st.booleans())
    def handler_ends(self, pick: int, failed: bool) -> None:
        sessions = self.sessions
        if pick < 1 and sessions:
            session = sessions[0]
            if not failed:
                did = self.did(session)
                did.finished = len(did.taken)
            by: Any = "protocol" if failed else "app"
            session.close(1011 if failed else 1000, "", by, self.now, failed=failed)
            self.serve({"tick": True})

    @rule(pick=PICK)
    def server_resets(self, pick: int) -> None:
        if pick < 1 and self.sessions:
            self.sessions[0].reset(ResetReason.OVERFLOW)
            self.serve({"tick": True})

    @rule(pick=PICK)
    def server_drains(self, pick: int) -> None:
        if pick < 1 and self.sessions:
            self.sessions[0].drain(1.0)
            self.serve({"tick": True})

    def did(self, session: Session) -> Handled:
        return self.model.setdefault(session.id, Handled())

    # The link

    @property
    def standing(self) -> list[Connection]:
        return [connection for client in self.clients for connection in client.connections]

    @rule(pick=PICK, count=st.integers(1, 6))
    def up(self, pick: int, count: int) -> None:
        """Frames arrive on a WebSocket."""
        if waiting := [one for one in self.connections.values() if one.up]:
            connection = waiting[pick % len(waiting)]
            for _ in range(count):
                if connection.up:
                    frame = connection.up.popleft()
                    if connection.name in self.bench.connections:
                        self.serve({"receive": frame, "on": connection.name})

    @rule(pick=PICK, count=st.integers(1, 6))
    def down(self, pick: int, count: int) -> None:
        """Frames arrive at a client."""
        if waiting := [one for one in self.standing if one.down and not one.half_open]:
            connection = waiting[pick % len(waiting)]
            for _ in range(count):
                if connection.down and connection in self.standing:
                    self.hear(connection, connection.down.popleft())

    @rule(rounds=st.integers(1, 3))
    def flow(self, rounds: int) -> None:
        """For a while nothing goes wrong: or hardly anything would ever be under way."""
        for _ in range(rounds):
            for sent in list(self.requests):
                if sent in self.requests:
                    self.arrive(sent, again=False)
            for one in list(self.connections.values()):
                while one.up:
                    frame = one.up.popleft()
                    if one.name in self.bench.connections:
                        self.serve({"receive": frame, "on": one.name})
            for one in self.standing:
                while one.down and one in self.standing and not one.half_open:
                    self.hear(one, one.down.popleft())

    @rule(pick=PICK, count=st.integers(1, 4), rounds=st.integers(1, 2))
    def converse(self, pick: int, count: int, rounds: int) -> None:
        """Both sides speak, the handler takes."""
        self.send(pick, count)
        self.flow(rounds)
        self.handler_takes(pick, count)
        self.handler_sends(pick, count)

    @rule(pick=PICK, carrier=st.sampled_from(Carrier))
    def come_back(self, pick: int, carrier: Carrier) -> None:
        """A client that has no connection opens one, and is answered."""
        for client in self.living:
            if not client.connections and not client.over:
                self.open(self.living.index(client), carrier)
                self.flow(2)

    @rule(pick=PICK, again=st.booleans())
    def request_arrives(self, pick: int, again: bool) -> None:
        """Any of those on the way, in whatever order; ``again``: it will arrive once more."""
        if self.requests:
            self.arrive(self.requests[pick % len(self.requests)], again=again)

    @rule(pick=PICK)
    def request_is_lost(self, pick: int) -> None:
        if self.requests:
            self.give_up(self.requests.pop(pick % len(self.requests)))

    @rule(pick=PICK)
    def client_stops_waiting(self, pick: int) -> None:
        """Its time is over; the request, or its answer, may be under way still."""
        if waiting := [one for one in self.requests if one.waiting]:
            self.give_up(waiting[pick % len(waiting)])

    @rule(pick=PICK, client=st.booleans(), server=st.booleans())
    def cut(self, pick: int, client: bool, server: bool) -> None:
        """A connection breaks: either side notices, or both, or none."""
        if standing := self.standing:
            connection = standing[pick % len(standing)]
            connection.half_open = True
            connection.up.clear()
            if server:
                self.server_notices(connection)
            if client:
                self.hear(connection, Lost("cut"))

    def server_notices(self, connection: Connection) -> None:
        if connection.name in self.bench.connections:
            self.serve({"lose": connection.name})

    @rule(seconds=st.sampled_from([0.05, 0.15, 1.0, 10.0, 25.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.serve({"tick": True})
        for client in self.living:
            self.note(client, client.core.tick(self.now))
            self.pump(client)

    @rule(pick=PICK)
    def everything_sleeps(self, pick: int) -> None:
        """So long that sessions expire."""
        if pick < 1:
            self.time_passes(LIMITS.ttl + 1)

    # What these do

    def fresh(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    def connect(self, connection: Connection) -> None:
        self.connections[connection.name] = connection
        self.serve({"connect": connection.name, "carrier": NAMES[connection.link.carrier]})

    def serve(self, step: dict[str, Any]) -> Any:
        """The server acts; what it writes is on its way."""
        result = self.bench.run(step, self.now)
        ended = result.get("ended", {})
        for name, frames in result.get("writes", {}).items():
            if (poll := self.polls.pop(name, None)) is not None:
                refused = bool(frames) and frames[0].__class__ is dict and name in ended
                bad = refused and frames[0]["type"] == "error"
                self.answer(poll, Answer(Request.POLL, 400 if bad else 200, lines(frames)))
            elif (connection := self.connections.get(name)) is not None:
                self.write(connection, frames, over=name in ended)
        for name in ended:
            connection = self.connections.get(name)
            if connection is not None and connection.link.carrier is Carrier.WEBSOCKET:
                connection.down.append(Lost("ended", 1000))
            elif connection is not None and connection.link.carrier is Carrier.SSE:
                connection.down.append(Answer(Request.OPEN, 200))
        return result.get("answer")

    def write(self, connection: Connection, frames: list[Any], *, over: bool) -> None:
        carrier = connection.link.carrier
        first, connection.written = not connection.written, True
        bad = first and over and frames[0].__class__ is dict and frames[0]["type"] == "error"
        if carrier is Carrier.LONGPOLL or (carrier is Carrier.SSE and bad):
            body = lines(frames)
            connection.down.append(Answer(Request.OPEN, 400 if bad else 200, body))
        else:
            connection.down += [Frame(_wire(frame, carrier)) for frame in frames]

    def pump(self, client: Client) -> None:
        """All that the client has to write is on its way."""
        for connection in list(client.connections):
            for out in client.core.transmit(connection.link, self.now):
                frames = [from_wire(wire) for wire in out.wires]
                if connection.link.carrier is Carrier.WEBSOCKET:
                    if not connection.half_open:
                        connection.up += frames
                else:
                    assert out.of is not None
                    self.requests.append(Sent(out.of, frames, connection))

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
                self.serve({"connect": name, "carrier": NAMES[connection.link.carrier]})
                self.serve({"receive": sent.frames[0], "on": name})
            case Request.POST:
                answer = self.serve({"post": sent.frames})
                status = 200 if isinstance(answer, list) else 400
                text = lines(answer if isinstance(answer, list) else [answer])
                self.answer(sent, Answer(Request.POST, status, text))
            case Request.POLL:
                name = self.fresh("p")
                self.polls[name] = sent
                self.serve({"poll": sent.frames[0], "on": name})
            case _:
                assert_never(sent.of)

    def answer(self, sent: Sent, answer: Answer) -> None:
        if sent.waiting and not sent.connection.half_open:
            sent.waiting = False
            sent.connection.down.append(answer)

    def give_up(self, sent: Sent) -> None:
        if sent.waiting:
            sent.waiting = False
            if sent.connection in self.standing:
                self.hear(sent.connection, Answer(sent.of, 0))

    def hear(self, connection: Connection, heard: Heard) -> None:
        client = next(one for one in self.clients if connection in one.connections)
        if isinstance(heard, Lost) and connection.link not in client.core._links:
            client.connections.remove(connection)
        self.note(client, client.core.hear(connection.link, heard, self.now))
        self.pump(client)

    # What must hold

    def note(self, client: Client, events: list[Event]) -> None:
        for event in events:
            self.told(client, event)
        client.connections = [
            one for one in client.connections if one.link in client.core._links or one.link.control
        ]

    def told(self, client: Client, event: Event) -> None:
        match event:
            case Opening():
                if event.verdict.value == "new":
                    client.session, client.received = event.id, 0
                assert event.id == client.session
            case Messages():
                for message in event.messages:
                    client.received += 1
                    assert message == f"{client.session}:{client.received}"
            case Settled():
                self.settled(client, event)
            case WasReset():
                for one in event.sends:
                    self.settled(client, one)
                if event.lost:
                    assert event.lost[0] == client.received + 1
                client.session = ""
            case Closed():
                for one in event.sends:
                    self.settled(client, one)
                client.over = True
                self.pump(client)
            case Dropped():
                # What it has left may be under way for a while.
                for sent in self.requests:
                    sent.waiting = sent.waiting and sent.connection.link is not event.link
            case Superseded():
                assert len(self.clients) > 1
            case Rejected() | RenewalAsked():
                raise AssertionError(event)
            case _:
                assert_never(event)

    def settled(self, client: Client, event: Settled) -> None:
        for send in range(event.first, event.last + 1):
            assert send not in client.fates
            client.fates[send] = event.fate

    @invariant()
    def once_and_in_order(self) -> None:
        taken = [message for did in self.model.values() for message in did.taken]
        assert len(taken) == len(set(taken))
        order = {message: place for place, message in enumerate(taken)}
        for client in self.clients:
            places = [order[one] for one in client.sends.values() if one in order]
            if len({did for did in self.model.values() if did.taken}) == 1:
                assert places == sorted(places)

    @invariant()
    def fates_are_true(self) -> None:
        taken = {message for did in self.model.values() for message in did.taken}
        finished = {message for did in self.model.values() for message in did.taken[: did.finished]}
        for client in self.clients:
            for send, fate in client.fates.items():
                match fate:
                    case Fate.HANDLED:
                        assert client.sends[send] in finished
                    case Fate.NOT_HANDLED:
                        assert client.sends[send] not in taken
                    case Fate.UNKNOWN:
                        pass
                    case _:
                        assert_never(fate)

    def teardown(self) -> None:
        """The link heals: all comes to rest."""
        for turn in range(60):
            for client in list(self.living):
                for connection in list(client.connections):
                    if connection.half_open and connection in client.connections:
                        self.hear(connection, Lost("healed"))
                if not client.connections and not client.over:
                    self.open(self.living.index(client), Carrier.WEBSOCKET)
            self.flow(1)
            for session in self.sessions:
                while session in self.sessions and self.take(session):
                    pass
            # An older attach of a race that is left over ends by silence (LIV-2).
            self.time_passes(0.2 if turn < 20 else 5.0)
            if self.rests():
                break
        self.once_and_in_order()
        self.fates_are_true()
        for client in self.clients:
            assert set(client.fates) == set(client.sends), "a send has no fate"
            if not client.over:
                assert client.received == self.model.get(client.session, Handled()).sent

    def rests(self) -> bool:
        return not self.requests_but_polls() and all(
            client.over
            or (
                client.session
                and client.core.ending is None
                and set(client.fates) == set(client.sends)
                and client.received == self.model.get(client.session, Handled()).sent
            )
            for client in self.clients
        )

    def requests_but_polls(self) -> list[Sent]:
        return [one for one in self.requests if one.of is not Request.POLL]


def _wire(frame: Any, carrier: Carrier) -> Wire:
    return json.dumps(frame, separators=(",", ":"))


World.TestCase.settings = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=200,
    stateful_step_count=60,
    suppress_health_check=list(HealthCheck),
)
TestWorld = World.TestCase
