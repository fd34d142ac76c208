"""An application for several workers: its channels are members of one group, and echo.

A channel is told in which process its handler runs. A number comes back, ``{"say": x}`` goes to all
members as ``{"said": x}``, and on ``{"hold": true}`` the handler says so and goes on for ever.
"""

from __future__ import annotations

import asyncio
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from tests.support.browsers.member_page import PAGE
from transport import Channel, Hub, Limits, Workers


async def talk(channel: Channel) -> None:
    """Serve a member."""
    room = hub.group("room")
    await room.add(channel)
    await channel.send({"pid": os.getpid()})
    async for message in channel:
        match message:
            case {"say": said}:
                await room.send({"said": said})
            case {"hold": _}:
                await channel.send({"held": True})
                await asyncio.get_running_loop().create_future()
            case _:
                await channel.send(message)


async def page(request: Request) -> Response:
    """Return a page that has the browser client."""
    return HTMLResponse(PAGE)


LIMITS = Limits(opens_per_second=100_000, sessions_per_address=100_000, drain_grace=1.0)
hub = Hub(talk, store=Workers(), limits=LIMITS)
app = Starlette(routes=[Route("/page", page), Mount("/", app=hub)], lifespan=hub.lifespan)
