"""How long keys last, and how much memory they take."""

from __future__ import annotations

from msgspec.structs import replace

from tests.unit.stores.redis.stored import IMAGE, OTHER, Stored, step
from transport.limits import Limits
from transport.protocol.frames import Close
from transport.protocol.journal import End, Heal, Image, Touch
from transport.protocol.server.tombstone import Ending, Tombstone, encode_tombstone
from transport.stores.redis.lives import Lives

TOMBSTONE = encode_tombstone(
    Tombstone(
        Ending(1000, "bye", "app", close=Close(1000, "bye", "app", 1_000_000, 1_000_000)),
        handled=1_000_000,
        in_hand=1_000_016,
        last=1_000_000,
        received=1_000_000,
        owner=IMAGE.holder,
    )
)


async def test_lives_follow_the_limits() -> None:
    lives = Lives.of(Limits(ttl=120, tombstone=600, nonce=60))
    assert lives == Lives(record=780_000, log=180_000, tombstone=600_000, opening=60_000)
    assert Lives.of(Limits(nonce=1e-9)).opening == 1  # Redis takes no 0


async def test_every_key_but_two_has_a_life(stored: Stored) -> None:
    keys, lives = stored.keys, stored.lives
    stored.redis.call("SET", keys.secret, "secret", "NX")
    for name in ("open", "stepped", "ended", "healed", "claimed"):
        stored.open(name)
    for name in ("stepped", "ended", "claimed"):
        stored.change(name, 1, step(payloads=("1",)))
    stored.change("ended", 2, End(TOMBSTONE))
    stored.change("healed", 1, Heal(replace(IMAGE, version=1, last=1, payloads=("1",)), idle=0))
    stored.change("buried", 1, Heal(replace(IMAGE, version=1, tombstone=TOMBSTONE), idle=0))
    assert isinstance(stored.claim("claimed"), Image)

    for name in ("open", "stepped", "healed", "claimed"):
        assert lives.tombstone < stored.lasts(keys.record(name)) <= lives.record
        assert 0 < stored.lasts(keys.opening(name)) <= lives.opening or name == "healed"
    for name in ("stepped", "healed", "claimed"):
        assert 0 < stored.lasts(keys.log(name)) <= lives.log
    for name in ("ended", "buried"):
        assert lives.log < stored.lasts(keys.record(name)) <= lives.tombstone
    everything = stored.redis.call("KEYS", "*")
    assert isinstance(everything, list)
    assert {key for key in everything if stored.lasts(key.decode()) < 0} == {
        keys.born.encode(),
        keys.secret.encode(),
    }


async def test_log_that_begins_anew_has_a_life_again(stored: Stored) -> None:
    log = stored.keys.log("one")
    stored.open("one")
    stored.change("one", 1, step(payloads=("1",)))
    stored.change("one", 2, step(first=2, acked=1))
    assert stored.lasts(log) == -2
    stored.change("one", 3, step(first=2, payloads=("2",), acked=1))
    assert 0 < stored.lasts(log) <= stored.lives.log


async def test_only_touch_and_claim_make_a_session_last(stored: Stored) -> None:
    keys = stored.keys
    stored.open("one")
    stored.change("one", 1, step(payloads=("1",)))
    version = 1
    for change in (None, Touch(0, IMAGE.run), "claim"):
        for key in (keys.record("one"), keys.log("one")):
            stored.redis.call("PEXPIRE", key, 10_000_000)  # longer than any life
        if isinstance(change, str):
            assert isinstance(stored.claim("one"), Image)
        else:
            version += 1
            stored.change("one", version, step(first=version, payloads=("1",), touch=change))
        was_set = change is not None
        assert (stored.lasts(keys.record("one")) <= stored.lives.record) is was_set
        assert (stored.lasts(keys.log("one")) <= stored.lives.log) is was_set


def _memory(stored: Stored, key: str) -> int:
    size = stored.redis.call("MEMORY", "USAGE", key)
    assert isinstance(size, int)
    return size


async def test_idle_session_takes_at_most_400_bytes(stored: Stored) -> None:
    """After a million messages in both directions. What is kept of its end is as small as that."""
    name = OTHER + "Kq3vM8sLxPzT"
    stored.open(name, opening="n" * 43)
    stored.change(name, 1, step(payloads=("1",), touch=Touch(0, IMAGE.run)))
    marks = {"handled": 1_000_000, "acked": 1_000_000, "last": 1_000_000, "confirmed": 70_000}
    image = replace(IMAGE, version=2_000_000, **marks)
    stored.change(name, 2_000_000, Heal(image, idle=0))
    stored.change(name, 2_000_001, step(first=1_000_001, handled=1_000_000, acked=1_000_000))
    assert stored.redis.call("EXISTS", stored.keys.log(name)) == 0
    assert _memory(stored, stored.keys.record(name)) <= 400
    assert _memory(stored, stored.keys.opening("n" * 43)) <= 200
    stored.change(name, 2_000_002, End(TOMBSTONE))
    assert _memory(stored, stored.keys.record(name)) <= 600


async def test_session_that_was_closing_is_packed_at_its_end(stored: Stored) -> None:
    stored.open("one")
    record = stored.keys.record("one")
    assert stored.redis.call("OBJECT", "ENCODING", record) == b"listpack"
    stored.change("one", 1, step(closing=b"x" * 200))
    assert stored.redis.call("OBJECT", "ENCODING", record) == b"hashtable"
    stored.change("one", 2, End(TOMBSTONE))
    assert stored.redis.call("OBJECT", "ENCODING", record) == b"listpack"
