"""The cores as schedules drive them: what `ClientCore` says holds in each language."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest

from tests.properties.schedules.bridge import Bridge, CoreFailed
from tests.properties.schedules.client_core import ClientCore, ClientFactory, Turn
from tests.properties.schedules.model import OVERSIZE
from tests.unit.protocol.vector_forms import from_wire, to_wire
from transport.errors import Fate
from transport.limits import Limits
from transport.protocol.client.events import (
    Attached,
    Closed,
    ConnectionLost,
    FrameReceived,
    LinkDropped,
    Messages,
    Request,
    Settled,
    WasReset,
)
from transport.protocol.client.link import Link
from transport.protocol.frames import ResetReason, TransportKind, Verdict

LIMITS = Limits(message=64)
NAME = "client-0-0123456789"
NONCE = "nonce-0-0001-0123456789"
OPENED = {
    "type": "opened",
    "version": 1,
    "id": "s1",
    "attach": 1,
    "client": NAME,
    "verdict": "new",
    "received": 0,
    "handled": 0,
    "sent": 0,
    "epoch": "epoch-1",
    "limits": {
        "message": 64,
        "body": 1110,
        "batch": 7,
        "depth": 8,
        "window_messages": 8,
        "window_bytes": 1048576,
    },
    "timings": {"heartbeat": 20.0, "ttl": 120.0, "closing": 30.0},
    "session": "s1.secret-1",
}


def receive(core: ClientCore, link: Link, frame: Any, now: float = 0.0) -> Turn:
    return core.handle_input(link, FrameReceived(to_wire(frame)), now)


def written(turn: Turn) -> list[Any]:
    """Return the frames of all links, in the form of a vector."""
    return [
        from_wire(encoded)
        for _, outputs in turn.written
        for out in outputs
        for encoded in out.frames
    ]


def open_session(core: ClientCore) -> Link:
    link = core.attach(TransportKind.WEBSOCKET, NONCE)
    [(writer, [opening])] = core.transmit(0.0).written
    assert writer is link
    assert opening.request is Request.OPEN
    [attached] = receive(core, link, OPENED).events
    assert isinstance(attached, Attached)
    assert attached.link is link
    assert (attached.verdict, attached.id) == (Verdict.NEW, "s1")
    return link


def test_core_tells_marks_of_each_direction(new_core: ClientFactory) -> None:
    core = new_core(NAME, LIMITS)
    assert core.name == NAME
    before = core.marks
    assert (before.deadline, before.is_carried) == (inf, False)
    link = open_session(core)
    assert core.marks.is_carried
    assert [core.send("a"), core.send("b")] == [1, 2]
    assert (core.marks.sent, core.marks.last) == (0, 2)
    assert written(core.transmit(0.0)) == [[1, 0, "a", "b"]]
    turn = receive(core, link, [1, 1, "x", "y"])
    messages = [one.messages for one in turn.events if isinstance(one, Messages)]
    assert [message for one in messages for message in one] == ["x", "y"]
    assert [one for one in turn.events if isinstance(one, Settled)] == [Settled(1, 1, Fate.HANDLED)]
    marks = core.marks
    assert (marks.received, marks.acked, marks.sent, marks.last) == (2, 1, 2, 2)
    assert 0.0 < marks.deadline < inf


def test_core_sends_what_other_servers_take(new_core: ClientFactory) -> None:
    core = new_core(NAME, LIMITS)
    open_session(core)
    core.send(OVERSIZE)
    assert written(core.transmit(0.0)) == [[1, 0, OVERSIZE]]


def test_core_clone_has_marks_and_sends_but_no_link(new_core: ClientFactory) -> None:
    core = new_core(NAME, LIMITS)
    link = open_session(core)
    core.send("a")
    core.transmit(0.0)
    receive(core, link, [1, 0, "x"])
    twin = core.clone("client-1-0123456789")
    assert twin.name == "client-1-0123456789"
    assert not twin.marks.is_carried
    assert (twin.marks.received, twin.marks.sent, twin.marks.last) == (1, 1, 1)
    assert twin.transmit(0.0).written == []
    assert [twin.send("b"), core.send("c")] == [2, 2]
    twin.attach(TransportKind.SSE, NONCE)
    [opening] = written(twin.transmit(0.0))
    names = [opening[name] for name in ("client", "session", "attach", "received")]
    assert names == ["client-1-0123456789", "s1.secret-1", 2, 1]


def test_core_forgets_link_that_it_dropped(new_core: ClientFactory) -> None:
    core = new_core(NAME, LIMITS)
    link = open_session(core)
    core.send("a")
    turn = core.handle_input(link, ConnectionLost("cut"), 0.0)
    assert [(one.link, one.reason) for one in turn.events if isinstance(one, LinkDropped)] == [
        (link, "cut")
    ]
    assert turn.written == []


def test_core_tells_fates_at_reset(new_core: ClientFactory) -> None:
    core = new_core(NAME, LIMITS)
    link = open_session(core)
    core.send("a")
    core.send("b")
    core.transmit(0.0)
    frame = {"type": "reset", "reason": "overflow", "lost": [1, None], "handled": 1, "in_hand": 1}
    event, dropped = receive(core, link, frame | {"dropped": 3}).events
    assert isinstance(event, WasReset)
    assert (event.reason, event.lost, event.dropped) == (ResetReason.OVERFLOW, [1, None], 3)
    assert event.handled == 1
    fates = {number: one.fate for one in event.sends for number in range(one.first, one.last + 1)}
    assert fates == {1: Fate.HANDLED, 2: Fate.NOT_HANDLED}
    assert isinstance(dropped, LinkDropped)
    assert (core.marks.received, core.marks.last) == (0, 0)
    assert core.send("c") == 3


def test_core_writes_for_the_last_time_when_closed(new_core: ClientFactory) -> None:
    core = new_core(NAME, LIMITS)
    link = open_session(core)
    core.close(1000, "bye")
    assert core.marks.is_ending
    [close] = written(core.transmit(0.0))
    assert (close["type"], close["reason"], close["last"]) == ("close", "bye", 0)
    frame = {"type": "close", "code": 1000, "reason": "", "by": "app", "last": 1, "ack": 0}
    receive(core, link, frame)
    turn = receive(core, link, [1, 0, "x"])
    closed = turn.events[-1]
    assert isinstance(closed, Closed)
    assert (closed.code, closed.by, closed.clean) == (1000, "app", True)
    assert written(turn) == [{"type": "ack", "ack": 1}]
    assert core.transmit(0.0).written == []


def test_bridge_after_failed_call_goes_on(bridge: Bridge) -> None:
    with pytest.raises(CoreFailed, match="TypeError"):
        bridge.call([bridge.new_core(), "tick", 0.0])
    core = bridge.new_core()
    bridge.queue([core, "new", NAME])
    assert bridge.call([core, "tick", 0.0])[0] == [[], []]


def test_bridge_starts_again_after_its_process_ended(bridge: Bridge) -> None:
    for _ in range(2):
        core = bridge.new_core()
        bridge.queue([core, "new", NAME])
        assert bridge.call([core, "tick", 0.0])[0] == [[], []]
        bridge.stop()
