"""`Network`: the two cores, and between them everything that is on its way.

The server is a `Bench`; each client is a `ClientSession`. The network is the driver of both: it
writes what they have due, keeps it until a step delivers or loses it, and hands each side what has
arrived. It decides nothing by itself: steps say what arrives, and when. The model and the wire
rules see everything that passes.
"""

from __future__ import annotations

from typing import Any, assert_never

from tests.properties.schedules.client_core import Turn
from tests.properties.schedules.model import Model
from tests.properties.schedules.state import (
    ClientConnection,
    ClientState,
    HandlerRecord,
    PendingRequest,
    frame_type,
)
from tests.properties.schedules.wire_rules import WireRules
from tests.unit.protocol.bench import Bench
from tests.unit.protocol.vector_forms import TRANSPORTS, from_wire, to_body, to_wire
from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    ConnectionLost,
    FrameReceived,
    Input,
    LinkDropped,
    Output,
    Request,
)
from transport.protocol.frames import TransportKind
from transport.protocol.server.session import ServerSession
from transport.protocol.states import AttachmentState, SessionState

UNLOADED = "unloaded"
"""The reason of a link that a page drops as it is unloaded; its last POST repeats what it wrote."""
NAMES = {transport: name for name, transport in TRANSPORTS.items()}


class Network:
    """Clients, the server, and what is on its way.

    Args:
        limits: of the server.

    Attributes:
        now: seconds.
        bench: the server.
        model: what applications are promised.
        rules: what each side may write.
        requests: the requests that are on their way to the server.
        writes: how many frames, requests and answers either side has written.
    """

    def __init__(self, limits: Limits) -> None:
        self.now = 0.0
        self.bench = Bench(limits)
        self.model = Model(limits)
        self.rules = WireRules(self.model, self.bench.directory)
        self.requests: list[PendingRequest] = []
        self.writes = 0
        self._connections: dict[str, ClientConnection] = {}
        """Those that the server knows, by name."""
        self._polls: dict[str, PendingRequest] = {}
        """The polls that the server has, by name."""
        self._posts: dict[str, PendingRequest] = {}
        """The POSTs that the server has in hand, by name."""
        self._count = 0

    @property
    def clients(self) -> list[ClientState]:
        """Return every client that there has been."""
        return self.model.clients

    @property
    def living_clients(self) -> list[ClientState]:
        """Return the clients whose channel has not ended."""
        return [client for client in self.clients if not client.is_over]

    @property
    def open_sessions(self) -> list[ServerSession]:
        """Return the sessions whose handler runs."""
        return [
            session
            for session in self.bench.sessions
            if session.state is SessionState.OPEN or session.state is SessionState.PEER_CLOSED
        ]

    @property
    def client_connections(self) -> list[ClientConnection]:
        """Return the connections that a client takes for open."""
        return [connection for client in self.clients for connection in client.connections]

    @property
    def server_connections(self) -> list[ClientConnection]:
        """Return the connections that the server has seen."""
        return list(self._connections.values())

    def new_name(self, kind: str) -> str:
        """Return a name that nothing has yet."""
        self._count += 1
        return f"{kind}{self._count}"

    def sleep(self, seconds: float) -> None:
        """Let time pass on both sides."""
        self.now += seconds
        self.serve({"tick": True})
        for client in self.living_clients:
            self._act(client, client.core.tick(self.now))

    def flow(
        self, rounds: int, but: ClientState | None = None, *, keep_posts: bool = False
    ) -> None:
        """Deliver everything, ``rounds`` times; except what is on its way to or from ``but``.

        Args:
            rounds: how often.
            but: a client to leave out.
            keep_posts: whether the POSTs of the last round stay in hand.
        """
        for turn in range(rounds):
            blocked = but.connections if but is not None else []
            self.answer_posts()
            is_last = turn == rounds - 1
            for sent in list(self.requests):
                if sent in self.requests and sent.connection not in blocked:
                    self.request_arrives(sent, again=False, stays=keep_posts and is_last)
            for one in self.server_connections:
                while one.up and one not in blocked:
                    self.frame_arrives(one)
            for one in [one for one in self.client_connections if one not in blocked]:
                while one.down and not one.is_half_open and one in self.client_connections:
                    self.handle_input(one, one.down.popleft())

    # The client's side

    def attach(self, client: ClientState, transport: TransportKind) -> None:
        """Open a connection."""
        client.nonces += 1
        index = self.clients.index(client)
        link = client.core.attach(transport, f"nonce-{index}-{client.nonces:04}-0123456789")
        connection = ClientConnection(self.new_name("c"), link)
        client.connections.append(connection)
        if transport is TransportKind.WEBSOCKET:
            self._connections[connection.name] = connection
            self._connect(connection.name, transport)
        self.transmit(client)

    def transmit(self, client: ClientState) -> None:
        """Put everything that a client has due on its way."""
        self._act(client, client.core.transmit(self.now))

    def leave(self, client: ClientState, room: int) -> None:
        """Let a client write that it goes away."""
        self._act(client, client.core.leave(room, self.now))

    def handle_input(self, connection: ClientConnection, report: Input) -> None:
        """Hand a client what arrives on a connection, and let it act on that."""
        client = next(one for one in self.clients if connection in one.connections)
        must_end = self.rules.must_end(client, report)
        self._act(client, client.core.handle_input(connection.link, report, self.now))
        assert client.is_over or not must_end, "ATT-5: another client has the session"

    def _act(self, client: ClientState, turn: Turn) -> None:
        """Check what a client reports, act on it, and put what it writes on its way."""
        for event in turn.events:
            self.model.check_event(client, event, self.now)
            if isinstance(event, LinkDropped):
                self._drop(client, event)
        for connection, (link, outputs) in zip(client.connections, turn.written, strict=True):
            assert connection.link is link
            for out in outputs:
                self._write_output(client, connection, out)
        if client.is_over:
            client.connections = []

    def _write_output(self, client: ClientState, connection: ClientConnection, out: Output) -> None:
        """Check what a client writes, and put it on its way."""
        frames = [from_wire(encoded) for encoded in out.frames]
        if out.request is not Request.OPEN:
            self.rules.check_client_frames(client, connection, frames)
        assert out.request in (None, Request.OPEN) or not any(
            sent.is_awaited and sent.kind is out.request and sent.connection is connection
            for sent in self.requests
            if not client.is_over  # its last `close` may pass another (SND-1)
        )
        self._put(connection, out.request, frames)

    def _put(
        self, connection: ClientConnection, request: Request | None, frames: list[Any]
    ) -> None:
        """Put frames on their way to the server."""
        self.writes += 1
        is_websocket = connection.link.transport is TransportKind.WEBSOCKET
        if request is Request.POST or (request is not None and not is_websocket):
            self.requests.append(PendingRequest(request, frames, connection))
        elif not connection.is_half_open:
            connection.up += frames

    def _drop(self, client: ClientState, event: LinkDropped) -> None:
        """Forget a connection that a client has dropped, after its last output."""
        for one in [one for one in client.connections if one.link is event.link]:
            for out in event.outputs:
                frames = [from_wire(wire) for wire in out.frames]
                if event.reason == UNLOADED:
                    self.rules.check_repetition(client, one, frames)
                self.rules.record_last_output(client, event.link.attach)
                self._put(one, out.request, frames)
            client.connections.remove(one)
        for sent in self.requests:
            if sent.connection.link is event.link:
                sent.is_awaited = False  # it may still arrive

    # The server's side

    def serve(self, step: dict[str, Any]) -> Any:
        """Let the server do one step, and put what it writes on its way. Return its answer."""
        frame = step.get("receive")
        if frame.__class__ is dict and frame["type"] == "open":
            self.rules.open_arrives(step["on"], frame)
        result = self.bench.run(step, self.now)
        self.rules.check_attachments(self.bench.sessions)
        ended = result.get("ended", {})
        self.writes += len(result.get("writes", ())) + ("answer" in result)
        for name, frames in result.get("writes", {}).items():
            poll, connection = self._polls.pop(name, None), self._connections.get(name)
            self.rules.check_server_frames(name, connection, poll and poll.frames[0], frames)
            if poll is not None:
                status = 400 if name in ended and _is_error(frames) else 200
                self._answer(poll, Answer(Request.POLL, status, to_body(frames)))
            elif connection is not None:
                self._write(connection, frames, is_over=name in ended)
        for name in ended:
            connection = self._connections.get(name)
            if connection is not None and connection.link.transport is TransportKind.WEBSOCKET:
                connection.down.append(ConnectionLost("ended", 1000))
            elif connection is not None and connection.link.transport is TransportKind.SSE:
                connection.down.append(Answer(Request.OPEN, 200))
        return result.get("answer")

    def restart(self) -> None:
        """Restart the server: it loses what it knew (EPO-1), and clients lose their connections."""
        names = list(self.bench.connections)
        self.bench.restart()
        for post in self._posts.values():
            self._answer(post, Answer(Request.POST, 0))
        self._posts.clear()
        for name in names:
            if (poll := self._polls.pop(name, None)) is not None:
                self._answer(poll, Answer(Request.POLL, 0))
            elif (connection := self._connections.get(name)) is not None:
                connection.down.append(ConnectionLost("gone"))

    def lose(self, connection: ClientConnection) -> None:
        """Let the server notice that a connection is lost, if it has that."""
        if connection.name in self.bench.connections:
            self.serve({"lose": connection.name})

    def frame_arrives(self, connection: ClientConnection) -> None:
        """Hand the server the next frame of a WebSocket."""
        frame = connection.up.popleft()
        known = self.bench.connections.get(connection.name)
        if known is not None:
            session, attachment = known.session, known.attachment
            self.serve({"receive": frame, "on": connection.name})
            if session and attachment and attachment.state is AttachmentState.CONFIRMED:
                self.rules.attach_confirmed(session, attachment.number)

    def request_arrives(self, sent: PendingRequest, *, again: bool, stays: bool = False) -> None:
        """Hand the server a request.

        Args:
            sent: the request.
            again: whether another copy of it is still on its way.
            stays: whether a POST stays in hand, as while the handler works.
        """
        sent.arrivals += 1
        if not again or sent.arrivals > 2:
            self.requests.remove(sent)
        match sent.kind:
            case Request.OPEN:
                self._open_arrives(sent)
            case Request.POST:
                self._post_arrives(sent, stays=stays)
            case Request.POLL:
                name = self.new_name("p")
                self._polls[name] = sent
                self.rules.poll_arrives(name, sent.frames[0])
                self.serve({"poll": sent.frames[0], "on": name})
            case _:
                assert_never(sent.kind)

    def give_up(self, sent: PendingRequest, answer: Answer) -> None:
        """Let a client have this instead of the server's answer."""
        if sent.is_awaited:
            sent.is_awaited = False
            if sent.connection in self.client_connections:
                self.handle_input(sent.connection, answer)

    def _connect(self, name: str, transport: TransportKind) -> None:
        self.serve({"connect": name, "carrier": NAMES[transport]})

    def _open_arrives(self, sent: PendingRequest) -> None:
        connection = sent.connection
        is_first = sent.arrivals == 1 and sent.is_awaited
        # A copy is a connection of its own, of which nobody reads the answer.
        name = connection.name if is_first else self.new_name("x")
        if is_first:
            self._connections[name] = connection
        self._connect(name, connection.link.transport)
        self.serve({"receive": sent.frames[0], "on": name})

    def _post_arrives(self, sent: PendingRequest, *, stays: bool) -> None:
        name = self.new_name("u")
        refusal = self.serve({"post": sent.frames, "on": name})
        if refusal is not None:
            self._post_answered(sent, refusal)
            return
        if (session := self.rules.find_session(sent.frames[0])) is not None:
            self.rules.attach_confirmed(session, sent.frames[0]["attach"])
        self._posts[name] = sent
        if not stays:
            self.answer_post(name)

    def answer_posts(self) -> None:
        """Answer the POSTs in hand."""
        for name in list(self._posts):
            self.answer_post(name)

    def answer_post(self, name: str) -> None:
        """Answer a POST in hand."""
        self._post_answered(self._posts.pop(name), self.serve({"answer": name}))

    def cancel_posts(self) -> None:
        """Cancel the POSTs in hand: their clients get no answer."""
        posts, self._posts = self._posts, {}
        for name, sent in posts.items():
            self.serve({"lose": name})
            self._answer(sent, Answer(Request.POST, 0))

    def _post_answered(self, sent: PendingRequest, answer: Any) -> None:
        session = self.rules.find_session(sent.frames[0])
        is_good = isinstance(answer, list)
        frames = answer if is_good else [answer]
        record = self.model.handler(session.id) if session is not None else HandlerRecord()
        for frame in frames:
            self.rules.check_server_frame(frame, record)
        if is_good and session is not None:
            self.rules.check_data_of_post(session, sent.frames[0], frames)
        self._answer(sent, Answer(Request.POST, 200 if is_good else 400, to_body(frames)))

    def _write(self, connection: ClientConnection, frames: list[Any], *, is_over: bool) -> None:
        transport = connection.link.transport
        is_first, connection.has_server_written = not connection.has_server_written, True
        is_refused = is_first and is_over and _is_error(frames)
        if transport is TransportKind.LONGPOLL or (transport is TransportKind.SSE and is_refused):
            status = 400 if is_refused else 200
            connection.down.append(Answer(Request.OPEN, status, to_body(frames)))
        else:
            connection.down += [FrameReceived(to_wire(frame)) for frame in frames]

    def _answer(self, sent: PendingRequest, answer: Answer) -> None:
        if sent.is_awaited and not sent.connection.is_half_open:
            sent.is_awaited = False
            sent.connection.down.append(answer)


def _is_error(frames: list[Any]) -> bool:
    """Return whether an answer begins with an error."""
    return bool(frames) and frame_type(frames[0]) == "error"
