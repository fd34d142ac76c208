"""What only `MemoryStore` has: a bound on its tombstones (RES-8)."""

from __future__ import annotations

from transport.protocol.server.tombstone import Ending, Tombstone
from transport.stores.memory import MemoryStore
from transport.stores.records import Record
from transport.stores.tokens import hash_secret

HASH = hash_secret("secret")
TOMBSTONE = Tombstone(Ending(4416, "expired", "protocol"), handled=1, in_hand=1, last=2)


async def test_excess_tombstones_evict_oldest() -> None:
    """RES-8: memory stays bounded however many sessions end."""
    store = MemoryStore(tombstones=3)
    for number in range(5):
        await store.open(f"nonce{number}", Record(str(number), "", HASH), 0.0, 60.0)
        for _ in range(2):  # once more when the handler ends
            await store.save_tombstone(str(number), TOMBSTONE, 600.0 + number)
    kept = [number for number in range(5) if await store.find(str(number), 1.0) is not None]
    assert kept == [2, 3, 4]
    # Its nonce opens a new session, although it has not expired.
    assert (await store.open("nonce0", Record("new", "", HASH), 1.0, 60.0)).id == "new"


async def test_session_is_kept_when_its_id_is_opened_again() -> None:
    """By another nonce, or by one that has expired: the session lives."""
    store = MemoryStore()
    record = await store.open("nonce", Record("id", "", HASH), 0.0, 60.0)
    assert await store.open("nonce", Record("id", "", HASH), 100.0, 60.0) is record
    assert await store.find("id", 100.0) is record
