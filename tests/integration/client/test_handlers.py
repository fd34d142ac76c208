"""What a client is told of handlers that fail, or do not receive, over real sockets."""

from __future__ import annotations

import datetime
import time
from typing import Any

import pytest

from tests.integration.client.kit import TRANSPORTS, apps, open_to
from tests.support.servers.uvicorn import serving
from transport import Fate, NotRead, SessionReset, Unacknowledged, Unsendable

each_transport = pytest.mark.parametrize("transport", TRANSPORTS)
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


def serving_app(name: str, **options: Any) -> Any:
    return serving(f"tests.integration.client.apps:{name}", "--no-access-log", **options)


@each_transport
async def test_channel_goes_on_after_a_failed_handler(transport: str) -> None:
    """CLS-8."""
    async with (
        serving_app("reopening", clean=False) as server,
        open_to(server.port, transport) as channel,
    ):
        first = channel.id
        await channel.send("good")
        assert await channel.receive() == "good"
        sends = [await channel.send("boom"), await channel.send("never")]
        with pytest.raises(SessionReset) as reset:
            await channel.receive()
        failed_at = time.monotonic()
        assert (reset.value.reason, reset.value.lost) == ("failed", ())
        for number, fate in zip(sends, (Fate.UNKNOWN, Fate.NOT_HANDLED), strict=True):
            with pytest.raises(Unacknowledged) as lost:
                await channel.acknowledged(number)
            assert lost.value.fate is fate
            assert lost.value.__cause__ is reset.value
        await channel.send("again")
        assert await channel.receive() == "again"
        assert time.monotonic() - failed_at >= 0.9
        assert channel.id != first
        assert channel.statistics().resets == 1


@each_transport
async def test_message_that_no_handler_receives_is_refused(transport: str) -> None:
    """DAT-7: before the refusals begin, and after that."""
    async with serving_app("pushing") as server, open_to(server.port, transport) as channel:
        assert await channel.receive() == "pushed"
        sends = [await channel.send(number) for number in range(3)]
        for number in sends:
            with pytest.raises(NotRead):
                await channel.acknowledged(number)
        with pytest.raises(NotRead):
            await channel.acknowledged(await channel.send("late"))


async def test_client_has_an_encoder_too() -> None:
    async with apps("echo") as server:
        async with open_to(server.port, encoder=str) as channel:
            await channel.send({"at": NOON})
            assert await channel.receive() == {"at": str(NOON)}
        async with open_to(server.port) as channel:
            with pytest.raises(Unsendable, match=r"connect\(encoder=\.\.\.\)"):
                await channel.send({"at": NOON})
