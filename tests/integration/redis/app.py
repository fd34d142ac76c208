"""An application whose sessions are in the Redis that ``REDIS_URL`` names.

A channel is told in which process its handler runs, and gets what it sends back. Some messages do
something else: see `serve`. What each handler is given is recorded in a file of its process, in the
directory ``RECORD_TO``: a line for each message, with the session and the message. The log has all
events that are not for debugging, each in a line of its own. A process that finds the file
``LATER`` is one of a later release.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from secrets import token_hex

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from tests.integration.redis.later_release import become_later
from tests.support.browsers.member_page import PAGE
from tests.support.quick_redis import redis_store
from transport import Channel, Hub, Limits
from transport.stores.remote.times import Times

GATE = Path(os.environ["GATE"])
"""A handler that is to part waits until it exists."""

_record = os.open(
    f"{os.environ['RECORD_TO']}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND
)


def record(channel: Channel, message: object) -> None:
    """Write it before the handler does anything, so that it is there after a kill."""
    os.write(_record, _line(channel, message))


def times_given(channel: Channel, message: object) -> int:
    """Return how often handlers were given a message, in all processes."""
    given = [record.read_bytes() for record in Path(os.environ["RECORD_TO"]).iterdir()]
    return b"".join(given).count(_line(channel, message))


def _line(channel: Channel, message: object) -> bytes:
    return f"{channel.id} {json.dumps(message)}\n".encode()


async def serve(channel: Channel) -> None:
    """Serve a client."""
    run = token_hex(4)
    published = 0
    await channel.send({"pid": os.getpid()})
    async for message in channel:
        record(channel, message)
        match message:
            case {"join": str(name)}:
                await hub.group(name).add(channel)
            case {"publish": number, "in": str(name), **then}:
                published += 1
                await hub.group(name).send({"published": [channel.id, number, run, published]})
                if "die" in then and times_given(channel, message) == 1:
                    os._exit(9)
            case {"die": _}:
                os._exit(9)
            case {"part": text}:
                while not GATE.exists():  # noqa: ASYNC110, ASYNC240 - another process makes it
                    await asyncio.sleep(0.01)
                await channel.send(text)
                return
            case _:
                await channel.send(message)


async def page(request: Request) -> Response:
    """Return a page that has the browser client."""
    return HTMLResponse(PAGE)


if Path(os.environ["LATER"]).exists():
    become_later()
log = logging.getLogger("transport")
log.setLevel(logging.INFO)
log.addHandler(logging.StreamHandler())
LIMITS = Limits(
    opens_per_second=100_000,
    sessions_per_address=100_000,
    drain_grace=1.0,
    **json.loads(os.environ.get("LIMITS", "{}")),
)
store = redis_store(
    os.environ["REDIS_URL"], Times().scaled(float(os.environ.get("TIMES_FACTOR", "1")))
)
hub = Hub(serve, store=store, limits=LIMITS)
app = Starlette(routes=[Route("/page", page), Mount("/", app=hub)], lifespan=hub.lifespan)
