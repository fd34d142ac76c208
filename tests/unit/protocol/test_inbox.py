"""The messages that wait for the handler, in the memory that the window counts (DAT-6)."""

from __future__ import annotations

import pytest

from transport.limits import Limits
from transport.protocol.codec import Decoder
from transport.protocol.frames import NOTHING, Data
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.server.footprint import footprint
from transport.protocol.server.inbox import EMPTY, Inbox
from transport.protocol.server.session import ServerSession

LISTS = f"[{','.join(['[]'] * 1000)}]"


@pytest.fixture
def window() -> ReceiveWindow:
    return ReceiveWindow(Limits())


def keep(inbox: Inbox, window: ReceiveWindow, text: str | bytes) -> None:
    """Let a frame arrive."""
    frame: Data = Decoder(Limits()).decode(text)
    window.take(len(frame.messages), frame.size)
    inbox.keep(frame.messages, frame)


@pytest.mark.parametrize("waits", [True, False])
def test_messages_are_taken_unchanged_and_in_order(window: ReceiveWindow, waits: bool) -> None:
    inbox = Inbox(window)
    assert not inbox
    if waits:
        assert inbox.take() is EMPTY
    keep(inbox, window, '[1,0,{"a":[1.5,null]},"é😀"]')
    keep(inbox, window, bytes(7) + b"\x03" + bytes(8) + b"\xff")
    window.take(1, 0)
    inbox.keep([NOTHING], Data(4, 0, [NOTHING]))
    keep(inbox, window, "[5,0,true]")
    assert inbox
    got = []
    while (message := inbox.take()) is not EMPTY:
        got.append(message)
        window.mark_handled()
    assert got == [{"a": [1.5, None]}, "é😀", b"\xff", True]
    assert (window.delivered, bool(inbox)) == (5, False)


def test_only_awaited_message_is_charged_as_objects(window: ReceiveWindow) -> None:
    """From its arrival: in one turn, messages of many sessions may arrive."""
    inbox = Inbox(window)
    keep(inbox, window, f"[1,0,{LISTS}]")
    assert inbox.in_hand_size == 0
    inbox.take()
    assert inbox.in_hand_size > 64_000
    window.mark_handled()
    assert inbox.take() is EMPTY
    assert inbox.in_hand_size == 0
    keep(inbox, window, f"[2,0,{LISTS}]")
    assert inbox.in_hand_size > 64_000


@pytest.mark.parametrize("taken", [True, False])
def test_cleared_inbox_charges_only_what_was_taken(window: ReceiveWindow, taken: bool) -> None:
    inbox = Inbox(window)
    inbox.take()
    keep(inbox, window, f"[1,0,{LISTS}]")
    if taken:
        inbox.take()
    inbox.clear()
    assert not inbox
    assert (inbox.in_hand_size > 0) is taken


def test_cleared_inbox_holds_only_what_is_in_hand(window: ReceiveWindow) -> None:
    """DAT-6: a frame of which a part was delivered is held until that part is handled."""
    inbox = Inbox(window)
    for number in range(1, 10, 3):
        keep(inbox, window, f"[{number},0,1,2,3]")
    frame = window.held // 3
    for _ in range(2):
        inbox.take()
        window.mark_handled()
    inbox.take()
    inbox.take()
    inbox.clear()
    assert window.held == 2 * frame
    window.release()
    assert window.held == 0
    assert (window.received, window.delivered, window.handled) == (9, 4, 2)


@pytest.mark.parametrize("closed", [True, False])
def test_ended_handler_holds_nothing_once_closed(closed: bool) -> None:
    """While the session lives on, as it does when it is handed over, its messages wait."""
    session = ServerSession("session", Limits(), 0.0)
    frame: Data = Decoder(Limits()).decode(f"[1,0,{LISTS},{LISTS}]")
    session.incoming.take(2, frame.size)
    session.inbox.keep(frame.messages, frame)
    session.receive_nowait()
    if closed:
        session.close(1011, "", "protocol", 0.0, failed=True)
    before = footprint(session)
    session.handler_ended()
    assert before > 64_000
    assert footprint(session) == (0 if closed else before)
