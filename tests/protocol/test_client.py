"""The client's core: what vectors cannot say, or only at length."""

from __future__ import annotations

import json
from typing import Any

import pytest

from transport.codes import CODES
from transport.errors import ChannelClosed, Fate
from transport.limits import Limits
from transport.protocol.client.answers import MAX_CONSECUTIVE_FAILURES
from transport.protocol.client.events import (
    Answer,
    Attached,
    Closed,
    ConnectionLost,
    Event,
    FrameReceived,
    LinkDropped,
    Messages,
    Output,
    Rejected,
    Request,
    Settled,
    Superseded,
    WasReset,
)
from transport.protocol.client.link import Link
from transport.protocol.client.refusals import FATAL
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import encode_message
from transport.protocol.frames import TransportKind
from transport.protocol.states import ATTACH, PHASES, Phase, PhaseStep

CLIENT = "client-0123456789"
NONCE = "nonce-1-0123456789abcdef"
WS, SSE, POLL = TransportKind.WEBSOCKET, TransportKind.SSE, TransportKind.LONGPOLL


def session(**limits: Any) -> ClientSession:
    return ClientSession(CLIENT, Terms.of(Limits(**limits)))


def opened(link: Link, **fields: Any) -> str:
    frame: dict[str, Any] = {
        "type": "opened",
        "version": 1,
        "id": "a7",
        "attach": link.attach,
        "client": CLIENT,
        "verdict": "resumed" if link.resuming else "new",
        **dict.fromkeys(("received", "handled", "sent"), 0),
        "epoch": "e1",
        "limits": {},
        "timings": {},
        **({} if link.resuming else {"session": "token-1"}),
    }
    return json.dumps({**frame, **fields})


def receive(one: ClientSession, link: Link, frame: Any, now: float = 0) -> list[Event]:
    wire = frame if isinstance(frame, (str, bytes)) else json.dumps(frame)
    return one.handle_input(link, FrameReceived(wire), now)


def begin(one: ClientSession, transport: TransportKind) -> Link:
    link = one.attach(transport, NONCE)
    assert one.transmit(link, 0) == [Output(Request.OPEN, [link.opening])]
    assert one.transmit(link, 0) == []  # it waits for `opened`
    return link


def open_on(
    one: ClientSession, transport: TransportKind, **fields: Any
) -> tuple[Link, list[Output]]:
    link = begin(one, transport)
    frame = opened(link, **fields)
    if transport is POLL:
        one.handle_input(link, Answer(Request.OPEN, 200, frame), 0)
    else:
        receive(one, link, frame)
    return link, one.transmit(link, 0)


def send(one: ClientSession, message: Any) -> int:
    return one.send(encode_message(message, one.terms))


def answered(**fields: Any) -> Answer:
    marks = {"type": "ack", "ack": 0, "received": 0, "sent": 0, "attached": True, **fields}
    return Answer(Request.POST, 200, json.dumps(marks))


def names(events: list[Event]) -> list[str]:
    return [one.reason if isinstance(one, LinkDropped) else type(one).__name__ for one in events]


def written(one: ClientSession, link: Link, now: float = 0) -> list[Any]:
    return [str(wire) for out in one.transmit(link, now) for wire in out.frames]


# Writing


@pytest.mark.parametrize("limits", [{"body": 3000}, {"batch": 6}])
def test_a_body_holds_no_more_than_the_limits(limits: dict[str, int]) -> None:
    """SND-1."""
    one = session()
    link, _ = open_on(one, SSE, limits=limits)
    one.handle_input(link, answered(), 0)
    for index in range(50):
        send(one, "x" * 400 if index % 2 else bytes(300))
    for _ in range(50):
        [out] = one.transmit(link, 0)
        assert len("\n".join(map(str, out.frames))) <= one.terms.body
        assert len(out.frames) <= one.terms.batch
        assert one.handle_input(link, answered(received=one.outbox.buffer.sent), 0) == []
        if one.outbox.buffer.sent == 50:
            break
    assert one.outbox.buffer.sent == 50


