"""An application with users, whose sessions are in the Redis that ``REDIS_URL`` names.

``LIMITS`` has limits in JSON, beside the usual ones.
"""

from __future__ import annotations

import json
import os
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount

from transport import Channel, Hub, Identity, Limits
from transport.bus.redis_store import RedisStore


async def authenticate(connection: Any, credentials: Any) -> Identity:
    """Let everybody in, as one user."""
    return Identity("ada")


async def echo(channel: Channel) -> None:
    """Echo everything but null."""
    async for message in channel:
        if message is not None:
            await channel.send(message)


limits = Limits(**json.loads(os.environ["LIMITS"]))
hub = Hub(echo, authenticate=authenticate, store=RedisStore(os.environ["REDIS_URL"]), limits=limits)
app = Starlette(routes=[Mount("/", app=hub)], lifespan=hub.lifespan)
