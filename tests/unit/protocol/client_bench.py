"""`ClientBench`: a client of the pure core alone, driven by the steps of a vector.

`tests/vectors/README.md` describes the steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, assert_never

from tests.unit.protocol.vector_forms import (
    TRANSPORTS,
    Step,
    from_message,
    from_wire,
    to_body,
    to_message,
    to_wire,
)
from transport.errors import Fate
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
    Output,
    Ponged,
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
from transport.protocol.frames import TransportKind

CLIENT = "client-0123456789"


@dataclass
class ClientConnection:
    """The client's end of one connection, and the kinds of request in flight there."""

    link: Link
    in_flight: set[Request | None] = field(default_factory=set)


@dataclass
class ClientBench:
    """A driver of one client session; `run` does one step.

    Attributes:
        target: the subprotocols to offer to a WebSocket application; None for a channel.
        now: the time of the last step, in seconds.
        nonces: the number of nonces that the client has used.
        names: the names of the sends, by number.
        connections: the open connections, by name.
    """

    target: list[str] | None = None
    now: float = 0.0
    nonces: int = 0
    names: dict[int, str] = field(default_factory=dict)
    connections: dict[str, ClientConnection] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.session = ClientSession(CLIENT, Terms.of(Limits()), target=self.target)

    def run(self, step: Step, now: float) -> Step:
        """Do one step. Return its outcome, in the form of ``expect``."""
        self.now = now
        events = self.session.tick(now) if "at" in step else []
        for name, do in self._actions.items():
            if name in step:
                events += do(self, step)
                return self._outcome(events)
        raise ValueError(f"a step does none of {', '.join(self._actions)}")

    # The steps

    def _connect(self, step: Step) -> list[Event]:
        nonce = f"nonce-{self.nonces + 1}-0123456789abcdef"
        link = self.session.attach(TRANSPORTS[step["carrier"]], nonce)
        self.nonces += nonce in link.opening
        self.connections[step["connect"]] = ClientConnection(link)
        return []

    def _send(self, step: Step) -> list[Event]:
        payload = encode_message(to_message(step["send"]), self.session.terms)
        self.names[self.session.send(payload)] = step["as"]
        return []

    def _close(self, step: Step) -> list[Event]:
        self.session.close(step["close"]["code"], step["close"]["reason"])
        return []

    def _leave(self, _: Step) -> list[Event]:
        self.session.leave()
        return []

    def _tick(self, _: Step) -> list[Event]:
        return self.session.tick(self.now)

    def _lose(self, step: Step) -> list[Event]:
        if "code" in step:
            lost = ConnectionLost(f"closed with {step['code']}", step["code"])
            return self.session.handle_input(self.connections[step["lose"]].link, lost, self.now)
        link = self.connections.pop(step["lose"]).link
        events = self.session.handle_input(link, ConnectionLost("cut"), self.now)
        return [event for event in events if not isinstance(event, LinkDropped)]

    def _handle_input(self, step: Step) -> list[Event]:
        connection = self.connections[step["on"]]
        return self.session.handle_input(connection.link, self._input(step, connection), self.now)

    def _input(self, step: Step, connection: ClientConnection) -> Input:
        if "receive" in step:
            binary = connection.link.transport is TransportKind.WEBSOCKET
            return FrameReceived(to_wire(step["receive"], binary=binary))
        order = [Request.POST, Request.POLL, Request.OPEN]
        if "polled" in step:
            del order[0]
        of = next(one for one in order if one in connection.in_flight)
        connection.in_flight.discard(of)
        if "polled" in step or "answered" in step:
            frames = step["polled"] if "polled" in step else step["answered"]
            return Answer(of, 200, to_body(frames))
        if "refused" in step:
            return Answer(of, 400, str(to_wire(step["refused"])))
        return Answer(of, step.get("failed", 0))

    _actions: ClassVar[dict[str, Callable[[ClientBench, Step], list[Event]]]] = {
        "connect": _connect,
        "send": _send,
        "close": _close,
        "leave": _leave,
        "lose": _lose,
        **dict.fromkeys(
            ("receive", "polled", "answered", "refused", "failed", "unanswered"), _handle_input
        ),
        "tick": _tick,
    }

    # The outcome of a step

    def _outcome(self, events: Sequence[Event]) -> Step:
        shown = [line for event in events for line in self._describe(event)]
        result: Step = {}
        ended = []
        for event in events:
            if isinstance(event, LinkDropped):
                name = self._name(event.link)
                ended.append(name)
                del self.connections[name]
                for out in event.outputs:
                    key, written = _written(out)
                    result.setdefault(key, {})[name] = written
        for name, connection in self.connections.items():
            for out in self.session.transmit(connection.link, self.now):
                connection.in_flight.add(out.request)
                key, written = _written(out)
                result.setdefault(key, {})[name] = written
        if shown:
            result["events"] = shown
        if ended:
            result["ended"] = ended
        return result

    def _describe(self, event: Event) -> list[Step]:
        match event:
            case Attached():
                return [{"opened": event.verdict.value, "on": self._name(event.link)}]
            case Messages():
                return [
                    {"message": from_message(message), "recovered": index < event.replays}
                    for index, message in enumerate(event.messages)
                ]
            case Settled():
                return self._fates([event])
            case Rejected():
                names = [self.names[one] for one in range(event.first, event.last + 1)]
                code = event.code
                return [{"rejected": name, "fate": "not_handled", "code": code} for name in names]
            case WasReset():
                shown = {"reason": event.reason.value, "handled": event.handled}
                if event.dropped:
                    shown["dropped"] = event.dropped
                lost = None if event.lost is None else list(event.lost)
                return [{"reset": {**shown, "lost": lost}}, *self._fates(event.sends)]
            case Superseded():
                return [{"superseded": {"attach": event.attach, "client": event.client}}]
            case RenewalRequested():
                return [{"renew": event.within}]
            case Closed():
                shown = {"code": event.code, "reason": event.reason, "by": event.by}
                return [{"closed": shown}, *self._fates(event.sends)]
            case Ponged():
                return []  # no vector has a ping of the application
            case LinkDropped():
                if event.drained:
                    return [{"drain": event.retry_in}]
                is_failed = event.reason == "reset" and event.retry_in
                return [{"reopen": event.retry_in}] if is_failed else []
            case _:
                assert_never(event)

    def _fates(self, settled: Sequence[Settled]) -> list[Step]:
        return [
            {"settled": self.names[send]}
            if one.fate is Fate.HANDLED
            else {"rejected": self.names[send], "fate": one.fate.value}
            for one in settled
            for send in range(one.first, one.last + 1)
        ]

    def _name(self, link: Link) -> str:
        return next(name for name, one in self.connections.items() if one.link is link)


def _written(out: Output) -> tuple[str, Any]:
    frames = [from_wire(encoded) for encoded in out.frames]
    match out.request:
        case Request.POST:
            return "posts", frames
        case Request.POLL:
            return "polls", frames[0]
        case Request.OPEN | None:
            return "writes", frames
        case _:
            assert_never(out.request)
