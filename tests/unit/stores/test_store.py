"""The contract of `Store`, run over every implementation (OPN-4, RES-8)."""

from __future__ import annotations

import pytest

from transport.protocol.server.tombstone import Ending, Tombstone
from transport.stores.interface import Store
from transport.stores.memory import MemoryStore
from transport.stores.records import Record
from transport.stores.tokens import hash_secret

HASH = hash_secret("secret")
TOMBSTONE = Tombstone(Ending(4416, "expired", "protocol"), handled=1, in_hand=1, last=2)


@pytest.fixture(params=[MemoryStore])
def store(request: pytest.FixtureRequest) -> Store:
    made: Store = request.param()
    return made


async def test_repeated_nonce_of_subject_finds_its_session(store: Store) -> None:
    """OPN-4."""
    first = Record("one", "ada", HASH)
    assert await store.open("nonce", first, 0.0, 60.0) is first
    assert await store.open("nonce", Record("two", "ada", HASH), 59.0, 60.0) is first
    assert (await store.open("nonce", Record("three", "eve", HASH), 59.0, 60.0)).id == "three"
    assert (await store.open("nonce", Record("four", "ada", HASH), 60.0, 60.0)).id == "four"


async def test_forgotten_session_releases_its_nonce(store: Store) -> None:
    await store.open("nonce", Record("one", "", HASH), 0.0, 60.0)
    await store.forget("one")
    assert await store.find("one", 0.0) is None
    assert (await store.open("nonce", Record("two", "", HASH), 1.0, 60.0)).id == "two"


async def test_tombstone_is_found_until_it_expires(store: Store) -> None:
    """RES-8."""
    await store.open("nonce", Record("one", "", HASH), 0.0, 60.0)
    await store.save_tombstone("one", TOMBSTONE, 610.0)
    await store.save_tombstone("nobody", TOMBSTONE, 610.0)
    found = await store.find("one", 609.0)
    assert found is not None
    assert found.tombstone == TOMBSTONE
    assert await store.find("one", 610.0) is None
    await store.sweep(609.0)
    assert await store.find("one", 609.0) is found
    await store.sweep(610.0)
    assert await store.find("one", 0.0) is None


async def test_sweep_removes_expired_nonces(store: Store) -> None:
    """OPN-4."""
    for number in range(3):
        await store.open(f"nonce{number}", Record(str(number), "", HASH), float(number), 60.0)
    await store.sweep(61.0)
    assert (await store.open("nonce1", Record("new", "", HASH), 60.5, 60.0)).id == "new"
    assert (await store.open("nonce2", Record("x", "", HASH), 60.5, 60.0)).id == "2"
