"""Where a connection differs from one of ``websockets``: what each probe returns with either.

docs/existing-websocket.md says why.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.websocket.behaviours import Opener

Probe = Callable[[Opener], Awaitable[Any]]
DIFFERENCES: dict[Probe, tuple[Any, Any]] = {}
"""What a probe returns: with ``websockets``, and with ours."""


def differs(theirs: Any, ours: Any) -> Callable[[Probe], Probe]:
    def decorate(probe: Probe) -> Probe:
        DIFFERENCES[probe] = (theirs, ours)
        return probe

    return decorate


@differs(theirs=False, ours=True)
async def close_waits_for_the_application(opener: Opener) -> bool:
    """A WebSocket is closed by its endpoints; a session once the application has returned."""
    async with opener() as websocket:
        for _ in range(20):
            await websocket.send("slow")
    seen = await opener.report(lambda seen: seen.get("received"))
    return bool(seen["received"] == 20 and seen["disconnects"])


@differs(theirs=([1009, ""], 1009), ours=([1008, "1009"], 1008))
async def code_that_a_session_lacks(opener: Opener) -> tuple[list[Any], int | None]:
    """What the application receives, and what this side reports."""
    async with opener() as websocket:
        await websocket.close(1009)
    seen = await opener.report(lambda seen: seen.get("disconnects"))
    return seen["disconnects"][0], websocket.close_code


@differs(theirs=1009, ours=1008)
async def message_above_max_size(opener: Opener) -> int | None:
    async with opener(max_size=10, compression=None) as websocket:
        await websocket.send("0123456789")
        assert await websocket.recv() == "0123456789"
        await websocket.send("é" * 6)
        return await _code_sent(websocket)


@differs(theirs=1007, ours=1008)
async def bytes_that_are_no_text(opener: Opener) -> int | None:
    async with opener() as websocket:
        await websocket.send(b"\xff")
        return await _code_sent(websocket, decode=True)


async def _code_sent(websocket: Any, **options: Any) -> int | None:
    with pytest.raises(ConnectionClosed) as caught:
        await websocket.recv(**options)
    return None if caught.value.sent is None else int(caught.value.sent.code)


@differs(theirs="CLOSED", ours="OPEN")
async def state_after_mixed_fragments(opener: Opener) -> str:
    """A WebSocket has sent the first fragment by then; here it is sent as a whole, or not."""
    async with opener() as websocket:
        try:
            await websocket.send(["a", b"b"])
        except TypeError:
            return str(websocket.state.name)
    raise AssertionError("it was taken")


@differs(theirs=("yes", True), ours=(None, False))
async def what_the_server_tells_of_the_opening(opener: Opener) -> tuple[str | None, bool]:
    """A header of the accept; whether there is an address."""
    async with opener() as websocket:
        has_address = websocket.remote_address is not None
        return websocket.response.headers.get("x-accept"), has_address


@differs(theirs=b"denied", ours=b"")
async def body_of_a_denial(opener: Opener) -> bytes:
    try:
        await opener("deny?always=1&status=429")
    except InvalidStatus as denied:
        return bytes(denied.response.body)
    raise AssertionError("it was accepted")


@differs(theirs="ok", ours="TooLarge")
async def message_above_the_limit_of_the_hub(opener: Opener) -> str:
    async with opener() as websocket:
        try:
            await websocket.send("x" * 300_000)
        except ValueError as error:
            await websocket.send("still open")
            assert await websocket.recv() == "still open"
            return type(error).__name__
        assert len(await websocket.recv()) == 300_000
        return "ok"