def test_a_websocket_message_holds_no_more_either() -> None:
    one = session()
    link, _ = open_on(one, WS, limits={"body": 3000})
    for _ in range(50):
        send(one, "x" * 400)
    wires = written(one, link)
    assert one.outbox.buffer.sent == 50
    assert all(len(wire) <= 3000 for wire in wires)
    assert len(wires) < 12


@pytest.mark.parametrize("message", ["x" * 262142, bytes(262144)], ids=["text", "bytes"])
def test_the_largest_message_fits_a_body(message: Any) -> None:
    """Section 12: in whichever form."""
    one = session()
    send(one, message)
    _, [out] = open_on(one, SSE)
    assert len("\n".join(map(str, out.frames))) <= Limits().body
    assert len(out.frames) == 2


def test_what_is_replayed_is_counted() -> None:
    one = session()
    link, _ = open_on(one, WS)
    send(one, "a")
    one.transmit(link, 0)
    one.handle_input(link, ConnectionLost("cut"), 0)
    open_on(one, WS)
    assert one.outbox.replayed == 1


# Attached


def test_what_waits_above_the_limit_is_skipped() -> None:
    """DAT-4, DAT-5: the server tells a lower limit than was known."""
    one = session()
    send(one, "small")
    number = send(one, "x" * 200)
    link = begin(one, WS)
    events = receive(one, link, opened(link, limits={"message": 100}))
    assert events[1:] == [Rejected(number, 202)]
    assert written(one, link)[1:] == ['[1,0,"small"]', '{"type":"skip","number":2,"ack":0}']
    error = {"type": "error", "code": "too_large", "message": "", "number": 2}
    assert receive(one, link, error) == []
    events = receive(one, link, {"type": "ack", "ack": 2})
    assert events == [Settled(1, 1, Fate.HANDLED)]


@pytest.mark.parametrize(
    "fields",
    [{"attach": 2}, {"client": "another-0123456789"}, {"verdict": "resumed"}, {"session": None}],
    ids=str,
)
def test_an_opened_that_answers_another_open(fields: dict[str, Any]) -> None:
    one = session()
    link = begin(one, WS)
    frame = {key: value for key, value in {**json.loads(opened(link)), **fields}.items() if value}
    frame = {**dict.fromkeys(("received", "handled", "sent"), 0), "limits": {}, **frame}
    assert names(receive(one, link, {"timings": {}, **frame})) == ["bad_frame"]


def test_a_resume_without_a_verdict_of_ours() -> None:
    one = session()
    link, _ = open_on(one, WS)
    one.handle_input(link, ConnectionLost("cut"), 0)
    link = begin(one, WS)
    assert link.resuming
    frame = opened(link, verdict="new", session="token-2")
    assert names(receive(one, link, frame)) == ["bad_frame"]


@pytest.mark.parametrize(
    "frame",
    [[1, 0, "x"], {"type": "ack", "ack": 0}, {"type": "renew", "within": 1}],
    ids=str,
)
def test_frames_before_opened(frame: Any) -> None:
    """OPN-1."""
    one = session()
    link = begin(one, WS)
    assert names(receive(one, link, frame)) == ["bad_frame"]


def test_a_second_opened() -> None:
    one = session()
    link, _ = open_on(one, WS)
    assert names(receive(one, link, opened(link))) == ["bad_frame"]


def test_another_may_come_first_three_times() -> None:
    """ATT-5: before the first confirmation."""
    one = session()
    seen: list[str] = []
    for turn in range(MAX_CONSECUTIVE_FAILURES + 1):
        link = begin(one, WS)
        assert link.attach == 1 + turn * 11
        refusal = {"type": "error", "code": "superseded", "message": ""}
        there = {"attach": link.attach + 10, "client": "another-0123456789"}
        seen += names(receive(one, link, {**refusal, **there}))
    assert seen == ["superseded"] * 3 + ["Superseded", "Closed"]


