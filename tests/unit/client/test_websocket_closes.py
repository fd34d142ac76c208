"""How the ends of a channel show as exceptions of ``websockets``."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.exceptions import ProtocolError as InvalidClose
from websockets.frames import Close

from transport.client.websocket.closes import (
    close_code,
    closed_error,
    received_close,
    sendable_close,
)
from transport.errors import ChannelClosed, SessionReset
from transport.protocol.client.events import Closed
from transport.protocol.frames import Initiator


def ending(code: int, by: Initiator = "app", *, clean: bool = True, left: bool = False) -> Closed:
    return Closed(code, "why", by, clean=clean, sends=(), is_abandoned=left)


LOST = SessionReset("restarted", None)

ENDS = {
    "by the application": (ending(1000), None, None, ConnectionClosedOK, 1000, True),
    "by it, with an error": (ending(4000), None, None, ConnectionClosedError, 4000, True),
    "by this side": (ending(1000), None, Close(1000, ""), ConnectionClosedOK, 1000, False),
    "by this side, with 4000": (
        ending(4000),
        None,
        Close(4000, ""),
        ConnectionClosedError,
        4000,
        False,
    ),
    "by the server as it stops": (
        ending(1012, "protocol"),
        None,
        None,
        ConnectionClosedError,
        1012,
        True,
    ),
    "refused": (
        ending(4401, "protocol", clean=False),
        None,
        None,
        ConnectionClosedError,
        4401,
        None,
    ),
    "closed, but messages were lost": (
        ending(1000, clean=False),
        None,
        None,
        ConnectionClosedError,
        1006,
        None,
    ),
    "given up": (
        ending(1001, "protocol", clean=False, left=True),
        None,
        Close(1000, ""),
        ConnectionClosedError,
        1006,
        None,
    ),
    "lost": (ending(1001), LOST, None, ConnectionClosedError, 1006, None),
    "lost, and not ended yet": (None, LOST, None, ConnectionClosedError, 1006, None),
}
"""How it ended, why it was lost, what was sent; the exception, its code and order."""


@pytest.mark.parametrize("name", ENDS)
def test_end_of_channel_is_that_of_a_connection(name: str) -> None:
    ended, lost, sent, kind, code, order = ENDS[name]
    error = closed_error(ended, lost, sent)
    assert type(error) is kind
    assert close_code(received_close(ended, lost)) == code
    assert (code == 1006) is (error.rcvd is None)
    assert error.rcvd_then_sent is order
    if lost is not None:
        assert error.__cause__ is lost
    else:
        assert isinstance(error.__cause__, ChannelClosed) is (code == 1006)


@pytest.mark.parametrize(
    ("code", "reason", "sent"),
    [
        (1000, "", Close(1000, "")),
        (1001, "x", Close(1001, "x")),
        (1002, "", Close(1008, "1002")),
        (1009, "too big", Close(1008, "1009: too big")),
        (1010, "é" * 61, Close(1008, "1010: " + "é" * 58)),
        (4999, "x" * 123, Close(4999, "x" * 123)),
    ],
)
def test_close_is_sent_as_one_of_a_session(code: int, reason: str, sent: Close) -> None:
    assert sendable_close(code, reason) == sent
    assert len(sent.reason.encode()) <= 123


@pytest.mark.parametrize(
    ("code", "reason"), [(0, ""), (1004, ""), (1005, ""), (1006, ""), (1015, ""), (1000, "x" * 124)]
)
def test_close_that_no_frame_has_is_refused(code: int, reason: str) -> None:
    with pytest.raises(InvalidClose):
        sendable_close(code, reason)
