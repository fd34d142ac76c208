"""Sessions of another machine, or of another supervisor, cannot be reached: that is logged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.frame_client import TRANSPORTS, frame_client
from tests.unit.server.relay.conftest import DEADLINE, echo, relay_of
from tests.unit.server.relay.test_edges import resuming
from transport import Hub, Limits
from transport.bus.workers import Workers
from transport.server.relay.foreign import LOG_INTERVAL, ForeignSessions

MakeCluster = Callable[..., Any]
FOREIGN = "0123456789ab" + "x" * 12


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_session_of_another_server_is_reset_and_logged(
    make_cluster: MakeCluster, folder: Path, caplog: pytest.LogCaptureFixture, transport: str
) -> None:
    other = Hub(echo, store=Workers(folder / "v"))
    async with asyncio.timeout(DEADLINE), make_cluster() as cluster, other.lifespan():
        here, _ = cluster.hubs
        async with frame_client(other, "longpoll") as first:
            await first.confirm()
        first.carrier.app = here  # type: ignore[attr-defined]
        for _ in range(2):
            answer = await first.post([1, 0, "x"])
            assert answer.frames[0]["code"] == "unknown_session"
        async with frame_client(here, transport, resuming(first, 2)) as second:
            assert second.opened["reset"]["reason"] == "restarted"
        assert "foreign_session" not in caplog.text, "clients of earlier workers still return"
        relay_of(here).openings._homes._foreign._silent_until = 0.0
        for _ in range(2):
            await first.post([1, 0, "x"])
        assert caplog.text.count("foreign_session") == 1
        assert 'Workers("/run/app")' in caplog.text


def test_foreign_sessions_are_logged_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    now = 1000.0
    foreign = ForeignSessions(Limits().ttl, lambda: now)
    lines = []
    for moment in (0.0, 119.0, 120.0, 121.0, 119.0 + LOG_INTERVAL, 120.0 + LOG_INTERVAL):
        now = 1000.0 + moment
        foreign.seen(FOREIGN)
        lines.append(caplog.text.count("foreign_session"))
    assert lines == [0, 0, 1, 1, 1, 2]


@pytest.mark.parametrize("invented", ["", "x", FOREIGN[:-1], FOREIGN + "y", "G" + FOREIGN[1:]])
def test_invented_session_is_not_logged(caplog: pytest.LogCaptureFixture, invented: str) -> None:
    foreign = ForeignSessions(0.0, lambda: 0.0)
    foreign.seen(invented)
    assert not caplog.text
