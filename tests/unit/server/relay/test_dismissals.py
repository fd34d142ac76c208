"""`close_user` also stops a session from beginning that is just being opened (IDN-2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.clients.frame_client import Ended, frame_client, open_frame
from tests.unit.server.relay.test_topics import DEADLINE, MakeCluster, by_name, silent
from transport.server.relay.reservations import Reservations


async def test_dismissal_reaches_session_that_is_being_reserved(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """IDN-2. Its client was let in, and the process waits for the owner of its opening."""
    reserve = Reservations.reserve
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slow(self: Reservations, *args: Any) -> str:
        asked.set()
        await go_on.wait()
        return await reserve(self, *args)

    monkeypatch.setattr(Reservations, "reserve", slow)
    async with asyncio.timeout(DEADLINE), make_cluster(silent, 2, authenticate=by_name) as cluster:
        a, b = cluster.hubs

        async def dismiss() -> None:
            await asked.wait()
            await a.close_user("mallory")
            go_on.set()

        dismissing = asyncio.ensure_future(dismiss())
        with pytest.raises(Ended) as ended:
            async with frame_client(b, "websocket", open_frame(credentials="mallory")):
                pass
        await dismissing
        assert ended.value.code == 4401
