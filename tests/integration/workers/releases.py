"""An application in which each client gets what any client sends."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.routing import Mount

from transport import Channel, Hub, Workers


async def share(channel: Channel) -> None:
    """Send each message to everybody."""
    async for message in channel:
        await hub.broadcast(message)


hub = Hub(share, store=Workers())
app = Starlette(routes=[Mount("/", app=hub)], lifespan=hub.lifespan)
