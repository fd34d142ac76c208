"""Mutants: rules of the core that are broken on purpose, one at a time. The vectors and the random
schedules must each notice those that are theirs; a mutant that survives fails here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tests.protocol.test_schedules import test_schedule as run_schedule
from tests.protocol.test_vectors import SESSIONS
from tests.protocol.test_vectors import test_session as run_vector
from transport.protocol import session as module
from transport.protocol.buffer import ReceiveCursor, SendBuffer
from transport.protocol.frames import Poll, Wire
from transport.protocol.session import Attachment, Session, Status

Patch = pytest.MonkeyPatch


def dedupe_off(patch: Patch) -> None:
    """NUM-3: a repetition is taken again."""
    repeated = ReceiveCursor.repeated

    def never(self: ReceiveCursor, seq: int, count: int) -> int:
        repeated(self, seq, count)  # gaps are still found
        return 0

    patch.setattr(ReceiveCursor, "repeated", never)


def ack_early(patch: Patch) -> None:
    """MRK-3: what is received is acknowledged, before the handler has finished with it."""

    class Early(ReceiveCursor):
        __slots__ = ()

        @property
        def handled(self) -> int:
            return self.received

        @handled.setter
        def handled(self, _: int) -> None:
            pass

    patch.setattr(module, "ReceiveCursor", Early)


def attach_number_ignored(patch: Patch) -> None:
    """ATT-3, ATT-4: no attach ends another, and none comes too late."""

    def confirm(self: Session, attachment: Attachment) -> None:
        attachment.status = Status.CONFIRMED
        self._confirmed_client = attachment.client

    patch.setattr(Session, "confirm", confirm)


def buffer_trimmed_on_write(patch: Patch) -> None:
    """NUM-4: what was written is forgotten."""
    frames = SendBuffer.frames

    def popped(self: SendBuffer, cursor: int, ack: int, *, binary: bool) -> list[Wire]:
        wires = frames(self, cursor, ack, binary=binary)
        self.acknowledge(self.last)
        return wires

    patch.setattr(SendBuffer, "frames", popped)


def confirmed_by_opening(patch: Patch) -> None:
    """ATT-2: an attach has the session at once, before its client knows."""
    attach = Session.attach

    def eager(self: Session, *args: Any, **options: Any) -> Any:
        attached = attach(self, *args, **options)
        if isinstance(attached, Attachment):
            self.confirm(attached)
        return attached

    patch.setattr(Session, "attach", eager)


def data_before_confirmation(patch: Patch) -> None:
    """ATT-3: a provisional attach may send."""
    patch.setattr(Session, "_may_send", lambda self, attachment: None)


def takeover_that_lies(patch: Patch) -> None:
    """ATT-6: another client is let in, though the session has moved since it opened."""
    confirm = Session.confirm

    def trusting(self: Session, attachment: Attachment) -> None:
        attachment.received_at_open = self.incoming.received
        attachment.holds = max(attachment.holds, self.outgoing.acked)
        confirm(self, attachment)

    patch.setattr(Session, "confirm", trusting)


def poll_cursor_popped(patch: Patch) -> None:
    """POL-2: what one poll was given, no other is given again."""
    poll = Session.poll

    def forgetful(self: Session, attachment: Attachment, frame: Poll, now: float) -> bool:
        given = attachment.cursor
        fresh = poll(self, attachment, frame, now)
        attachment.cursor = max(given, attachment.cursor)
        return fresh

    patch.setattr(Session, "poll", forgetful)


def any_mark_taken(patch: Patch) -> None:
    """MRK-5: a mark above all that was written is taken for an ack."""
    patch.setattr(SendBuffer, "check", lambda self, number: None)


MUTANTS: dict[Callable[[Patch], None], tuple[str, ...]] = {
    dedupe_off: ("vectors", "schedules"),
    ack_early: ("vectors",),
    attach_number_ignored: ("vectors", "schedules"),
    buffer_trimmed_on_write: ("vectors", "schedules"),
    confirmed_by_opening: ("vectors",),
    data_before_confirmation: ("vectors",),
    takeover_that_lies: ("vectors", "schedules"),
    poll_cursor_popped: ("vectors",),
    any_mark_taken: ("vectors",),
}
"""Each mutant, and the parts of the suite that must notice it."""

CASES: dict[str, list[Callable[[], None]]] = {
    "vectors": [partial(run_vector, one.values[0]) for one in SESSIONS],
    "schedules": [partial(run_schedule, seed) for seed in range(60)],
}


def notices(part: str) -> bool:
    """Whether a part of the suite fails now, by whatever its first failure is."""
    for case in CASES[part]:
        try:
            case()
        except Exception:  # noqa: BLE001 - a test may fail in any way
            return True
    return False


@pytest.mark.parametrize(
    ("mutant", "part"),
    [
        pytest.param(mutant, part, id=f"{mutant.__name__}-{part}")
        for mutant, parts in MUTANTS.items()
        for part in parts
    ],
)
def test_no_mutant_survives(mutant: Callable[[Patch], None], part: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        assert notices(part), f"{mutant.__name__} survived the {part}: {mutant.__doc__}"


def test_what_is_not_mutated_passes() -> None:
    """Else nothing would be told by a failure."""
    assert not notices("vectors")
