"""The client's session: what vectors cannot express, or only at length."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.protocol.client_core import (
    CLIENT,
    NONCE,
    POLL,
    SSE,
    WS,
    answered,
    begin,
    names,
    open_on,
    opened,
    receive,
    send,
    session,
    written,
)
from transport.codes import CODES
from transport.errors import ChannelClosed, Fate, NotRead, TooLarge
from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    Attached,
    Closed,
    ConnectionLost,
    LinkDropped,
    Messages,
    Ponged,
    Rejected,
    Request,
    Settled,
    Superseded,
    WasReset,
)
from transport.protocol.client.refusals import FATAL, MAX_REFUSED_CONFIRMATIONS
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.frames import TransportKind


def test_waiting_message_above_the_limit_is_skipped() -> None:
    """DAT-4, DAT-5: the server advertises a lower limit than was assumed."""
    one = session()
    send(one, "small")
    number = send(one, "x" * 200)
    link = begin(one, WS)
    events = receive(one, link, opened(link, limits={"message": 100}))
    assert events[1:] == [Rejected(number, number, 202, "too_large")]
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
def test_opened_that_answers_another_open_is_refused(fields: dict[str, Any]) -> None:
    one = session()
    link = begin(one, WS)
    frame = {key: value for key, value in {**json.loads(opened(link)), **fields}.items() if value}
    frame = {**dict.fromkeys(("received", "handled", "sent"), 0), "limits": {}, **frame}
    assert names(receive(one, link, {"timings": {}, **frame})) == ["bad_frame"]


def test_new_session_without_a_reset_is_refused() -> None:
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
def test_frame_before_opened_is_refused(frame: Any) -> None:
    """OPN-1."""
    one = session()
    link = begin(one, WS)
    assert names(receive(one, link, frame)) == ["bad_frame"]


def test_second_opened_is_refused() -> None:
    one = session()
    link, _ = open_on(one, WS)
    assert names(receive(one, link, opened(link))) == ["bad_frame"]


def test_another_client_may_come_first_three_times() -> None:
    """ATT-5: before the first confirmation."""
    one = session()
    seen: list[str] = []
    for turn in range(MAX_REFUSED_CONFIRMATIONS + 1):
        link = begin(one, WS)
        assert link.attach == 1 + turn * 11
        refusal = {"type": "error", "code": "superseded", "message": ""}
        there = {"attach": link.attach + 10, "client": "another-0123456789"}
        seen += names(receive(one, link, {**refusal, **there}))
    assert seen == ["superseded"] * 3 + ["Superseded", "Closed"]


def test_open_carries_credentials() -> None:
    frame = json.loads(session().attach(WS, NONCE, {"token": 1}).opening)
    assert frame["credentials"] == {"token": 1}
    assert json.loads(session().attach(WS, NONCE).opening).keys() == {
        *("type", "versions", "client", "nonce", "attach", "received", "first_retained")
    }


def test_frame_after_a_gap_settles_nothing() -> None:
    """FRM-4: a frame that is refused has no effect, and nor has its mark."""
    one = session()
    link, _ = open_on(one, WS)
    send(one, "a")
    one.transmit(link, 0)
    assert names(receive(one, link, [2, 1, "beyond"])) == ["gap"]
    assert one.outbox.buffer.acked == 0


def test_message_above_the_servers_limit_is_refused() -> None:
    one = session(message=10)
    link, _ = open_on(one, WS)
    assert names(receive(one, link, [1, 0, "x" * 20])) == ["too_large"]


def test_unknown_code_drops_the_link() -> None:
    one = session()
    link, _ = open_on(one, WS)
    error = {"type": "error", "code": "new_in_2030", "message": "", "retry_in": 7}
    assert receive(one, link, error) == [LinkDropped(link, "new_in_2030", 7, drained=False)]


def test_fatal_codes_end_the_channel() -> None:
    """Section 13: codes that forbid a retry, except those that a proxy may cause."""
    assert set(FATAL) < set(CODES)
    assert {"unauthorized", "bad_frame", "unsupported_version", "window_exceeded"} <= set(FATAL)
    assert not {"not_found", "upgrade_required", "superseded", "gap", "normal"} & set(FATAL)
    one = session()
    link, _ = open_on(one, WS)
    send(one, "a")
    one.transmit(link, 0)
    send(one, "b")
    error = {"type": "error", "code": "bad_frame", "message": "no frame"}
    fates = (Settled(1, 1, Fate.UNKNOWN), Settled(2, 2, Fate.NOT_HANDLED))
    [closed] = receive(one, link, error)
    assert isinstance(closed, Closed)
    assert (closed.code, closed.reason, closed.by) == (4400, "bad_frame: no frame", "protocol")
    assert tuple(closed.sends) == fates


UNAUTHORIZED = {"type": "error", "code": "unauthorized", "message": "expired"}


def test_renewable_credentials_are_asked_for_twice() -> None:
    """REN-1: a cached token may have expired before the first open."""
    one = ClientSession(CLIENT, Terms.of(Limits()), renewable=True)
    assert names(receive(one, begin(one, WS), UNAUTHORIZED)) == ["unauthorized"]
    [closed] = receive(one, begin(one, WS), UNAUTHORIZED)
    assert isinstance(closed, Closed)
    one = session()
    [closed] = receive(one, begin(one, WS), UNAUTHORIZED)
    assert isinstance(closed, Closed)


def test_duplicates_do_not_count_for_size_of_messages() -> None:
    """NUM-3: they are dropped, and must not fill the bound of the application's queue."""
    one = session()
    link, _ = open_on(one, WS)
    [first] = receive(one, link, [1, 0, "x" * 1000])
    [second] = receive(one, link, [1, 0, "x" * 1000, "b"])
    assert isinstance(first, Messages)
    assert isinstance(second, Messages)
    assert list(second.messages) == ["b"]
    assert first.size > 1000
    assert second.size == len('"b"')


