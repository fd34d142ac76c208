"""Hubs of different handlers share no sessions; the same hub in several workers does."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.clients.frame_client import frame_client
from tests.unit.server.relay.conftest import DEADLINE, echo
from tests.unit.server.relay.test_edges import resuming
from transport import Channel, Hub
from transport.bus.workers import Workers
from transport.server.application import Handler


def other_echo() -> Handler:
    """Return another handler with the last name of `echo`."""

    async def echo(channel: Channel) -> None:
        await channel.receive()

    return echo


async def verdict_elsewhere(first: Hub, second: Hub) -> Any:
    """Open a session at one hub; return the verdict of the other when it is resumed there."""
    async with asyncio.timeout(DEADLINE), first.lifespan(), second.lifespan():
        async with frame_client(first, "websocket") as client:
            pass
        async with frame_client(second, "websocket", resuming(client, 2)) as again:
            return again.opened["verdict"]


async def test_hubs_of_handlers_with_one_last_name_differ(folder: Path) -> None:
    hubs = [Hub(each, store=Workers(folder / "w")) for each in (echo, other_echo())]
    assert await verdict_elsewhere(*hubs) == "reset"


async def test_hubs_with_different_names_differ(folder: Path) -> None:
    hubs = [Hub(echo, store=Workers(folder / "w"), name=name) for name in ("one", "two")]
    assert await verdict_elsewhere(*hubs) == "reset"
    assert repr(hubs[0]) == "<Hub one>"


async def test_hub_of_the_same_name_is_the_same(folder: Path) -> None:
    hubs = [Hub(each, store=Workers(folder / "w"), name="one") for each in (echo, other_echo())]
    assert await verdict_elsewhere(*hubs) == "resumed"


@pytest.mark.parametrize("name", ["", 7])
def test_name_that_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="name must be"):
        Hub(echo, name=name)
