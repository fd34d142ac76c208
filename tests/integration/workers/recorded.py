"""An application whose workers record every byte that they send to each other.

Each writes to a file of its own in the directory that ``RECORD_TO`` names.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any, cast

from starlette.applications import Starlette
from starlette.routing import Mount

from transport import Channel, Hub, Identity, Workers
from transport.bus.pipe import UnixPipe

_record = os.open(f"{os.environ['RECORD_TO']}/{os.getpid()}", os.O_WRONLY | os.O_CREAT)


class Recording:
    """A transport that records what is written to it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Record and write."""
        os.write(_record, data)
        self._transport.write(data)


_connection_made = UnixPipe.connection_made


def connection_made(pipe: UnixPipe, transport: asyncio.BaseTransport) -> None:
    """Give a pipe a transport that records."""
    _connection_made(pipe, cast("asyncio.BaseTransport", Recording(transport)))


UnixPipe.connection_made = connection_made  # type: ignore[assignment]


async def authenticate(connection: Any, credentials: Any) -> Identity:
    """Let everybody in, as one user."""
    return Identity("ada")


async def echo(channel: Channel) -> None:
    """Echo."""
    async for message in channel:
        await channel.send(message)


hub = Hub(echo, authenticate=authenticate, store=Workers())
app = Starlette(routes=[Mount("/", app=hub)], lifespan=hub.lifespan)
