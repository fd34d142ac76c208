"""The targets of the bad inputs: hubs of several kinds in one process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from tests.support.short_limits import ShortLimits
from transport import Channel, Hub, Identity, Limits

WINDOW = 10
"""Messages that the hub at ``/idle`` keeps unhandled."""

_MANY: dict[str, Any] = {"opens_per_second": 1_000_000, "sessions_per_address": 50_000}


async def echo(channel: Channel) -> None:
    """Send back every message."""
    async for message in channel:
        await channel.send(message)


async def idle(_: Channel) -> None:
    """Receive nothing."""
    await asyncio.Event().wait()


async def owner(_: HTTPConnection, credentials: Any) -> Identity | None:
    """Identify a client by the name that it sends as its credentials."""
    return Identity(credentials) if isinstance(credentials, str) else None


HUBS = {
    "chat": Hub(echo, limits=Limits(**_MANY)),
    "hasty": Hub(echo, limits=Limits(opening=0.5, **_MANY)),
    "users": Hub(echo, limits=Limits(**_MANY), authenticate=owner),
    "short": Hub(echo, limits=ShortLimits(ttl=0.4, heartbeat=0.1, poll_hold=0.1, **_MANY)),
    "idle": Hub(idle, limits=Limits(window_messages=WINDOW, drain_grace=0.1, **_MANY)),
    "full": Hub(echo, limits=Limits(opens_per_second=1_000_000, sessions_per_address=1)),
}


async def report(request: Request) -> Response:
    """Return the resources that the process holds now."""
    statistics = {name: await hub.statistics() for name, hub in HUBS.items()}
    return JSONResponse(
        {
            "opened": {name: one.opened for name, one in statistics.items()},
            "sessions": {name: one.sessions for name, one in statistics.items()},
            "channels": {"short": [channel.id for channel in HUBS["short"].channels]},
            "tasks": len(asyncio.all_tasks()),
            "descriptors": len(os.listdir("/proc/self/fd")),
        }
    )


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for hub in HUBS.values():
            await stack.enter_async_context(hub.lifespan(app))
        yield


app = Starlette(
    routes=[
        Route("/report", report),
        *(Mount(f"/{name}", app=hub) for name, hub in HUBS.items()),
    ],
    lifespan=lifespan,
)
