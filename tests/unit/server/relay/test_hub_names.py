"""Hubs of different handlers share no sessions; the same hub in several workers does."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from tests.support.clients.frame_client import frame_client
from tests.unit.server.relay.conftest import DEADLINE, bus_of, echo
from tests.unit.server.relay.test_edges import resuming
from transport import Channel, Hub, as_websocket
from transport.bus.unix_bus import UnixBus
from transport.bus.workers import SharedWorkers, Workers
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
    hubs = [Hub(each, store=SharedWorkers(folder / "w")) for each in (echo, other_echo())]
    assert await verdict_elsewhere(*hubs) == "reset"


async def test_hubs_with_different_names_differ(folder: Path) -> None:
    hubs = [Hub(echo, store=SharedWorkers(folder / "w"), name=name) for name in ("one", "two")]
    assert await verdict_elsewhere(*hubs) == "reset"
    assert repr(hubs[0]) == "<Hub one>"


async def test_hub_of_the_same_name_is_the_same(folder: Path) -> None:
    hubs = [
        Hub(each, store=SharedWorkers(folder / "w"), name="one") for each in (echo, other_echo())
    ]
    assert await verdict_elsewhere(*hubs) == "resumed"


async def test_second_hub_of_a_name_in_a_process_is_refused(folder: Path) -> None:
    """Each would serve the sessions of the other. Once the first has stopped, it may start."""
    hubs = [Hub(each, store=Workers(folder / "w"), name="one") for each in (echo, other_echo())]
    async with hubs[0].lifespan():
        with pytest.raises(RuntimeError, match=r"the name 'one' .* name=\"chat\""):
            async with hubs[1].lifespan():
                pass
        elsewhere = Hub(echo, store=Workers(folder / "v"), name="one")
        async with elsewhere.lifespan():
            pass
    for hub in hubs:
        async with hub.lifespan():
            pass


async def chat(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve nobody."""


async def news(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve nobody."""


@pytest.mark.parametrize(
    "apps",
    [(chat, news), (FastAPI(title="a"), FastAPI(title="b")), (partial(chat), partial(news))],
    ids=["functions", "titles", "partials"],
)
async def test_hubs_of_different_applications_differ(folder: Path, apps: tuple[Any, Any]) -> None:
    hubs = [Hub(as_websocket(each), store=Workers(folder / "w")) for each in apps]
    async with hubs[0].lifespan(), hubs[1].lifespan():
        first, second = map(bus_of, hubs)
        assert isinstance(first, UnixBus)
        assert isinstance(second, UnixBus)
        assert first.directory.path != second.directory.path


async def test_hubs_of_applications_without_a_name_are_refused(folder: Path) -> None:
    hubs = [Hub(as_websocket(Router()), store=Workers(folder / "w")) for _ in range(2)]
    async with hubs[0].lifespan():
        with pytest.raises(RuntimeError, match="name=") as raised:
            async with hubs[1].lifespan():
                pass
        assert "starlette.routing.Router" in str(raised.value)


@pytest.mark.parametrize("name", ["", 7])
def test_name_that_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="name must be"):
        Hub(echo, name=name)
