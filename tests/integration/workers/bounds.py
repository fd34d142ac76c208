"""An application whose handlers send much, or take nothing."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette
from starlette.routing import Mount

from transport import Channel, Hub, Limits, Workers

MIB = 1024 * 1024
WINDOW = 2 * MIB
MESSAGE = "x" * 60_000
FILL = WINDOW // len(MESSAGE) - 1
"""Messages that a session keeps for a client that reads nothing."""


go_on = asyncio.Event()


async def serve(channel: Channel) -> None:
    """Echo; "fill" asks for `FILL` messages, and "rest" lets the handler rest until any "go on"."""
    async for message in channel:
        if message == "fill":
            for number in range(FILL):
                await channel.send([number, MESSAGE])
        elif message == "rest":
            await go_on.wait()
        elif message == "go on":
            go_on.set()
        else:
            await channel.send(message)


hub = Hub(
    serve,
    store=Workers(),
    limits=Limits(message=64_000, window_bytes=WINDOW),
)
app = Starlette(routes=[Mount("/", app=hub)], lifespan=hub.lifespan)