def test_credentials_and_extras_stand_in_the_open() -> None:
    terms = Terms.of(Limits())
    one = ClientSession(CLIENT, terms, target={"path": "/x"}, wishes={"hold": 5})
    frame = json.loads(one.attach(WS, NONCE, {"token": 1}).opening)
    assert frame["credentials"] == {"token": 1}
    assert (frame["target"], frame["wishes"]) == ({"path": "/x"}, {"hold": 5})
    assert json.loads(session().attach(WS, NONCE).opening).keys() == {
        *("type", "versions", "client", "nonce", "attach", "received", "first_retained")
    }


# HTTP


@pytest.mark.parametrize("text", ["", '{"type":"ack","ack":0}', '{"type":"pong"}', "<html>"])
def test_a_post_that_is_answered_by_nothing_of_ours(text: str) -> None:
    one = session()
    link, _ = open_on(one, SSE)
    [reason] = names(one.handle_input(link, Answer(Request.POST, 200, text), 0))
    assert reason in ("bad_frame", "bad_json")


def test_a_post_without_an_answer_brings_all_again() -> None:
    one = session()
    link, _ = open_on(one, SSE)
    one.handle_input(link, answered(), 0)
    receive(one, link, [1, 0, "a"])
    receive(one, link, {"type": "ping", "id": 3})
    one.close(1000, "")
    wires = written(one, link, 1)
    assert len(wires) == 3
    assert one.handle_input(link, Answer(Request.POST, 502, "<html>"), 2) == []
    assert written(one, link, 2) == wires


def test_an_ack_alone_is_due_again() -> None:
    """MRK-6."""
    one = session()
    link, _ = open_on(one, SSE)
    one.handle_input(link, answered(), 0)
    receive(one, link, [1, 0, "a"])
    assert one.deadline == pytest.approx(0.1)
    wires = written(one, link, 0.1)
    assert wires[1] == '{"type":"ack","ack":1}'
    one.handle_input(link, Answer(Request.POST, 502), 10)
    assert written(one, link, 10) == wires


def test_an_ack_that_was_due_is_not_waited_for_on_the_next_attach() -> None:
    one = session()
    link, _ = open_on(one, SSE)
    one.handle_input(link, answered(), 0)
    receive(one, link, [1, 0, "a"])
    one.handle_input(link, ConnectionLost("cut"), 0)
    open_on(one, SSE)
    assert one.deadline > 1


def test_empty_answers_to_polls_end_the_attach() -> None:
    """POL-2."""
    one = session()
    link, _ = open_on(one, POLL)
    seen = []
    for _ in range(3):
        seen.append(names(one.handle_input(link, Answer(Request.POLL, 200), 0)))
        one.transmit(link, 0)
    assert seen == [[], [], ["ended"]]


def test_a_poll_that_is_cut_is_held_for_less() -> None:
    one = session()
    link, _ = open_on(one, POLL)
    one.handle_input(link, Answer(Request.POLL, 504), 16)
    [out] = one.transmit(link, 16)
    assert json.loads(str(out.frames[0]))["hold"] == 8
    one.handle_input(link, Answer(Request.POLL, 502), 22)
    [out] = one.transmit(link, 22)
    assert json.loads(str(out.frames[0]))["hold"] == 5


def test_gaps_in_a_row_end_the_attach() -> None:
    """SND-3: the server says what it expects; three times is enough."""
    one = session()
    link, _ = open_on(one, SSE)
    one.handle_input(link, answered(), 0)
    send(one, "a")
    error = json.dumps({"type": "error", "code": "gap", "message": "", "expected": 1})
    seen = []
    for _ in range(3):
        one.transmit(link, 0)
        seen += names(one.handle_input(link, Answer(Request.POST, 409, error), 0))
    assert seen == ["gap"]


