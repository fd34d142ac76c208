"""Sessions that are opened, found and claimed, against a real Redis."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.unit.stores.redis.stored import (
    CLAIMED,
    HOME,
    IMAGE,
    OTHER,
    OTHER_RUN,
    RUN,
    Stored,
    step,
)
from transport.protocol.journal import ClaimRefusal, End, Heal, Image, Release, Touch
from transport.stores.journaled import GRACE, Ended, Found, Made
from transport.stores.redis.records import encode_birth


async def test_repeated_opening_finds_its_session(stored: Stored) -> None:
    """OPN-4."""
    made = stored.open("one", opening="nonce")
    assert isinstance(made, Made)
    assert stored.located("one") == made.image
    assert made.image == replace(IMAGE, born=made.image.born, seen=made.image.seen)
    assert stored.open("two", opening="nonce") == Found("one", HOME, 1)
    assert stored.located("two") is None
    assert isinstance(stored.claim("one"), Image)
    assert stored.open("three", opening="nonce") == Found("one", OTHER, 2)
    assert isinstance(stored.open("four", opening="another"), Made)


async def test_repeated_opening_learns_how_it_ended(stored: Stored) -> None:
    """CLS-5."""
    tombstone = bytes(range(256))
    stored.open("one", opening="nonce")
    stored.change("one", 1, End(tombstone))
    assert stored.open("two", opening="nonce") == Ended("one", tombstone)


async def test_opening_of_a_lost_session_makes_another(stored: Stored) -> None:
    stored.open("one", opening="nonce")
    stored.redis.call("DEL", stored.keys.record("one"))
    assert isinstance(stored.open("two", opening="nonce"), Made)
    assert stored.open("three", opening="nonce") == Found("two", HOME, 1)


async def test_opening_begins_without_messages(stored: Stored) -> None:
    stored.redis.call("RPUSH", stored.keys.log("one"), "of a record that was lost")
    stored.open("one")
    assert stored.log("one") == []


async def test_claim_returns_the_whole_session(stored: Stored) -> None:
    stored.open("one")
    payloads = ('"1"', b"\0\r\n\xff", '"é"')
    change = step(
        payloads=payloads,
        handled=7,
        acked=1,
        partial=2,
        trials=1,
        closing=b'["close",1000,""]',
        cursors={"news": 5, "left": None},
        touch=Touch(1000, RUN),
    )
    stored.change("one", 1, change)
    before = stored.located("one")
    assert before is not None
    claimed = stored.claim("one")
    assert isinstance(claimed, Image)
    assert before.seen + 1000 <= claimed.seen
    same = replace(before, home=OTHER, fence=2, epoch=CLAIMED, seen=claimed.seen)
    assert claimed == replace(same, payloads=payloads[1:])
    assert claimed.cursors == {"news": 5}
    assert not claimed.is_torn


@pytest.mark.parametrize("lost", ["all", "first"])
async def test_session_whose_log_is_lost_is_torn(stored: Stored, lost: str) -> None:
    stored.open("one")
    stored.change("one", 1, step(payloads=("1", "2")))
    log = stored.keys.log("one")
    stored.redis.call(*(("DEL", log) if lost == "all" else ("LPOP", log)))
    claimed = stored.claim("one")
    assert isinstance(claimed, Image)
    assert claimed.is_torn


async def test_released_session_is_claimed_from_nobody(stored: Stored) -> None:
    stored.open("one")
    stored.change("one", 1, Release())
    assert stored.claim("one") is ClaimRefusal.MOVED
    assert isinstance(stored.claim("one", home=""), Image)
    assert stored.claim("one", home="") is ClaimRefusal.MOVED


async def test_claim_after_the_store_went_back_has_an_epoch(stored: Stored) -> None:
    stored.open("one")
    stored.change("one", 1, step(payloads=("1", "2")))
    stored.redis.call("SET", stored.keys.born, encode_birth(OTHER_RUN, 1))
    claimed = stored.claim("one", run=OTHER_RUN)
    assert isinstance(claimed, Image)
    assert (claimed.run, claimed.epoch, claimed.epoch_first) == (OTHER_RUN, CLAIMED, 3)


async def test_claim_of_diverged_session_names_epoch_before(stored: Stored) -> None:
    """EPO-2: its clients know what its home has given."""
    stored.open("one")
    stored.change("one", 1, Heal(replace(IMAGE, version=1, epoch_first=2), idle=0))
    claimed = stored.claim("one")
    assert isinstance(claimed, Image)
    epochs = (claimed.epoch, claimed.epoch_first, claimed.epoch_before)
    assert epochs == (CLAIMED, 2, RUN)


def _age(stored: Stored, milliseconds: int) -> None:
    """Let the data have begun so long ago."""
    time = stored.redis.call("TIME")
    assert isinstance(time, list)
    begun = int(time[0]) * 1000 - milliseconds
    stored.redis.call("SET", stored.keys.born, encode_birth(RUN, begun))


async def test_nobody_claims_in_the_grace(stored: Stored) -> None:
    """Nor learns that a session is unknown or has expired; but that it has ended or moved."""
    for name in ("one", "ended", "expired"):
        stored.open(name)
    stored.change("ended", 1, End(b"x"))
    stored.change("expired", 1, step(touch=Touch(1_000_000, RUN)))
    for age in (0, -60_000):  # the clock of the server may step back too
        _age(stored, age)
        assert stored.claim("one") is GRACE
        assert stored.claim("expired") is GRACE
        assert stored.claim("unknown") is GRACE
        assert stored.claim("ended") is ClaimRefusal.ENDED
        assert stored.claim("one", fence=2) is ClaimRefusal.MOVED
    stored.redis.call("DEL", stored.keys.born)
    assert stored.claim("one") is GRACE
    _age(stored, 60_000)
    assert stored.claim("one", run=OTHER_RUN) is GRACE
    expired = stored.claim("expired")
    assert isinstance(expired, Image)
    assert expired.is_expired
    assert stored.claim("unknown") is ClaimRefusal.UNKNOWN
    assert isinstance(stored.claim("one"), Image)
