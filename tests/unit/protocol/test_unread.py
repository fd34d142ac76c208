"""The refusal of messages that nobody receives (DAT-7)."""

from __future__ import annotations

import pytest

from tests.unit.protocol.server_core import LIMITS, attached
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Oversized
from transport.protocol.frames import Ack, Data, Error, Pong, Skip
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession


@pytest.fixture
def session() -> ServerSession:
    return ServerSession("s1", LIMITS, 0.0)


def test_unread_session_takes_messages_again(session: ServerSession) -> None:
    """DAT-12: but none that was refused; and closing ends the refusal."""
    attachment = attached(session)
    session.receive(attachment, Ack(ack=0), 0.0)
    session.receive(attachment, Data(1, 0, ["a"], 3), 0.0)
    session.stop_reading()
    assert (session.incoming.received, session.incoming.refused) == (0, 1)
    session.start_reading()
    assert len(session.receive(attachment, Data(1, 0, ["a", "b"], 6), 0.0)) == 1
    session.receive(attachment, Skip(number=1, ack=0), 0.0)
    assert session.receive(attachment, Data(2, 0, ["b"], 3), 0.0) == []
    assert session.receive_nowait() == "b"
    session.stop_reading()
    assert session.incoming.handled == 2
    session.close(1000, "", "app", 0.0)
    session.stop_reading()
    assert not session.is_unread


def test_session_unread_twice_refuses_what_is_new(session: ServerSession) -> None:
    """DAT-7: also before the client has skipped what was refused the first time."""
    attachment = attached(session)
    session.receive(attachment, Ack(ack=0), 0.0)
    session.stop_reading()
    session.receive(attachment, Data(1, 0, ["a"], 3), 0.0)
    session.start_reading()
    session.stop_reading()
    session.receive(attachment, Skip(number=1, ack=0), 0.0)
    assert (session.is_unread, session.incoming.handled) == (True, 1)
    assert len(session.receive(attachment, Data(2, 0, ["b"], 3), 0.0)) == 1


def test_message_for_a_receive_that_was_cancelled_is_refused(session: ServerSession) -> None:
    """DAT-7."""
    attachment = attached(session)
    session.receive(attachment, Ack(ack=0), 0.0)
    assert session.receive_nowait() is EMPTY
    session.receive(attachment, Data(1, 0, ["a", "b"], 6, '[1,0,"a","b"]'), 0.0)
    session.stop_reading()
    assert (session.incoming.received, session.incoming.refused) == (0, 1)
    session.start_reading()
    assert session.receive_nowait() is EMPTY


@pytest.mark.parametrize("code", ["too_large", "not_read"])
def test_what_follows_a_refusal_has_no_rate_at_first(code: str) -> None:
    """LIV-5, DAT-4: it was on its way; only if it is sent again and again it is in excess."""
    session = ServerSession("s1", Limits(batch=10), 0.0)
    attachment = attached(session)
    session.receive(attachment, Ack(ack=0), 0.0)
    if code == "not_read":
        session.stop_reading()
        session.receive(attachment, Data(1, 0, ["a"], 3), 0.0)
    else:
        session.receive(attachment, Oversized(Data(1, 0, []), 1), 0.0)
    for number in range(2, 900):
        assert session.receive(attachment, Data(number, 0, ["b"], 3), 0.0) == []
    if code == "not_read":  # it is refused by its number, which is told with the next message
        [error] = session.receive(attachment, Data(1, 0, ["a"], 3), 0.0)
        assert isinstance(error, Error)
        assert (error.number, error.last) == (1, 899)
    again = Data(899, 0, ["b"], 3)
    for _ in range(5):
        session.receive(attachment, again, 0.0)
    with pytest.raises(ProtocolError, match="too_many"):
        [session.receive(attachment, again, 0.0) for _ in range(9)]


def test_refused_messages_are_not_held(session: ServerSession) -> None:
    """DAT-6, DAT-7: what was given back takes no room in the window."""
    session = ServerSession("s1", Limits(message=1000, window_bytes=1000, window_messages=2), 0.0)
    attachment = attached(session)
    session.receive(attachment, Ack(ack=0), 0.0)
    session.receive(attachment, Data(1, 0, ["a", "b"], 2000), 0.0)
    session.stop_reading()
    session.start_reading()
    for number in (1, 2):
        session.receive(attachment, Skip(number=number, ack=0), 0.0)
    assert session.receive_nowait() is EMPTY
    session.receive(attachment, Data(3, 0, ["c", "d"], 2000), 0.0)
    assert session.receive_nowait() == "c"


def test_refusal_that_waits_is_told_once_for_all(session: ServerSession) -> None:
    """DAT-7: one that says more takes the place of one that is not written yet."""
    attachment = attached(session)
    session.receive(attachment, Ack(ack=0), 0.0)
    session.downlink.transmit(attachment, 0.0)
    session.stop_reading()
    for number in range(1, 5):
        replies = session.receive(attachment, Data(number, 0, ["a"], 3), 0.0)
        session.reply(attachment, replies)
    [frame] = session.downlink.transmit(attachment, 0.0)
    assert '"number":1,"last":4' in frame
    session.reply(attachment, [Pong(id=1)])
    session.reply(attachment, session.receive(attachment, Data(5, 0, ["a"], 3), 0.0))
    assert session.downlink.transmit(attachment, 0.0) == ['{"type":"pong","id":1}']
