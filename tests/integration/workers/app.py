"""An application for several workers: it echoes, and says in which process its handler runs."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.routing import Mount

from transport import Channel, Hub, Limits, Workers


async def echo(channel: Channel) -> None:
    """Say the process id, then echo."""
    await channel.send(os.getpid())
    async for message in channel:
        await channel.send(message)


LIMITS = Limits(opens_per_second=100_000, sessions_per_address=100_000)
hub = Hub(echo, store=Workers(), limits=LIMITS)
app = Starlette(routes=[Mount("/", app=hub)], lifespan=hub.lifespan)