# Errors and ends


def test_a_gap_settles_nothing() -> None:
    """FRM-4: a frame that is refused has had no effect, its mark neither."""
    one = session()
    link, _ = open_on(one, WS)
    send(one, "a")
    one.transmit(link, 0)
    assert names(receive(one, link, [2, 1, "beyond"])) == ["gap"]
    assert one.outbox.buffer.acked == 0


def test_a_message_above_the_servers_own_limit() -> None:
    one = session(message=10)
    link, _ = open_on(one, WS)
    assert names(receive(one, link, [1, 0, "x" * 20])) == ["too_large"]


def test_a_code_that_is_not_known_drops_the_link() -> None:
    one = session()
    link, _ = open_on(one, WS)
    error = {"type": "error", "code": "new_in_2030", "message": "", "retry_in": 7}
    assert receive(one, link, error) == [LinkDropped(link, "new_in_2030", 7, drained=False)]


def test_what_ends_the_channel() -> None:
    """Section 13: again `no`, save what may be another's word."""
    assert set(FATAL) < set(CODES)
    assert {"unauthorized", "bad_frame", "unsupported_version", "window_exceeded"} <= set(FATAL)
    assert not {"not_found", "upgrade_required", "superseded", "gap", "normal"} & set(FATAL)
    one = session()
    link, _ = open_on(one, WS)
    send(one, "a")
    one.transmit(link, 0)
    send(one, "b")
    error = {"type": "error", "code": "unauthorized", "message": "expired"}
    fates = (Settled(1, 1, Fate.UNKNOWN), Settled(2, 2, Fate.NOT_HANDLED))
    [closed] = receive(one, link, error)
    assert isinstance(closed, Closed)
    assert (closed.code, closed.reason, closed.by) == (4401, "unauthorized: expired", "protocol")
    assert tuple(closed.sends) == fates


def test_a_bare_1012_is_a_drain() -> None:
    """DRN-1."""
    one = session()
    link, _ = open_on(one, WS)
    [event] = one.handle_input(link, ConnectionLost("closed with 1012", 1012), 0)
    assert event == LinkDropped(link, "closed with 1012", 2, drained=True)


def test_sends_are_counted_over_resets() -> None:
    one = session()
    link, _ = open_on(one, WS)
    assert [send(one, "a"), send(one, "b")] == [1, 2]
    one.transmit(link, 0)
    reset = {"type": "reset", "reason": "shutdown", "lost": [], "handled": 1, "in_hand": 1}
    event, dropped = receive(one, link, reset)
    assert isinstance(event, WasReset)
    assert event.sends == [Settled(1, 1, Fate.HANDLED), Settled(2, 2, Fate.NOT_HANDLED)]
    assert isinstance(dropped, LinkDropped)
    assert send(one, "c") == one.outbox.sends == 3
    link, _ = open_on(one, WS)
    assert written(one, link) == []
    assert receive(one, link, {"type": "ack", "ack": 1}) == [Settled(3, 3, Fate.HANDLED)]


def test_skipped_sends_are_told_once() -> None:
    """DAT-5: they are in no later fate."""
    one = session()
    link, _ = open_on(one, WS)
    for message in "abcd":
        send(one, message)
    one.transmit(link, 0)
    for number in (1, 3):
        error = {"type": "error", "code": "too_large", "message": "", "number": number}
        assert receive(one, link, error) == [Rejected(number, 3)]
    assert one.abandon(1001, "")[0] == Closed(
        1001,
        "",
        "protocol",
        clean=False,
        sends=[Settled(2, 2, Fate.UNKNOWN), Settled(4, 4, Fate.UNKNOWN)],
    )


def test_frames_behind_the_end_are_passed_over() -> None:
    one = session()
    link, _ = open_on(one, POLL)
    lines = [{"type": "drain", "retry_in": 1}, [1, 0, "late"]]
    text = "\n".join(map(json.dumps, lines))
    assert names(one.handle_input(link, Answer(Request.POLL, 200, text), 0)) == ["drain"]
    assert one.incoming.received == 0
    assert one.transmit(link, 0) == []


