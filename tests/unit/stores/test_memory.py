"""The in-memory store, and the rules for tokens (OPN-4, RES-8, IDN-3)."""

from __future__ import annotations

from transport.protocol.server.tombstone import Ending, Tombstone
from transport.stores.memory import MemoryStore
from transport.stores.records import MAX_TOKENS, Record, hash_secret, make_token, split_token

TOMBSTONE = Tombstone(Ending(4416, "expired", "protocol"), handled=1, in_hand=1, last=2)


async def test_repeated_nonce_of_subject_finds_its_session() -> None:
    """OPN-4."""
    store = MemoryStore()
    first = Record("one", "ada")
    assert await store.open("nonce", first, 0.0, 60.0) is first
    assert await store.open("nonce", Record("two", "ada"), 59.0, 60.0) is first
    assert (await store.open("nonce", Record("three", "eve"), 59.0, 60.0)).id == "three"
    assert (await store.open("nonce", Record("four", "ada"), 60.0, 60.0)).id == "four"


async def test_forgotten_session_releases_its_nonce() -> None:
    store = MemoryStore()
    await store.open("nonce", Record("one", ""), 0.0, 60.0)
    await store.forget("one")
    assert await store.find("one", 0.0) is None
    assert (await store.open("nonce", Record("two", ""), 1.0, 60.0)).id == "two"


async def test_tombstone_is_found_until_it_expires() -> None:
    """RES-8."""
    store = MemoryStore()
    await store.open("nonce", Record("one", ""), 0.0, 60.0)
    await store.bury("one", TOMBSTONE, 610.0)
    await store.bury("nobody", TOMBSTONE, 610.0)
    found = await store.find("one", 609.0)
    assert found is not None
    assert found.tombstone == TOMBSTONE
    assert await store.find("one", 610.0) is None
    await store.sweep(609.0)
    assert await store.find("one", 609.0) is found
    await store.sweep(610.0)
    assert await store.find("one", 0.0) is None


async def test_excess_tombstones_evict_oldest() -> None:
    """RES-8: memory stays bounded however many sessions end."""
    store = MemoryStore(tombstones=3)
    for number in range(5):
        await store.open(f"nonce{number}", Record(str(number), ""), 0.0, 60.0)
        await store.bury(str(number), TOMBSTONE, 600.0 + number)
        await store.bury(str(number), TOMBSTONE, 600.0 + number)  # repeated when the handler ends
    kept = [number for number in range(5) if await store.find(str(number), 1.0) is not None]
    assert kept == [2, 3, 4]
    # Its nonce opens a new session, although it has not expired.
    assert (await store.open("nonce0", Record("new", ""), 1.0, 60.0)).id == "new"


async def test_sweep_removes_expired_nonces() -> None:
    """OPN-4."""
    store = MemoryStore()
    for number in range(3):
        await store.open(f"nonce{number}", Record(str(number), ""), float(number), 60.0)
    await store.sweep(61.0)
    assert (await store.open("nonce1", Record("new", ""), 60.5, 60.0)).id == "new"
    assert (await store.open("nonce2", Record("x", ""), 60.5, 60.0)).id == "2"


def test_three_secrets_are_valid_until_one_is_used() -> None:
    """OPN-4, IDN-3."""
    record = Record("one", "")
    for secret in ("a", "b", "c", "d"):
        record.issue(secret)
    assert len(record.hashes) == MAX_TOKENS
    assert not record.opens_to("a")
    assert all(record.opens_to(secret) for secret in "bcd")
    record.use("wrong")
    assert record.opens_to("b")
    record.use("c")
    assert [record.opens_to(secret) for secret in "bcd"] == [False, True, False]
    record.use("c")
    assert record.opens_to("c")


def test_secret_is_stored_only_as_hash() -> None:
    """IDN-3."""
    record = Record("one", "")
    record.issue("secret")
    assert record.hashes == [hash_secret("secret")]
    assert b"secret" not in record.hashes[0]


def test_malformed_tokens_are_rejected() -> None:
    assert split_token(make_token("id", "secret")) == ("id", "secret")
    for bad in ("", ".", "id", "id.", ".secret", "x" * 65 + ".secret"):
        assert split_token(bad) is None
    assert hash_secret("\ud800")
