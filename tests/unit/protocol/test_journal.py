"""What a store keeps of a session, and which writes it refuses."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from transport.protocol.journal import (
    Change,
    Claim,
    ClaimRefusal,
    End,
    Heal,
    Image,
    Refusal,
    Release,
    Step,
    Touch,
    Write,
    apply,
    claim,
    epoch_of,
    is_epoch_of,
)

NOW = 1_000_000

IMAGE = Image(
    home="aaa",
    fence=2,
    version=7,
    subject="alice",
    token=b"hash",
    hub="app:chat",
    born=NOW * 1000,
    seen=NOW,
    run="run-1",
    epoch="run-1",
    handled=3,
    acked=4,
    last=6,
    confirmed=1,
    holder="client",
    cursors={"news": 9},
    payloads=('"five"', b"six"),
)


def step(first: int = 7, payloads: tuple[str | bytes, ...] = (), **fields: object) -> Step:
    marks = {"handled": 3, "acked": 4, "confirmed": 1, "holder": "client", **fields}
    return Step(first=first, payloads=payloads, **marks)  # type: ignore[arg-type]


def write(change: Change, *, home: str = "aaa", fence: int = 2, version: int = 8) -> Write:
    return Write(home=home, fence=fence, version=version, change=change)


def applied(image: Image | None, one: Write) -> Image:
    after = apply(image, one, NOW)
    assert isinstance(after, Image)
    return after


def test_step_adds_messages_and_moves_marks() -> None:
    after = applied(
        IMAGE,
        write(step(7, ('"seven"',), handled=5, confirmed=2, holder="copy", partial=1, trials=1)),
    )
    assert after == replace(
        IMAGE,
        version=8,
        handled=5,
        confirmed=2,
        holder="copy",
        last=7,
        partial=1,
        trials=1,
        payloads=('"five"', b"six", '"seven"'),
    )
    assert not after.is_torn


def test_step_removes_what_is_acknowledged() -> None:
    after = applied(IMAGE, write(step(7, ('"seven"',), acked=6)))
    assert (after.acked, after.last, after.payloads) == (6, 7, ('"seven"',))
    assert not after.is_torn


def test_step_with_older_ack_keeps_the_higher() -> None:
    after = applied(IMAGE, write(step(acked=2)))
    assert (after.acked, after.payloads) == (4, IMAGE.payloads)


def test_step_with_stored_messages_adds_only_new_ones() -> None:
    after = applied(IMAGE, write(step(6, (b"six", '"seven"'))))
    assert (after.last, after.payloads) == (7, ('"five"', b"six", '"seven"'))
    assert applied(IMAGE, write(step(5, ('"five"',)))).last == 6


def test_step_after_lost_messages_is_behind() -> None:
    assert apply(IMAGE, write(step(8, ('"eight"',))), NOW) is Refusal.BEHIND


def test_step_of_a_torn_session_is_behind() -> None:
    """Its home still has what the store has lost; the next one would not."""
    torn = replace(IMAGE, payloads=IMAGE.payloads[1:])
    assert apply(torn, write(step(7)), NOW) is Refusal.BEHIND
    assert apply(torn, write(step(7, ('"seven"',))), NOW) is Refusal.BEHIND


def test_step_sets_and_removes_cursors() -> None:
    after = applied(IMAGE, write(step(cursors={"news": None, "chat": 3})))
    assert after.cursors == {"chat": 3}
    assert applied(IMAGE, write(step(cursors={"news": 10}))).cursors == {"news": 10}


def test_touch_of_step_says_when_client_was_seen() -> None:
    after = applied(IMAGE, write(step(touch=Touch(idle=250, run="run-2"))))
    assert (after.seen, after.run) == (NOW - 250, "run-2")
    assert applied(IMAGE, write(step())).seen == IMAGE.seen


def test_step_says_that_session_is_closing() -> None:
    assert applied(IMAGE, write(step(closing=b"close"))).closing == b"close"


@pytest.mark.parametrize(
    "change",
    [
        step(7, ('"seven"',)),
        Heal(replace(IMAGE, version=8, handled=99), idle=0),
        End(b"how"),
    ],
    ids=["step", "heal", "end"],
)
def test_repeated_write_changes_nothing(change: Change) -> None:
    one = write(change)
    once = applied(IMAGE, one)
    assert applied(once, one) == once


@pytest.mark.parametrize("change", [step(7, ("1",)), Heal(IMAGE, idle=0), End(b"how"), Release()])
def test_late_write_changes_nothing(change: Change) -> None:
    later = replace(IMAGE, version=9)
    assert applied(later, write(change)) == later


def test_write_of_unknown_session_is_refused() -> None:
    for change in (step(), End(b"how"), Release()):
        assert apply(None, write(change), NOW) is Refusal.GONE


@pytest.mark.parametrize("change", [step(), Heal(IMAGE, idle=0), End(b"how"), Release()])
def test_write_of_former_home_is_fenced(change: Change) -> None:
    claimed = replace(IMAGE, home="bbb", fence=3)
    assert apply(claimed, write(change), NOW) is Refusal.FENCED
    # A store that went back, and was claimed from then: the fence alone does not tell them apart.
    assert apply(replace(IMAGE, home="bbb"), write(change), NOW) is Refusal.FENCED
    assert apply(replace(IMAGE, home=""), write(change), NOW) is Refusal.FENCED


@pytest.mark.parametrize("change", [step(), End(b"how"), Release()])
def test_write_after_lost_one_is_behind(change: Change) -> None:
    assert apply(IMAGE, write(change, version=9), NOW) is Refusal.BEHIND
    # It has lost the claim, too.
    assert apply(IMAGE, write(change, fence=3, version=1), NOW) is Refusal.BEHIND


def test_heal_replaces_what_store_has() -> None:
    """It also tells when the client was seen, so that the session does not expire behind it."""
    image = replace(IMAGE, fence=3, version=12, handled=8)
    heal = write(Heal(image, idle=300), fence=3, version=12)
    for before in (None, IMAGE, replace(IMAGE, home="bbb")):
        assert apply(before, heal, NOW) == replace(image, seen=NOW - 300)


def test_end_leaves_a_tombstone() -> None:
    after = applied(IMAGE, write(End(b"how")))
    assert (after.tombstone, after.version, after.home, after.fence) == (b"how", 8, "aaa", 2)
    assert (after.payloads, after.cursors, after.last) == ((), {}, 0)
    assert (after.subject, after.token, after.born) == ("alice", b"hash", IMAGE.born)
    assert not after.is_torn
    for change in (step(), Heal(IMAGE, idle=0), End(b"again"), Release()):
        assert apply(after, write(change, version=9), NOW) is Refusal.ENDED


def test_release_leaves_session_without_home() -> None:
    after = applied(IMAGE, write(Release()))
    assert after == replace(IMAGE, home="", version=8)
    claimed = claim(after, replace(CLAIM, home=""), NOW)
    assert claimed == replace(after, home="bbb", fence=3, epoch="run-1.b")


def test_image_without_its_messages_is_torn() -> None:
    assert replace(IMAGE, payloads=()).is_torn
    assert not IMAGE.is_torn


# Claims

CLAIM = Claim(home="aaa", fence=2, by="bbb", run="run-1", epoch="run-1.b", ttl=1000)


def test_claim_changes_home_fence_epoch_and_sign_of_life_only() -> None:
    """A client has asked for it, so it is there."""
    claimed = replace(IMAGE, home="bbb", fence=3, epoch="run-1.b", seen=NOW + 1000)
    assert claim(IMAGE, CLAIM, NOW + 1000) == claimed
    assert not claimed.is_expired


def test_claim_is_refused_if_session_cannot_be_had() -> None:
    ended = applied(IMAGE, write(End(b"how")))
    assert claim(None, CLAIM, NOW) is ClaimRefusal.UNKNOWN
    assert claim(ended, CLAIM, NOW) is ClaimRefusal.ENDED
    assert claim(replace(IMAGE, home="ccc"), CLAIM, NOW) is ClaimRefusal.MOVED
    assert claim(replace(IMAGE, fence=3), CLAIM, NOW) is ClaimRefusal.MOVED


def test_session_that_has_expired_is_claimed_to_be_ended() -> None:
    """RES-1: also by another process, if the first one dies before it has ended the session."""
    first = claim(IMAGE, CLAIM, NOW + 1001)
    assert isinstance(first, Image)
    assert first.is_expired
    later = Claim(home="bbb", fence=3, by="ccc", run="run-1", epoch="run-1.c", ttl=1000)
    second = claim(first, later, NOW + 1002)
    assert isinstance(second, Image)
    assert second.is_expired


def test_claim_in_another_run_gives_numbers_again() -> None:
    """EPO-2: numbers above the last one that is stored may have been given before."""
    second = claim(IMAGE, replace(CLAIM, run="run-2", epoch="run-2.b"), NOW)
    assert isinstance(second, Image)
    assert (second.run, second.epoch, second.epoch_first) == ("run-2", "run-2.b", 7)
    for last, first in ((20, 7), (3, 4)):
        claimed = Claim(home="bbb", fence=3, by="ccc", run="run-3", epoch="run-3.c", ttl=1000)
        third = claim(replace(second, last=last), claimed, NOW)
        assert isinstance(third, Image)
        assert (third.epoch, third.epoch_first, third.epoch_before) == ("run-3.c", first, "")


def test_claim_of_diverged_session_names_epoch_before() -> None:
    """EPO-2: a client of the home before has none of the numbers that were given again."""
    diverged = replace(IMAGE, epoch_first=5, epoch_before="run-1.a")
    claimed = claim(diverged, CLAIM, NOW)
    assert isinstance(claimed, Image)
    assert (claimed.epoch, claimed.epoch_first) == ("run-1.b", 5)
    assert claimed.epoch_before == IMAGE.epoch


@pytest.mark.parametrize("epoch", ["run-1", "run-1.a"])
def test_epoch_of_a_home_is_of_its_run(epoch: str) -> None:
    assert is_epoch_of(epoch, "run-1")
    assert not is_epoch_of(epoch, "run-2")
    assert not is_epoch_of(epoch, "run")
    assert epoch_of("run-1", "a") == "run-1.a"
