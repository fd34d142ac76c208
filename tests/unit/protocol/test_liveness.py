"""`check`: what is due on a connection as time passes."""

from __future__ import annotations

import pytest

from transport import codes
from transport.limits import Limits
from transport.protocol.frames import Drain, Error, Ping, TransportKind, Verdict
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.liveness import End, check

LIMITS = Limits(heartbeat=10.0, stream=100.0)


def attachment(transport: TransportKind, **fields: float | bool) -> Attachment:
    """Return an attachment that was opened at 0 and is writable."""
    one = Attachment(
        number=1,
        client="client-0123456789",
        transport=transport,
        cursor=1,
        attached_at=0.0,
        client_received=0,
        verdict=Verdict.NEW,
        writable=True,
    )
    for name, value in fields.items():
        setattr(one, name, value)
    return one


@pytest.mark.parametrize("transport", [TransportKind.WEBSOCKET, TransportKind.SSE])
def test_stream_is_pinged_after_silence_of_either_side(transport: TransportKind) -> None:
    """LIV-1."""
    assert check(attachment(transport), 9.9, LIMITS) is None
    assert check(attachment(transport), 10.0, LIMITS) == Ping()
    assert check(attachment(transport, written_at=5.0), 10.0, LIMITS) == Ping()
    assert check(attachment(transport, received_at=5.0), 10.0, LIMITS) == Ping()
    assert check(attachment(transport, received_at=5.0, written_at=5.0), 10.0, LIMITS) is None
    assert check(attachment(transport, pings=1, written_at=10.0), 19.9, LIMITS) is None


@pytest.mark.parametrize("transport", [TransportKind.WEBSOCKET, TransportKind.SSE])
def test_stream_ends_after_two_unanswered_pings(transport: TransportKind) -> None:
    """LIV-1."""
    found = check(attachment(transport, pings=2, written_at=29.0), 30.0, LIMITS)
    assert isinstance(found, End)
    assert found.code is codes.TIMEOUT
    assert isinstance(found.last, Error)


def test_event_stream_ends_after_its_time() -> None:
    """SSE-3."""
    active = {"received_at": 99.0, "written_at": 99.0}
    assert check(attachment(TransportKind.SSE, **active), 99.9, LIMITS) is None
    ended = check(attachment(TransportKind.SSE, **active), 100.0, LIMITS)
    assert ended == End(codes.RESTART, Drain(retry_in=0.0))
    assert check(attachment(TransportKind.WEBSOCKET, **active), 100.0, LIMITS) is None


def test_long_poll_ends_when_no_poll_comes() -> None:
    """A parked poll keeps its attachment, however long it waits."""
    waiting = attachment(TransportKind.LONGPOLL)
    assert check(waiting, 1000.0, LIMITS) is None
    idle = attachment(TransportKind.LONGPOLL, writable=False, written_at=5.0)
    assert check(idle, 29.9, LIMITS) is None
    assert check(idle, 30.0, LIMITS) == End(codes.TIMEOUT, None)
