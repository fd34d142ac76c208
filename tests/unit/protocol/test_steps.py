"""What a session writes to its store, and where it cuts that."""

from __future__ import annotations

import pytest

from tests.unit.protocol.server_core import CLIENT, LIMITS, attached, close
from tests.unit.protocol.store_core import (
    image,
    is_force_due,
    is_readable,
    is_step_due,
    receive,
    restored,
    step_of,
    store,
)
from transport.limits import Limits
from transport.protocol.frames import Ack, Close, Data, ResetReason, Skip
from transport.protocol.journal import Image, Touch
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import (
    decode_close,
    decode_tombstone,
    encode_tombstone,
)
from transport.protocol.states import SessionState


@pytest.fixture
def session() -> ServerSession:
    session = ServerSession("s1", LIMITS, 0.0)
    session.journal()
    return session


@pytest.fixture
def page(session: ServerSession) -> Attachment:
    return attached(session)


def test_new_session_has_no_step(session: ServerSession, page: Attachment) -> None:
    assert not is_step_due(session)
    assert session.step() is None
    assert session.step(force=True) is None


def test_session_without_store_has_no_step() -> None:
    session = ServerSession("s1", LIMITS, 0.0)
    session.send('"a"')
    session.offered()
    session.set_cursor("news", 1)
    assert not is_step_due(session)
    assert not is_force_due(session)
    assert session.step(force=True) is None
    assert not session.paused
    assert not session.has_given_again("another", 1)


def test_sends_of_an_idle_handler_are_one_step(session: ServerSession, page: Attachment) -> None:
    session.send('"a"')
    session.send(b"b")
    step = step_of(session)
    assert (step.first, step.payloads, step.handled) == (1, ('"a"', b"b"), 0)
    assert (step.holder, step.confirmed, step.acked, step.partial) == (CLIENT, 0, 0, 0)
    assert not is_step_due(session)
    session.send('"c"')
    assert is_step_due(session)
    session.stored(step)
    assert session.outgoing.shown == 2
    assert store(session).first == 3
    assert session.outgoing.shown == 3


def test_step_ends_before_the_message_in_hand(session: ServerSession, page: Attachment) -> None:
    """Otherwise its replies would be sent twice, as it is handed out again after a kill."""
    receive(session, page, "1", "2")
    session.send('"before"')
    assert session.receive_nowait() == "1"
    session.send('"reply to 1"')
    step = step_of(session)
    assert (step.payloads, step.handled, step.partial) == (('"before"',), 0, 0)
    assert not is_step_due(session)
    assert is_force_due(session)
    assert session.receive_nowait() == "2"
    step = step_of(session)
    assert (step.first, step.payloads, step.handled) == (2, ('"reply to 1"',), 1)
    session.send('"reply to 2"')
    assert not is_step_due(session)
    assert session.receive_nowait() is EMPTY
    step = step_of(session)
    assert (step.first, step.payloads, step.handled) == (3, ('"reply to 2"',), 2)
    assert not is_force_due(session)


def test_handled_message_without_reply_is_a_step(session: ServerSession, page: Attachment) -> None:
    receive(session, page, "1")
    session.receive_nowait()
    assert not is_step_due(session)
    session.receive_nowait()
    assert step_of(session).handled == 1


def test_forced_step_counts_what_it_stores_in_part(
    session: ServerSession, page: Attachment
) -> None:
    receive(session, page, "1", "2")
    session.receive_nowait()
    session.send('"a"')
    session.send('"b"')
    step = store(session, force=True)
    assert (step.payloads, step.handled, step.partial) == (('"a"', '"b"'), 0, 2)
    assert session.outgoing.shown == 2
    assert not is_force_due(session)
    session.send('"c"')
    assert not is_step_due(session)
    touched = session.step(touch=Touch(1, "run"))
    assert touched is not None
    assert (touched.first, touched.payloads, touched.partial) == (3, (), 2)
    session.stored(touched)
    assert store(session, force=True).partial == 3
    session.receive_nowait()
    assert store(session).partial == 0