def test_removed_link_is_forgotten_without_event() -> None:
    """Its driver has left the connection, and knows."""
    one = session()
    link, _ = open_on(one, WS)
    one.remove(link)
    assert one.tick(10**6) == []
    assert receive(one, link, [1, 0, "a"]) == []
    assert not one.leads(link)
    one.remove(link)


def test_bare_close_1012_is_a_drain() -> None:
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


def test_refused_range_is_one_event() -> None:
    """DAT-7: also where it grows, or has a gap of messages that were refused before."""
    one = session()
    link, _ = open_on(one, WS)
    for message in "abcdef":
        send(one, message)
    one.transmit(link, 0)
    error = {"type": "error", "code": "not_read", "message": "", "number": 1, "last": 2}
    assert receive(one, link, error) == [Rejected(1, 2, 3, "not_read")]
    assert receive(one, link, error | {"last": 3}) == [Rejected(3, 3, 3, "not_read")]
    assert receive(one, link, error | {"number": 5, "last": 5}) == [Rejected(5, 5, 3, "not_read")]
    assert receive(one, link, error | {"last": 99}) == [
        Rejected(4, 4, 3, "not_read"),
        Rejected(6, 6, 3, "not_read"),
    ]


def test_refusal_is_an_error_of_its_send() -> None:
    """DAT-4, DAT-7."""
    assert isinstance(Rejected(1, 1, 300, "too_large").error(200), TooLarge)
    assert isinstance(Rejected(1, 1, 300, "not_read").error(200), NotRead)


def test_skipped_sends_are_in_no_later_fate() -> None:
    """DAT-5: no later fate includes them."""
    one = session()
    link, _ = open_on(one, WS)
    for message in "abcd":
        send(one, message)
    one.transmit(link, 0)
    for number in (1, 3):
        error = {"type": "error", "code": "too_large", "message": "", "number": number}
        assert receive(one, link, error) == [Rejected(number, number, 3, "too_large")]
    assert one.abandon(1001, "")[0] == Closed(
        1001,
        "",
        "protocol",
        clean=False,
        sends=[Settled(2, 2, Fate.UNKNOWN), Settled(4, 4, Fate.UNKNOWN)],
        is_abandoned=True,
    )


