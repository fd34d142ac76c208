"""Random schedules, the same each time: two clients with one session over connections that are cut,
delayed and repeated. Whatever the order, each message is taken once and in order (NUM-3, NUM-4,
RES-1, ATT-3, ATT-6), and the session answers nothing but its own errors.
"""

from __future__ import annotations

import json
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import pytest

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder
from transport.protocol.frames import Poll, Send, TransportKind, Verdict
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.opening import attach
from transport.protocol.server.session import EMPTY, ServerSession

LIMITS = Limits(window_messages=50, ttl=1e9, stream=1e9, heartbeat=1e8)
DECODER = Decoder(LIMITS)


@dataclass(eq=False)
class Link:
    """A connection of a client: frames on the way, each way."""

    attachment: Attachment
    transport: TransportKind
    down: deque[Any] = field(default_factory=deque)
    up: deque[list[str]] = field(default_factory=deque)
    """WebSocket frames, or the bodies of POSTs and polls."""
    opened: bool = False
    polls: int = 0


@dataclass(eq=False)
class Client:
    """As much of a client as keeps its marks."""

    name: str
    attach: int = 0
    held: int = 0
    """The downlink mark: every message is its own number."""
    given: int = 0
    acked: int = 0
    confirmed: bool = False
    gone: bool = False
    link: Link | None = None