def test_offered_message_does_not_wait_for_handler(
    session: ServerSession, page: Attachment
) -> None:
    receive(session, page, "1")
    session.receive_nowait()
    session.send('"of a group"')
    session.offered()
    step = store(session)
    assert (step.payloads, step.handled, step.partial) == (('"of a group"',), 0, 0)
    session.send('"own"')
    session.send('"of a group too"')
    session.offered()
    assert not is_step_due(session)
    step = store(session, force=True)
    assert (len(step.payloads), step.partial) == (2, 1)
    session.send('"own again"')
    session.send('"third"')
    session.offered()
    assert store(session, force=True).partial == 2
    # What is offered while nothing is in hand counts for no message.
    session.receive_nowait()
    session.send('"fourth"')
    session.offered()
    store(session)
    receive(session, page, "2")
    session.receive_nowait()
    session.send('"own"')
    assert store(session, force=True).partial == 1


def test_offered_message_counts_for_no_later_one(session: ServerSession, page: Attachment) -> None:
    receive(session, page, "1", "2")
    session.receive_nowait()
    session.send('"own"')
    session.send('"of a group"')
    session.offered()
    session.receive_nowait()
    session.send('"own again"')
    assert store(session, force=True).partial == 1


def test_touch_is_a_step_of_its_own(session: ServerSession, page: Attachment) -> None:
    touch = Touch(idle=20, run="run-1")
    step = session.step(touch=touch)
    assert step is not None
    assert (step.touch, step.payloads, step.first) == (touch, (), 1)


def test_ack_is_written_with_the_next_step(session: ServerSession, page: Attachment) -> None:
    session.send('"a"')
    store(session)
    session.downlink.transmit(page, 0.0)
    session.receive(page, Ack(ack=1), 0.0)
    assert not is_step_due(session)
    session.send('"b"')
    step = store(session)
    assert (step.first, step.acked, step.confirmed) == (2, 1, 1)


def test_cursor_is_stored_with_its_message(session: ServerSession, page: Attachment) -> None:
    session.set_cursor("news", 4)
    assert store(session).cursors == {"news": 4}
    receive(session, page, "1")
    session.receive_nowait()
    session.send('"own"')
    session.send('"entry 5"')
    session.offered()
    session.set_cursor("news", 5)
    assert not is_step_due(session)
    assert session.image(image()).cursors == {"news": 4}
    assert store(session, force=True).cursors == {"news": 5}
    session.set_cursor("news", None)
    session.set_cursor("other", None)
    assert store(session).cursors == {"news": None, "other": None}
    assert session.image(image()).cursors == {}


def test_skipped_message_is_handled_in_a_step(session: ServerSession, page: Attachment) -> None:
    session.receive(page, Skip(number=1, ack=0), 0.0)
    assert session.receive_nowait() is EMPTY
    assert store(session).handled == 1


# The window of what may be handed out again


def test_handler_gets_no_more_than_unstored_messages(page: Attachment) -> None:
    session = ServerSession("s1", Limits(unstored=2), 0.0)
    session.journal()
    page = attached(session)
    receive(session, page, "1", "2", "3")
    assert [session.receive_nowait() for _ in range(2)] == ["1", "2"]
    assert not is_readable(session)
    assert session.receive_nowait() is EMPTY
    assert session.incoming.handled == 2
    step = step_of(session)
    assert session.receive_nowait() is EMPTY
    session.stored(step)
    assert is_readable(session)
    assert session.receive_nowait() == "3"
    session.receive_nowait()
    store(session)
    session.receive(page, close(last=3), 0.0)
    assert is_readable(session)


def test_big_message_is_not_held_while_next_waits() -> None:
    """The handler has finished with it, so its memory does not count."""
    session = ServerSession("s1", Limits(unstored=1), 0.0)
    session.journal()
    page = attached(session)
    big = "x" * 5000
    text = f'[1,0,"{big}","2"]'
    session.receive_nowait()
    session.receive(page, Data(1, 0, [big, "2"], 5010, text), 0.0)
    assert session.receive_nowait() == big
    assert session.inbox.in_hand_size > 5000
    assert session.receive_nowait() is EMPTY
    assert session.inbox.in_hand_size == 0


