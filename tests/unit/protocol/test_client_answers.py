"""How a client interprets the answers to its requests."""

from __future__ import annotations

import json

import pytest

from tests.unit.protocol.client_core import (
    POLL,
    SSE,
    answered,
    names,
    open_on,
    receive,
    send,
    session,
    written,
)
from transport.protocol.client.events import (
    Answer,
    LinkDropped,
    Request,
)


@pytest.mark.parametrize("text", ["", '{"type":"ack","ack":0}', '{"type":"pong"}', "<html>"])
def test_post_answered_by_an_intermediary_drops_the_link(text: str) -> None:
    one = session()
    link, _ = open_on(one, SSE)
    [reason] = names(one.handle_input(link, Answer(Request.POST, 200, text), 0))
    assert reason in ("bad_frame", "bad_json")


@pytest.mark.parametrize("text", ["", '{"type":"pong"}', '{"type":"ack","ack":0}'])
def test_post_answer_without_marks_drops_the_link(text: str) -> None:
    """SND-2: any other was not written by the channel."""
    one = session()
    link, _ = open_on(one, SSE)
    events = one.handle_input(link, Answer(Request.POST, 200, text), 0)
    assert names(events) == ["bad_frame"]


def test_retry_after_drops_link_for_that_time() -> None:
    """An intermediary that asks the client to wait is not asked again before."""
    one = session()
    link, _ = open_on(one, SSE)
    events = one.handle_input(link, Answer(Request.POST, 503, "<html>", 7), 0)
    assert events == [LinkDropped(link, "HTTP 503", 7, drained=False)]


def test_failed_post_is_repeated_whole() -> None:
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


def test_late_answer_to_a_repeated_post_is_ignored() -> None:
    """SND-1: a POST without a timely answer was retried, and its first copy fails late."""
    one = session()
    link, _ = open_on(one, SSE)
    one.handle_input(link, answered(), 0)
    send(one, "a")
    one.handle_input(link, Answer(Request.POST, 502), 0)
    assert '[1,0,"a"]' in written(one, link)


def test_empty_poll_answers_in_a_row_drop_the_link() -> None:
    """POL-2."""
    one = session()
    link, _ = open_on(one, POLL)
    seen = []
    for _ in range(3):
        seen.append(names(one.handle_input(link, Answer(Request.POLL, 200), 0)))
        one.transmit(link, 0)
    assert seen == [[], [], ["ended"]]


def test_poll_that_was_cut_asks_for_a_shorter_hold() -> None:
    one = session()
    link, _ = open_on(one, POLL)
    one.handle_input(link, Answer(Request.POLL, 504), 16)
    [out] = one.transmit(link, 16)
    assert json.loads(str(out.frames[0]))["hold"] == 8
    one.handle_input(link, Answer(Request.POLL, 502), 22)
    [out] = one.transmit(link, 22)
    assert json.loads(str(out.frames[0]))["hold"] == 5


def test_gaps_in_a_row_drop_the_link() -> None:
    """SND-3: the server says what it expects; the client retries at most three times."""
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


def test_link_is_dropped_once() -> None:
    """SND-2: an answer can report twice that the stream has ended."""
    one = session()
    link, _ = open_on(one, SSE)
    detached = answered(attached=False).text + '\n{"type":"drain","retry_in":0}'
    assert names(one.handle_input(link, Answer(Request.POST, 200, detached), 0)) == ["drain"]