def test_after_the_end_nothing_is_written_heard_or_taken() -> None:
    one = session()
    begun = [one.has_begun]
    link, _ = open_on(one, WS)
    assert [*begun, one.has_begun] == [False, True]
    one.abandon(1001, "gone")
    assert receive(one, link, [1, 0, "x"]) == []
    assert one.transmit(link, 0) == []
    with pytest.raises(ChannelClosed, match="1001: gone"):
        send(one, "x")
    assert one.deadline == float("inf")


def test_the_servers_close_is_told_to_a_sender() -> None:
    one = session()
    link, _ = open_on(one, WS)
    close = {"type": "close", "code": 3001, "reason": "bye", "by": "app", "last": 1, "ack": 0}
    assert receive(one, link, close) == []  # 1 is still to come
    with pytest.raises(ChannelClosed, match="3001: bye"):
        send(one, "x")
    events = receive(one, link, [1, 0, "last"])
    assert [type(event) for event in events] == [Messages, Closed]


def test_events_name_what_they_say() -> None:
    one = session()
    link = begin(one, WS)
    [event] = receive(one, link, opened(link))
    assert isinstance(event, Attached)
    assert (event.id, event.replayed) == ("a7", 0)
    superseded = {"type": "error", "code": "superseded", "message": ""}
    one.transmit(link, 0)
    events = receive(one, link, {**superseded, "attach": 9, "client": "another-0123456789"})
    assert events[0] == Superseded(9, "another-0123456789")


# Tables


def test_each_phase_can_close_but_the_last() -> None:
    assert {state for state, step in PHASES if step is PhaseStep.CLOSE} == set(Phase) - {
        Phase.CLOSED
    }
    assert not any(state is Phase.CLOSED for state, _ in PHASES)
    assert len(ATTACH) == 3


# What a driver may do, and a server may not


def test_the_first_close_counts() -> None:
    """CLS-1."""
    one = session()
    one.close(4001, "first")
    one.close(4002, "second")
    assert one.ending is not None
    assert (one.ending.code, one.ending.reason) == (4001, "first")


def test_credentials_are_renewed_on_every_link() -> None:
    """REN-1."""
    one = session()
    link, _ = open_on(one, WS)
    one.renew("secret")
    assert written(one, link) == ['{"type":"renew","credentials":"secret"}']


def test_an_answer_to_no_post_puts_nothing_back() -> None:
    """SND-1: one that had no answer in time was repeated, and its first copy fails late."""
    one = session()
    link, _ = open_on(one, SSE)
    one.handle_input(link, answered(), 0)
    send(one, "a")
    one.handle_input(link, Answer(Request.POST, 502), 0)
    assert '[1,0,"a"]' in written(one, link)


@pytest.mark.parametrize("text", ["", '{"type":"pong"}', '{"type":"ack","ack":0}'])
def test_the_answer_of_a_post_begins_with_its_marks(text: str) -> None:
    """SND-2: one that does not is no answer of the channel."""
    one = session()
    link, _ = open_on(one, SSE)
    events = one.handle_input(link, Answer(Request.POST, 200, text), 0)
    assert names(events) == ["bad_frame"]


def test_an_unexpected_pong_is_none() -> None:
    """LIV-2."""
    one = session()
    link, _ = open_on(one, WS)
    assert receive(one, link, {"type": "pong"}) == []
    assert written(one, link) == []


def test_a_link_ends_once() -> None:
    """SND-2: an answer can say twice that the stream is over."""
    one = session()
    link, _ = open_on(one, SSE)
    detached = answered(attached=False).text + '\n{"type":"drain","retry_in":0}'
    assert names(one.handle_input(link, Answer(Request.POST, 200, detached), 0)) == ["drain"]