def test_paused_session_hands_out_nothing(session: ServerSession, page: Attachment) -> None:
    session.receive_nowait()  # it waits for the next message
    session.paused = True
    receive(session, page, "1")
    assert not is_readable(session)
    assert session.receive_nowait() is EMPTY
    session.receive(page, close(last=1), 0.0)
    assert not is_readable(session)
    session.paused = False
    assert is_readable(session)
    assert session.receive_nowait() == "1"


# Closing and the end


def test_close_is_stored_with_everything_before_it(
    session: ServerSession, page: Attachment
) -> None:
    """A handler that fails sends nothing more for its message, and no other is given it."""
    receive(session, page, "1")
    session.receive_nowait()
    session.send('"a"')
    session.close(1011, "failed", "protocol", 5.0, failed=True)
    step = store(session)
    assert (step.payloads, step.handled) == (('"a"',), 0)
    closing = decode_close(step.closing)
    assert isinstance(closing, Close)
    assert (closing.code, closing.last, closing.ack, closing.in_hand) == (1011, 1, 0, 1)
    after = restored(image(last=1, payloads=('"a"',), closing=step.closing), now=50.0)
    assert after.state is SessionState.CLOSING
    assert after.closing == after.downlink.close == closing
    assert not after.has_step
    after.tick(50.0 + LIMITS.closing)
    assert after.ending is not None
    assert after.ending.close == closing


def test_ended_session_has_no_step(session: ServerSession, page: Attachment) -> None:
    session.send('"a"')
    session.reset(ResetReason.SHUTDOWN)
    assert not is_step_due(session)
    assert not is_force_due(session)
    assert session.step(force=True, touch=Touch(1, "run")) is None


def test_stored_tombstone_is_read_again(session: ServerSession, page: Attachment) -> None:
    session.send('"a"')
    session.overflow()
    tombstone = session.tombstone()
    assert decode_tombstone(encode_tombstone(tombstone)) == tombstone
    session = restored(image())
    session.send('"a"')
    session.close(4001, "why", "app", 0.0, retry_in=2.0)
    session.tick(LIMITS.closing)
    tombstone = session.tombstone()
    assert decode_tombstone(encode_tombstone(tombstone)) == tombstone


# A store that has lost something


def test_store_that_lost_writes_gets_everything(session: ServerSession, page: Attachment) -> None:
    receive(session, page, "1", "2")
    session.send('"a"')
    step_of(session)  # and it is refused
    session.receive_nowait()
    session.send('"b"')
    session.receive_nowait()
    session.send('"c"')
    whole = session.image(image(home="bbb", fence=4))
    assert isinstance(whole, Image)
    assert (whole.home, whole.fence) == ("bbb", 4)
    assert (whole.last, whole.handled, whole.payloads) == (2, 1, ('"a"', '"b"'))
    assert not is_step_due(session)
    assert session.outgoing.shown == 0
    session.healed(whole)
    assert (session.outgoing.shown, session.incoming.shown) == (2, 1)
    session.receive_nowait()
    step = step_of(session)
    assert (step.first, step.payloads, step.handled) == (3, ('"c"',), 2)


def test_image_contains_what_was_stored_in_part(session: ServerSession, page: Attachment) -> None:
    receive(session, page, "1")
    session.receive_nowait()
    session.send('"a"')
    store(session, force=True)
    session.send('"b"')
    whole = session.image(image())
    assert (whole.last, whole.payloads, whole.partial) == (1, ('"a"',), 1)


def test_image_says_that_session_is_closing(session: ServerSession, page: Attachment) -> None:
    session.send('"a"')
    session.close(1000, "", "app", 0.0)
    whole = session.image(image())
    session.healed(whole)
    assert decode_close(whole.closing) == session.closing
    assert session.downlink.close == session.closing


def test_image_of_ended_session_is_its_tombstone(session: ServerSession, page: Attachment) -> None:
    """Nothing else remains of it, and a part of it would be torn."""
    session.send('"a"')
    store(session)
    session.reset(ResetReason.SHUTDOWN)
    whole = session.image(image(fence=4))
    assert decode_tombstone(whole.tombstone) == session.tombstone()
    assert (whole.fence, whole.payloads, whole.is_torn) == (4, (), False)
    session.healed(whole)
    assert session.end_shown
