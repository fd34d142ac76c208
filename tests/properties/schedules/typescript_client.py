"""`TypeScriptClient`: the TypeScript core as a `ClientCore`, over a `Bridge`.

Everything that has another shape in TypeScript is translated here, so that the model and the rules
do not know which client they see.
"""

from __future__ import annotations

import weakref
from math import inf
from typing import Any, assert_never

from tests.properties.schedules.bridge import Bridge
from tests.properties.schedules.client_core import ClientFactory, ClientMarks, Turn
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
    Rejected,
    RenewalRequested,
    Request,
    Settled,
    WasReset,
)
from transport.protocol.client.link import Link
from transport.protocol.frames import ResetReason, TransportKind, Verdict

REQUESTS = {None: None} | {request.value: request for request in Request}


class TypeScriptClient:
    """A `ClientSession` of `client_js`.

    Args:
        bridge: the process that has it.
        name: the client id.
        sends: how many sends it has from the client whose clone it is.
    """

    def __init__(self, bridge: Bridge, name: str, sends: int = 0) -> None:
        self._bridge = bridge
        self._name = name
        self._sends = sends
        self._links: dict[int, Link] = {}
        """Handles, by attach: of what is in a `Link`, only the attach and the transport."""
        self._marks: ClientMarks | None = None
        """None if a call that waits may change them."""
        self._core = bridge.new_core()
        bridge.queue([self._core, "new", name])
        weakref.finalize(self, bridge.queue, [self._core, "forget"])

    @classmethod
    def factory(cls, bridge: Bridge) -> ClientFactory:
        """Return what makes clients in a process. They begin with default terms."""

        def new(name: str, _: Limits) -> TypeScriptClient:
            return cls(bridge, name)

        return new

    @property
    def name(self) -> str:
        return self._name

    @property
    def marks(self) -> ClientMarks:
        if self._marks is None:
            self._call("marks")
        assert self._marks is not None
        return self._marks

    def clone(self, name: str) -> TypeScriptClient:
        twin = TypeScriptClient(self._bridge, name, self._sends)
        twin._queue("restore", self._core)
        return twin

    def send(self, message: str) -> int:
        self._sends += 1
        self._queue("send", message, self._sends)
        return self._sends

    def close(self, code: int, reason: str) -> None:
        self._queue("close", code, reason)

    def leave(self, room: int, now: float) -> Turn:
        return self._turn("leave", now, room)

    def attach(self, transport: TransportKind, nonce: str) -> Link:
        attach = self._call("attach", transport.value, nonce)
        link = Link(attach, transport, opening="", resuming=False, acked=0)
        self._links[attach] = link
        return link

    def transmit(self, now: float) -> Turn:
        return self._turn("transmit", now)

    def handle_input(self, link: Link, report: Input, now: float) -> Turn:
        return self._turn("handleInput", now, link.attach, _input(report))

    def tick(self, now: float) -> Turn:
        return self._turn("tick", now)

    def _turn(self, method: str, *arguments: Any) -> Turn:
        events, written = self._call(method, *arguments)
        return Turn(
            [self._event(event) for event in events],
            [(self._links[attach], _outputs(outputs)) for attach, outputs in written],
        )

    def _queue(self, method: str, *arguments: Any) -> None:
        self._bridge.queue([self._core, method, *arguments])
        self._marks = None

    def _call(self, method: str, *arguments: Any) -> Any:
        result, marks = self._bridge.call([self._core, method, *arguments])
        if marks["deadline"] is None:
            marks["deadline"] = inf  # which JSON has no form for
        self._marks = ClientMarks(**marks)
        return result

    def _event(self, event: dict[str, Any]) -> Event:
        match event["type"]:
            case "opened":
                verdict = Verdict.RESUMED if event["resumed"] else Verdict.NEW
                link = self._links[event["link"]]
                return Attached(link, verdict, event["id"], event["replayed"])
            case "message":
                message = event["message"]
                return Messages([message["data"]], int(message["recovered"]), event["size"])
            case "settled":
                return Settled(event["tag"], event["tag"], Fate.HANDLED)
            case "rejected":
                return Rejected(event["tag"], event["tag"], 0, event["code"])
            case "reset":
                loss, sends = event["loss"], _fates(event["sends"])
                lost, dropped, handled = loss["lost"], loss.get("dropped", 0), loss.get("handled")
                return WasReset(ResetReason(loss["reason"]), lost, dropped, handled, sends)
            case "renewal":
                return RenewalRequested(event["within"])
            case "closed":
                ending = event["closing"]
                code, reason, by = ending["code"], ending["reason"], ending["by"]
                return Closed(code, reason, by, event["clean"], _fates(event["sends"]))
            case "dropped":
                link, reason = self._links[event["link"]], event["reason"]
                outputs = _outputs(event.get("outputs", []))
                return LinkDropped(link, reason, event["retryIn"], reason == "drain", outputs)
            case unknown:
                raise ValueError(f"an unknown event: {unknown}")


def _input(report: Input) -> dict[str, Any]:
    match report:
        case FrameReceived():
            return {"type": "frame", "frame": report.frame}
        case Answer():
            return {
                "type": "answer",
                "request": report.request.value,
                "status": report.status,
                "text": report.text,
                "retryIn": report.retry_in,
            }
        case ConnectionLost():
            return {"type": "lost", "reason": report.reason, "code": report.code}
        case _:
            assert_never(report)


def _outputs(outputs: list[dict[str, Any]]) -> list[Output]:
    return [Output(REQUESTS[one.get("request")], one["frames"]) for one in outputs]


def _fates(sends: list[dict[str, Any]]) -> list[Settled]:
    return [Settled(one["tag"], one["tag"], Fate(one["fate"])) for one in sends]
