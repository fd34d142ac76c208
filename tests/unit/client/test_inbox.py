"""The queue of messages that the application has not taken (MRK-3)."""

from __future__ import annotations

import asyncio
import gc
import sys
import tracemalloc

import pytest

from transport.client.inbox import Inbox
from transport.client.pacing import Pacing
from transport.limits import Limits
from transport.protocol.client.events import Messages
from transport.protocol.codec import Decoder
from transport.protocol.frames import Json


def arrived(text: str | bytes) -> Messages:
    """Return the event of a frame."""
    frame = Decoder(Limits()).decode(text)
    return Messages(frame.messages, 0, frame.size, frame.text)


@pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer's memory would be counted too")
def test_queued_messages_take_memory_of_their_json() -> None:
    """As Python objects these would take more than twenty times as much."""
    inbox = Inbox(Pacing())
    text = f"[1,0,[{','.join(['[]'] * 60_000)}]]"
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(10):
            inbox.put(arrived(text))
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 1.5 * 10 * len(text)
    finally:
        tracemalloc.stop()


async def test_messages_are_taken_unchanged_and_in_order() -> None:
    """DAT-2: whether or not a task waits when they arrive."""
    inbox = Inbox(Pacing())
    got: list[Json] = []

    async def take(count: int) -> None:
        for _ in range(count):
            got.append(await inbox.receive())  # noqa: PERF401

    waiting = asyncio.ensure_future(take(4))
    await asyncio.sleep(0)
    inbox.put(arrived('[1,0,{"a":[1.5,null]},"é😀",7]'))
    inbox.put(arrived((4).to_bytes(8, "big") + (0).to_bytes(8, "big") + b"\x00\xff"))
    await waiting
    inbox.put(arrived("[5,0,true,[[]]]"))
    await take(2)
    assert got == [{"a": [1.5, None]}, "é😀", 7, b"\x00\xff", True, [[]]]
    assert (inbox.received, inbox.handled) == (6, 5)
