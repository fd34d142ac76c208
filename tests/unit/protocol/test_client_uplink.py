"""What a client's link writes, and when."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.protocol.client_core import (
    SSE,
    WS,
    answered,
    open_on,
    receive,
    send,
    session,
    written,
)
from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    ConnectionLost,
    Request,
)


@pytest.mark.parametrize("limits", [{"body": 3000}, {"batch": 6}])
def test_post_body_stays_within_the_limits(limits: dict[str, int]) -> None:
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


def test_websocket_message_stays_within_the_limits() -> None:
    one = session()
    link, _ = open_on(one, WS, limits={"body": 3000})
    for _ in range(50):
        send(one, "x" * 400)
    wires = written(one, link)
    assert one.outbox.buffer.sent == 50
    assert all(len(wire) <= 3000 for wire in wires)
    assert len(wires) < 12


@pytest.mark.parametrize("message", ["x" * 262142, bytes(262144)], ids=["text", "bytes"])
def test_largest_message_fits_a_body(message: Any) -> None:
    """Section 12: as text or as bytes."""
    one = session()
    send(one, message)
    _, [out] = open_on(one, SSE)
    assert len("\n".join(map(str, out.frames))) <= Limits().body
    assert len(out.frames) == 2


def test_retransmitted_messages_are_counted() -> None:
    one = session()
    link, _ = open_on(one, WS)
    send(one, "a")
    one.transmit(link, 0)
    one.handle_input(link, ConnectionLost("cut"), 0)
    open_on(one, WS)
    assert one.outbox.replayed == 1


def test_renewal_is_written_on_every_link() -> None:
    """REN-1."""
    one = session()
    link, _ = open_on(one, WS)
    one.renew("secret")
    assert written(one, link) == ['{"type":"renew","credentials":"secret"}']


def test_lone_ack_is_repeated_after_a_failed_post() -> None:
    """MRK-6."""
    one = session()
    link, _ = open_on(one, SSE)
    one.handle_input(link, answered(), 0)
    receive(one, link, [1, 0, "a"])
    assert one.deadline == pytest.approx(0.5)
    wires = written(one, link, 0.5)
    assert wires[1] == '{"type":"ack","ack":1}'
    one.handle_input(link, Answer(Request.POST, 502), 10)
    assert written(one, link, 10) == wires


def test_due_ack_does_not_wait_on_the_next_attach() -> None:
    one = session()
    link, _ = open_on(one, SSE)
    one.handle_input(link, answered(), 0)
    receive(one, link, [1, 0, "a"])
    one.handle_input(link, ConnectionLost("cut"), 0)
    open_on(one, SSE)
    assert one.deadline > 1


def test_failed_post_of_older_link_makes_no_ack_due() -> None:
    """MRK-6: a deadline that has passed, with nothing to write, would be waited for in a loop."""
    one = session()
    older, _ = open_on(one, SSE)
    open_on(one, WS)
    one.handle_input(older, Answer(Request.POST, 502), 1)
    assert one.deadline > 1


def test_unexpected_pong_is_ignored() -> None:
    """LIV-2."""
    one = session()
    link, _ = open_on(one, WS)
    assert receive(one, link, {"type": "pong"}) == []
    assert written(one, link) == []