class World:
    """One session, its handler, two clients, and what one seed makes of them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.session = ServerSession("s1", LIMITS, 0.0)
        self.taken = 0
        self.clients = [Client("client-a-0123456789"), Client("client-b-0123456789")]
        self.links: list[Link] = []
        self.open(self.clients[0], Verdict.NEW)
        self.session.attachments.confirm(self.links[0].attachment)
        self.clients[0].confirmed = True

    def holds(self, client: Client) -> bool:
        return client.name == self.session.attachments.owner

    # Clients

    def open(self, client: Client, verdict: Verdict = Verdict.RESUMED) -> None:
        client.attach += 1
        client.link = None
        first = client.acked + 1
        if not client.confirmed and verdict is Verdict.RESUMED:
            # A duplicate begins as a copy of the marks that the other had at some time.
            other = next(one for one in self.clients if self.holds(one))
            client.held, client.given, client.acked = other.held, other.given, other.acked
            first = client.given + 1
        frame = DECODER.decode(
            json.dumps(
                {
                    "type": "open",
                    "versions": [1],
                    "client": client.name,
                    "nonce": "n" * 22,
                    "attach": client.attach,
                    "received": client.held,
                    "first_retained": first,
                },
                separators=(",", ":"),
            )
        )
        transport = self.random.choice(list(TransportKind))
        try:
            attachments = self.session.attachments
            token = "t" if verdict is not Verdict.RESUMED else None
            if token is None and attachments.refusal(frame, peer_closed=False) is not None:
                # It came too late, and goes on with a session of its own.
                assert not self.holds(client)
                client.gone = True
                return
            attachment = attach(self.session, frame, transport, self.now, epoch="e1", token=token)
        except ProtocolError as error:
            self.refused(client, error.code.name, error.extra)
            return
        client.link = Link(attachment, transport)
        self.links.append(client.link)

    def refused(self, client: Client, code: str, extra: dict[str, Any]) -> None:
        client.link = None
        if code == "superseded":
            client.attach = max(client.attach, extra["attach"])
            client.gone = client.gone or (client.confirmed and extra["client"] != client.name)

    def read(self, client: Client) -> None:
        """The client reads one frame."""
        link = client.link
        if link is None or not link.down:
            return
        frame = link.down.popleft()
        if isinstance(frame, list):
            seq, ack, *messages = frame
            assert messages == list(range(seq, seq + len(messages)))
            if seq > client.held + 1:
                client.link = None  # a gap: it comes back from its mark
                return
            client.held = max(client.held, seq + len(messages) - 1)
            self.settle(client, ack)
            if link.transport is TransportKind.WEBSOCKET:
                self.write(client, [{"type": "ack", "ack": client.held}])
        elif frame["type"] == "opened":
            link.opened = True
            if frame["received"] > client.given:
                assert not self.holds(client), "the server has what was never sent"
                client.gone, client.link = True, None  # RES-6
                return
            self.settle(client, frame["handled"])
            self.write(client, [{"type": "ack", "ack": client.held}])
            self.resend(client, frame["received"] + 1)
        elif frame["type"] == "ack":
            self.settle(client, frame["ack"])
        elif frame["type"] == "error":
            self.refused(client, frame["code"], frame)
            if frame["code"] == "gap":
                client.link = None

    def settle(self, client: Client, ack: int) -> None:
        assert ack <= self.session.incoming.handled
        if ack > client.given:
            assert not self.holds(client)
            client.gone, client.link = True, None  # RES-6
        client.acked = max(client.acked, ack)

    def resend(self, client: Client, start: int) -> None:
        numbers = list(range(start, client.given + 1))
        if numbers:
            self.write(client, [[start, client.held, *[f"{n}" for n in numbers]]])

    def write(self, client: Client, frames: list[Any]) -> None:
        link = client.link
        if link is None:
            return
        lines = [json.dumps(frame, separators=(",", ":")) for frame in frames]
        if link.transport is TransportKind.WEBSOCKET:
            link.up.extend([line] for line in lines)
        else:
            link.up.append(["post", *lines])

    def speak(self, client: Client) -> None:
        """The client's page sends."""
        link = client.link
        if link is not None and link.opened and client.given - client.acked < 40:
            client.given += 1
            if link.transport is TransportKind.WEBSOCKET:
                self.write(client, [[client.given, client.held, f"{client.given}"]])
            else:  # one POST at a time, with all that is not known to be received
                self.resend(client, max(client.acked, client.given - 10) + 1)

    def ask(self, client: Client) -> None:
        """The client polls, or repeats its last poll."""
        link = client.link
        if link is not None and link.opened and link.transport is TransportKind.LONGPOLL:
            link.polls += self.random.random() < 0.8 or not link.polls
            link.up.append(["poll", str(link.polls), str(client.held)])

    # The server

    def deliver(self, link: Link) -> None:
        """One frame or body arrives at the server."""
        if not link.up:
            return
        body = link.up.popleft()
        if link.transport is not TransportKind.WEBSOCKET and self.random.random() < 0.2:
            link.up.append(body)  # a request that a proxy repeats, or its client
        session, attachment = self.session, link.attachment
        try:
            if link.transport is TransportKind.WEBSOCKET:
                if attachment.code is None:
                    session.receive(attachment, DECODER.decode(body[0]), self.now)
                return
            found = session.attachments.find(attachment.client, attachment.number)
            if body[0] == "poll":
                if found is not None:
                    session.poll(found, self.poll(found, body), self.now)
                return
            if found is not None:
                session.attachments.confirm(found)
            for line in body[1:]:
                session.receive(found, DECODER.decode(line), self.now)
            answer = session.downlink.answer_post(found)
            if self.random.random() < 0.8:
                link.down.append({"type": "ack", "ack": answer.ack})
        except ProtocolError as error:
            self.fail(link, error)

    def poll(self, found: Attachment, body: list[str]) -> Poll:
        return Poll(
            session="t",
            client=found.client,
            attach=found.number,
            poll=int(body[1]),
            ack=int(body[2]),
        )

    def fail(self, link: Link, error: ProtocolError) -> None:
        assert error.code.name in ("gap", "superseded", "not_attached", "bad_frame"), error
        if link.transport is TransportKind.WEBSOCKET:
            self.session.fail(link.attachment, error)
        else:
            link.down.append({"type": "error", "code": error.code.name, **error.extra})

    def flush(self, link: Link) -> None:
        """The driver writes what is due; the property that keeps it from spinning."""
        session, attachment = self.session, link.attachment
        if attachment.code is codes.NOT_ATTACHED or not session.downlink.is_due(
            attachment, self.now
        ):
            return
        poll = link.transport is TransportKind.LONGPOLL
        wires = (session.downlink.answer_poll if poll else session.downlink.transmit)(
            attachment, self.now
        )
        assert wires or attachment.code is not None
        assert attachment.code is not None or not session.downlink.is_due(attachment, self.now)
        link.down.extend(json.loads(wire) for wire in wires)
        if attachment.code is not None and link in self.links:
            self.links.remove(link)

    def cut(self, client: Client) -> None:
        link, client.link = client.link, None
        if link is not None:
            link.down.clear()
            if self.random.random() < 0.5:
                link.up.clear()
            if self.random.random() < 0.5:  # else half-open: the server has not heard of it
                self.session.attachments.detach(link.attachment)

    def take(self) -> None:
        message = self.session.receive_nowait()
        while message is not EMPTY:
            self.taken += 1
            assert message == f"{self.taken}"
            message = self.session.receive_nowait()

    def step(self) -> None:
        client = self.random.choice(self.clients)
        self.now += self.random.choice((0.0, 0.05, 0.2))
        match self.random.randrange(12):
            case 0 | 1:
                if client.link is None and not client.gone and self.random.random() < 0.5:
                    self.open(client)
            case 2 | 3 | 4:
                self.read(client)
            case 5 | 6:
                self.speak(client)
            case 7:
                self.ask(client)
            case 8:
                if self.random.random() < 0.1:
                    self.cut(client)
            case 9:
                self.take()
            case 10:
                if self.session.outgoing.has_room(5):
                    number = self.session.outgoing.last + 1
                    assert self.session.send(str(number)) == number
            case _:
                for link in list(self.links):
                    self.deliver(link)
                    self.flush(link)
        assert self.session.ending is None
        for index, one in enumerate(self.clients):
            one.confirmed = one.confirmed or self.holds(one)
            if one.gone and not self.holds(one) and self.random.random() < 0.02:
                self.clients[index] = Client(f"client-{self.now:012.4f}".replace(".", "_"))

    def settle_down(self) -> None:
        """No more faults: whoever has the session gets all of it."""
        self.random = random.Random(0)
        holder = next(one for one in self.clients if self.holds(one))
        if holder.gone:
            return
        self.cut(holder)
        while holder.link is None:
            self.open(holder)
            assert not holder.gone
        for _ in range(40):
            self.now += 1
            for link in list(self.links):
                if link is holder.link:
                    self.deliver(link)
                self.flush(link)
            for _ in range(100):
                self.read(holder)
            self.ask(holder)
            self.take()
        assert holder.link is not None
        assert holder.held == self.session.outgoing.last
        assert holder.given == self.taken == self.session.incoming.handled


@pytest.mark.parametrize("seed", range(60))
def test_schedule(seed: int) -> None:
    world = World(seed)
    for _ in range(1500):
        world.step()
    world.settle_down()


def test_a_frame_that_opens_a_post_is_not_taken() -> None:
    session = ServerSession("s1", LIMITS, 0.0)
    frame = Send(session="t", client="c" * 16, attach=1)
    with pytest.raises(ProtocolError, match="unexpected frame"):
        session.receive(None, frame, 0.0)
