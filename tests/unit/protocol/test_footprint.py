"""The memory that a session takes, as the bound on that of all sessions counts it."""

from __future__ import annotations

import pytest

from tests.unit.protocol.server_core import LIMITS, attached
from transport.protocol.codec import Decoder
from transport.protocol.frames import Ack
from transport.protocol.server.footprint import footprint
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession


@pytest.fixture
def session() -> ServerSession:
    return ServerSession("s1", LIMITS, 0.0)


def test_footprint_covers_buffers_and_message_in_hand(session: ServerSession) -> None:
    """It is what the bound on the memory of all sessions adds up."""
    attachment = attached(session)
    session.attachments.confirm(attachment)
    decoder = Decoder(LIMITS)
    assert footprint(session) == 0
    session.send('"' + "x" * 998 + '"')
    assert 3000 <= footprint(session) <= 3100
    session.downlink.transmit(attachment, 0.0)
    session.receive(attachment, Ack(ack=1), 0.0)
    assert footprint(session) == 0
    lists = "[" + ",".join(["[]"] * 1000) + "]"
    assert session.receive_nowait() is EMPTY
    session.receive(attachment, decoder.decode(f"[1,1,{lists}]"), 0.0)
    session.receive(attachment, decoder.decode(f"[2,1,{lists}]"), 0.0)
    session.receive(attachment, decoder.decode("[3,1,0]"), 0.0)
    assert footprint(session) > 6000 + 64_000
    for left in (6000, 3000):  # what the handler waits for, and what it does not
        assert session.receive_nowait() == [[]] * 1000
        assert left + 64_000 <= footprint(session) <= left + 200_000
    assert session.receive_nowait() == 0
    assert footprint(session) <= 300
    assert session.receive_nowait() is EMPTY
    assert footprint(session) == 0
