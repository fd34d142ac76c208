"""A home that goes on although another may have had the session, of which the store has nothing."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.unit.protocol.server_core import LIMITS, attached, opening
from tests.unit.protocol.store_core import code_of, image, receive, restored, store, written
from transport import codes
from transport.protocol.frames import (
    MAX_NUMBER,
    Ack,
    Close,
    ResetReason,
    reset_without_marks,
)
from transport.protocol.journal import Image
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.opening import Attach, Found, Replace, Resumption, resume
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import decode_close, decode_tombstone

IMAGE = image(last=5, acked=5, handled=3, epoch="run-1.b")


@pytest.fixture
def session() -> ServerSession:
    return restored(IMAGE)


@pytest.fixture
def page(session: ServerSession) -> Attachment:
    page = attached(session, 2, received=5)
    session.receive(page, Ack(ack=5), 0.0)
    return page


def heal(session: ServerSession, of: Image = IMAGE) -> Image:
    session.diverge()
    healed = session.image(of)
    session.healed(healed)
    return healed


def resumed(session: ServerSession, received: int, epoch: str, *, own: str) -> Resumption:
    """Return what a client is answered."""
    frame = replace(opening(4, received=received), session="s1.t", epoch=epoch, first_retained=4)
    return resume(frame, Found(session), epoch=own)


def test_client_of_another_home_is_reset(session: ServerSession, page: Attachment) -> None:
    """EPO-2: that may have given it another message under a number that this home gives, too."""
    session.send('"six"')
    assert heal(session).epoch_first == 6
    written(session, attached(session, 3, received=5))
    answer = resumed(session, 6, "run-1.c", own=IMAGE.epoch)
    assert isinstance(answer, Replace)
    assert answer.reset == reset_without_marks(ResetReason.STORE_LOST)


@pytest.mark.parametrize(("received", "epoch"), [(6, "run-1.b"), (5, "run-1.c"), (5, "run-1")])
def test_client_without_other_messages_resumes(
    session: ServerSession, page: Attachment, received: int, epoch: str
) -> None:
    """Those of this home have its messages, and others none that were given again."""
    session.send('"six"')
    heal(session)
    written(session, attached(session, 3, received=5))
    assert resumed(session, received, epoch, own=IMAGE.epoch) == Attach(session)


def test_client_of_diverged_home_resumes_at_the_next(
    session: ServerSession, page: Attachment
) -> None:
    session.send('"six"')
    before = replace(heal(session), epoch="run-1.d", epoch_before=IMAGE.epoch)
    session = restored(before)
    assert resumed(session, 6, IMAGE.epoch, own="run-1.d") == Attach(session)
    assert isinstance(resumed(session, 6, "run-1.c", own="run-1.d"), Replace)
    # What is given again from now on, none of them has.
    session.send('"seven"')
    assert heal(session, before).epoch_first == 6


def test_waiting_messages_are_asked_for_again(session: ServerSession, page: Attachment) -> None:
    """OPN-12: the other home may have handled them, and their client then does not have them."""
    receive(session, page, "4", "5", "6")
    assert session.receive_nowait() == "4"
    heal(session)
    assert code_of(page) is codes.RESTART
    assert (session.incoming.received, session.incoming.delivered) == (4, 4)
    again = attached(session, 3, received=5)
    session.receive(again, Ack(ack=5), 0.0)
    receive(session, again, "five")
    assert session.receive_nowait() == "five"
    assert session.incoming.handled == 4


def test_connection_ends_before_something_new(session: ServerSession, page: Attachment) -> None:
    """EPO-2: its client may have had another message of that number in the meantime."""
    receive(session, page, "4")
    assert session.receive_nowait() == "4"
    heal(session)
    assert code_of(page) is None
    receive(session, page, "5")
    assert session.receive_nowait() == "5"
    again = attached(session, 3, received=5)
    session.send('"six"')
    store(session, force=True)
    assert (code_of(page), code_of(again)) == (codes.RESTART, None)
    assert not any("six" in frame for frame in written(session, page))
    assert any("six" in frame for frame in written(session, again))


def test_connection_ends_before_it_is_told_of_an_end(
    session: ServerSession, page: Attachment
) -> None:
    """Its client may know that more was handled than this home does."""
    session.diverge()
    session.reset(ResetReason.SHUTDOWN)
    session.show_end()
    assert code_of(page) is codes.RESTART


def test_lost_connection_is_not_ended_by_a_divergence(
    session: ServerSession, page: Attachment
) -> None:
    heal(session)
    session.attachments.detach(page)
    session.send('"six"')
    store(session)
    assert code_of(page) is codes.NOT_ATTACHED


def test_messages_before_a_close_are_kept(session: ServerSession, page: Attachment) -> None:
    """Nobody is left to send them again."""
    receive(session, page, "4", "5")
    session.receive(page, Close(ack=5, code=1000, reason="", last=5, by="app"), 0.0)
    heal(session)
    assert [session.receive_nowait(), session.receive_nowait()] == ["4", "5"]


def test_close_tells_what_may_have_been_handed_out(
    session: ServerSession, page: Attachment
) -> None:
    """CLS-3: also if the session was closed, or has ended, before."""
    session.send('"six"')
    store(session)
    session.close(4000, "", "app", 0.0)
    assert session.closing is not None
    assert session.closing.in_hand == 3 + LIMITS.unstored
    healed = heal(session)
    known = 3 + LIMITS.window_messages
    assert decode_close(healed.closing).in_hand == known
    assert code_of(page) is codes.RESTART
    again = attached(session, 3, received=5)
    assert session.downlink.close == decode_close(healed.closing)
    session.receive(again, Ack(ack=6), 0.0)
    tombstone = decode_tombstone(heal(session).tombstone)
    assert tombstone.ending.close is not None
    assert tombstone.ending.close.in_hand == known


@pytest.mark.parametrize("closes", [True, False])
def test_tombstone_knows_no_fate_of_what_follows_what_is_lost(
    session: ServerSession, page: Attachment, *, closes: bool
) -> None:
    """RES-2, CLS-3: another home has told its client that more is handled."""
    if closes:
        session.close(4000, "", "app", 0.0)
    else:
        session.reset(ResetReason.SHUTDOWN)
    tombstone = session.tombstone()
    for retained, is_known in ((4, True), (5, False)):
        frame = replace(opening(4, received=5), session="s1.t", first_retained=retained)
        answer = tombstone.answer(frame)
        known: int | None
        if isinstance(answer, Close):
            known = 3 + LIMITS.unstored if is_known else MAX_NUMBER
        else:
            known = tombstone.in_hand if is_known else None
        assert answer.in_hand == known


def test_fate_of_what_the_other_home_may_have_given_is_unknown(
    session: ServerSession, page: Attachment
) -> None:
    """RES-2."""
    receive(session, page, "4")
    assert session.receive_nowait() == "4"
    session.receive_nowait()
    store(session)
    heal(session)
    session.reset(ResetReason.SHUTDOWN)
    tombstone = session.tombstone()
    assert (tombstone.handled, tombstone.in_hand) == (4, 4 + LIMITS.window_messages)
