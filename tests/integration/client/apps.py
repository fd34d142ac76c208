"""Applications for the tests of the client, besides those of `tests.support.apps`."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount

from tests.support.apps import Application
from transport import Channel, Hub, Identity


async def _echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def _quiet(_: Application, channel: Channel) -> None:
    """Echo without recording messages, because a report is JSON and cannot contain bytes."""
    await _echo(channel)


async def _greet(channel: Channel) -> None:
    await channel.send(f"hello, {channel.user}")
    await _echo(channel)


async def _fail(channel: Channel) -> None:
    raise RuntimeError(await channel.receive())


async def _fail_at_boom(channel: Channel) -> None:
    async for message in channel:
        if message == "boom":
            raise RuntimeError
        await channel.send(message)


async def _push(channel: Channel) -> None:
    await channel.send("pushed")
    await channel.wait_closed()


async def _close_at_once(channel: Channel) -> None:
    for index in range(3):
        await channel.send(index)
    await channel.close(4000, "that was all")


async def _authenticate(connection: HTTPConnection, credentials: Any) -> Identity | None:
    if credentials != "open":
        return None
    return Identity("someone", user=connection.headers.get("x-it"))


def _app(hub: Hub) -> Starlette:
    return Starlette(routes=[Mount("/chat", app=hub)], lifespan=hub.lifespan)


no_websocket = _app(Hub(_echo, transports=("sse", "longpoll")))
guarded = _app(Hub(_greet, authenticate=_authenticate))
failing = _app(Hub(_fail))
reopening = _app(Hub(_fail_at_boom, on_error="reopen"))
pushing = _app(Hub(_push))
brief = _app(Hub(_close_at_once))
quiet = Application(_quiet).build()