def test_frames_after_the_end_of_a_link_are_ignored() -> None:
    one = session()
    link, _ = open_on(one, POLL)
    lines = [{"type": "drain", "retry_in": 1}, [1, 0, "late"]]
    text = "\n".join(map(json.dumps, lines))
    assert names(one.handle_input(link, Answer(Request.POLL, 200, text), 0)) == ["drain"]
    assert one.incoming.received == 0
    assert one.transmit(link, 0) == []


def test_ended_channel_neither_reads_nor_writes() -> None:
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


def test_send_after_the_servers_close_is_refused() -> None:
    one = session()
    link, _ = open_on(one, WS)
    close = {"type": "close", "code": 3001, "reason": "bye", "by": "app", "last": 1, "ack": 0}
    assert receive(one, link, close) == []  # 1 is still to come
    with pytest.raises(ChannelClosed, match="3001: bye"):
        send(one, "x")
    events = receive(one, link, [1, 0, "last"])
    assert [type(event) for event in events] == [Messages, Closed]


def test_events_carry_their_fields() -> None:
    one = session()
    link = begin(one, WS)
    [event] = receive(one, link, opened(link))
    assert isinstance(event, Attached)
    assert (event.id, event.replayed) == ("a7", 0)
    superseded = {"type": "error", "code": "superseded", "message": ""}
    one.transmit(link, 0)
    events = receive(one, link, {**superseded, "attach": 9, "client": "another-0123456789"})
    assert events[0] == Superseded(9, "another-0123456789")


def test_first_close_counts() -> None:
    """CLS-1."""
    one = session()
    one.close(4001, "first")
    one.close(4002, "second")
    assert one.ending is not None
    assert (one.ending.code, one.ending.reason) == (4001, "first")


def test_kinds_are_those_of_the_last_opened() -> None:
    """OPN-11."""
    one = session()
    open_on(one, WS, kinds=["a", "b"])
    assert list(one.handshake.kinds) == ["a", "b"]
    open_on(one, WS)
    assert list(one.handshake.kinds) == []


def test_end_tells_whether_it_was_abandoned() -> None:
    one = session()
    open_on(one, WS)
    (event,) = one.abandon(1001, "left")
    assert isinstance(event, Closed)
    assert event.is_abandoned
    link, _ = open_on(other := session(), WS)
    error = {"type": "error", "code": "window_exceeded", "message": "m"}
    (event,) = receive(other, link, error)
    assert isinstance(event, Closed)
    assert not event.is_abandoned


# Pings (LIV-2)


@pytest.mark.parametrize("transport", [WS, SSE, POLL])
def test_ping_is_answered(transport: TransportKind) -> None:
    one = session()
    link, _ = open_on(one, transport)
    if transport is not WS:
        one.handle_input(link, answered(), 0)  # the POST that confirms
        one.transmit(link, 0)
    assert (one.ping(), one.ping()) == (1, 2)
    assert written(one, link)[-2:] == ['{"type":"ping","id":1}', '{"type":"ping","id":2}']
    pongs = ['{"type":"pong","id":1}', '{"type":"pong","id":2}']
    if transport is WS:
        events = [event for pong in pongs for event in receive(one, link, pong)]
    else:
        text = "\n".join([answered().text, *pongs])
        events = one.handle_input(link, Answer(Request.POST, 200, text), 0)
    assert events == [Ponged(1), Ponged(2)]


def test_ping_that_was_cut_is_written_again() -> None:
    one = session()
    assert one.ping() == 1  # before any attach
    link, outputs = open_on(one, WS)
    assert outputs[-1].frames[-1] == '{"type":"ping","id":1}'
    begin(one, POLL)  # another attach, which does not lead yet
    assert one.ping() == 2
    assert written(one, link) == ['{"type":"ping","id":2}']
    one.handle_input(link, ConnectionLost("cut"), 0)
    link, outputs = open_on(one, WS)
    assert outputs[-1].frames[-1] == '{"type":"ping","id":2}'
    assert receive(one, link, '{"type":"pong","id":2}') == [Ponged(2)]
    assert receive(one, link, '{"type":"pong","id":1}') == []  # answered by the later one
    assert receive(one, link, '{"type":"pong","id":7}') == []
    assert receive(one, link, '{"type":"pong"}') == []
