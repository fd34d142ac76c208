"""A session that a process has claimed, and what may have been handed out before."""

from __future__ import annotations

import pytest

from tests.unit.protocol.server_core import CLIENT, LIMITS, attached, close
from tests.unit.protocol.store_core import (
    image,
    is_readable,
    is_step_due,
    receive,
    restored,
    step_of,
    store,
)
from transport.limits import Limits
from transport.protocol.frames import Ack, ResetReason
from transport.protocol.journal import Touch
from transport.protocol.server.attachments import Attachment
from transport.protocol.server.inbox import EMPTY
from transport.protocol.server.session import ServerSession
from transport.protocol.server.tombstone import encode_close
from transport.protocol.states import SessionState

IMAGE = image(handled=3, acked=4, last=6, payloads=('"five"', b"six"), confirmed=2)


def test_restored_session_continues_from_its_image() -> None:
    session = restored(IMAGE)
    incoming, outgoing = session.incoming, session.outgoing
    assert (incoming.received, incoming.handled, incoming.delivered, incoming.shown) == (3,) * 4
    assert (outgoing.acked, outgoing.last, outgoing.shown, outgoing.sent) == (4, 6, 6, 6)
    assert outgoing.size == len('"five"') + len(b"six")
    assert not is_step_due(session)
    page = attached(session, 3, received=5)
    session.receive(page, Ack(ack=5), 0.0)
    receive(session, page, "4")
    assert session.receive_nowait() == "4"
    session.send('"seven"')
    session.receive_nowait()
    step = store(session)
    assert (step.first, step.payloads, step.handled, step.acked) == (7, ('"seven"',), 4, 5)
    assert (step.confirmed, step.holder) == (3, CLIENT)


def test_sends_of_former_homes_for_a_message_are_counted() -> None:
    session = restored(image(handled=3, last=6, acked=6, partial=2), trial=True)
    page = attached(session, 3, received=6)
    session.receive(page, Ack(ack=6), 0.0)
    touched = session.step(touch=Touch(1, "run"))
    assert touched is not None
    assert (session.partial, touched.partial) == (2, 2)
    session.stored(touched)
    receive(session, page, "4", "5")
    assert session.receive_nowait() is EMPTY
    assert store(session).partial == 2  # the trial
    assert session.receive_nowait() == "4"
    assert session.partial == 2
    session.send('"third"')
    assert store(session, force=True).partial == 3
    assert session.partial == 2
    assert session.receive_nowait() == "5"
    assert (session.partial, store(session).partial) == (0, 0)


def test_fate_of_what_a_killed_home_may_have_given_is_unknown() -> None:
    """RES-2: it may have handed out as many as the store did not know of."""
    session = restored(IMAGE)
    session.reset(ResetReason.SHUTDOWN)
    tombstone = session.tombstone()
    assert (tombstone.handled, tombstone.in_hand) == (3, 3 + LIMITS.unstored)
    session = restored(IMAGE)
    session.close(1000, "", "app", 0.0)
    assert session.closing is not None
    assert (session.closing.ack, session.closing.in_hand) == (3, 3 + LIMITS.unstored)
    # A store that has gone back does not know how many were handled since.
    session = restored(image(handled=3, epoch_first=1))
    session.reset(ResetReason.SHUTDOWN)
    assert session.tombstone().in_hand == 3 + LIMITS.window_messages


def test_floor_ends_once_it_is_handled() -> None:
    limits = Limits(unstored=1)
    session = restored(IMAGE, limits=limits)
    page = attached(session, 3, received=6)
    session.receive(page, Ack(ack=6), 0.0)
    receive(session, page, "4", "5")
    session.receive_nowait()
    session.receive_nowait()
    store(session)
    session.receive_nowait()
    session.reset(ResetReason.SHUTDOWN)
    assert (session.tombstone().handled, session.tombstone().in_hand) == (4, 5)


# Trials


def trial(trials: int = 0) -> tuple[ServerSession, Attachment]:
    session = restored(image(handled=3, trials=trials), trial=True)
    return session, attached(session, 1)


@pytest.mark.parametrize("trials", [0, 1])
def test_first_message_after_death_of_home_is_a_trial(trials: int) -> None:
    session, page = trial(trials)
    assert not is_step_due(session)
    assert session.receive_nowait() is EMPTY
    receive(session, page, "4", "5")
    assert not is_readable(session)
    assert session.receive_nowait() is EMPTY
    step = step_of(session)
    assert (step.trials, step.handled) == (trials + 1, 3)
    assert session.receive_nowait() is EMPTY
    assert not is_step_due(session)
    session.stored(step)
    assert is_readable(session)
    assert session.receive_nowait() == "4"
    assert session.receive_nowait() == "5"
    step = store(session)
    assert (step.trials, step.handled) == (0, 4)


def test_idle_session_makes_no_trial() -> None:
    session, _ = trial(1)
    step = session.step(touch=Touch(1, "run"))
    assert step is not None
    assert step.trials == 1
    session.stored(step)
    assert not is_readable(session)
    assert not is_step_due(session)


def test_session_whose_home_was_not_killed_needs_no_trial() -> None:
    session = restored(image(trials=2))
    page = attached(session, 1)
    receive(session, page, "1")
    assert session.receive_nowait() == "1"


def test_message_that_has_killed_two_homes_closes_session() -> None:
    session = restored(image(handled=3, acked=0, last=1, payloads=('"a"',), trials=2), trial=True)
    assert session.state is SessionState.CLOSING
    assert session.closing is not None
    assert (session.closing.code, session.closing.ack) == (1011, 3)
    assert session.closing.in_hand == 3 + LIMITS.unstored
    assert store(session).closing == encode_close(session.closing)


def test_client_that_closes_needs_no_trial() -> None:
    session, page = trial()
    session.receive(page, close(last=3), 0.0)
    assert is_readable(session)


# What was stored in part


def test_part_of_a_message_is_kept_until_it_is_handled() -> None:
    """The next home may be killed, too, before it has handed the message out, or after."""
    session = restored(image(handled=3, last=2, partial=2, payloads=('"a"', '"b"')))
    page = attached(session, 1)
    touched = session.step(touch=Touch(1, "run"))
    assert touched is not None
    assert touched.partial == 2
    session.stored(touched)
    assert session.image(image()).partial == 2
    receive(session, page, "4", "5")
    session.receive_nowait()
    session.send('"c"')
    assert store(session, force=True).partial == 3
    session.receive_nowait()
    assert store(session).partial == 0
    session.send('"d"')
    assert store(session, force=True).partial == 1


def test_store_that_was_lost_does_not_know_the_last_number() -> None:
    """RES-2: a client may have had messages above those that it knows of."""
    session = restored(image(handled=3, last=4, acked=4, epoch_first=5))
    session.reset(ResetReason.STORE_LOST)
    reset = session.tombstone().reset_for(7)
    assert reset.lost == [8, None]
    assert (reset.handled, reset.in_hand) == (3, 3 + LIMITS.window_messages)


def test_message_that_handler_has_not_asked_for_is_no_trial() -> None:
    """It cannot kill the process: it is not handed out."""
    session, page = trial(1)
    receive(session, page, "4")
    assert not is_step_due(session)
    assert session.receive_nowait() is EMPTY
    assert step_of(session).trials == 2
