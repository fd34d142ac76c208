"""Live prices. Alone: `uvicorn app:app --app-dir examples/prices`."""

import random
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute

sys.path.append(str(Path(__file__).parents[2]))  # so that `examples` is found if it runs alone
from examples.panel.numbers import Numbers
from examples.panel.plain import PlainSockets
from examples.panel.site import files
from transport import Channel, Hub

INTERVAL = 0.25
"""Seconds between two quotes."""

prices = {"Apples": 120.0, "Pears": 85.0, "Plums": 240.0}
numbers = Numbers()


async def watch(channel: Channel) -> None:
    """Serve one page, which only listens."""
    await channel.send(numbers.hello())
    await feed.add(channel)
    await channel.wait_closed()


async def quote() -> None:
    """Send new prices to all pages, as long as the server runs."""
    while True:
        await anyio.sleep(INTERVAL)
        for name, price in prices.items():
            prices[name] = round(max(1, price * random.gauss(1, 0.004)), 2)
        message = numbers.number({"prices": dict(prices), "at": time.time()})
        await feed.send(message)
        plain.send(message)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with hub.lifespan(), anyio.create_task_group() as tasks:
        tasks.start_soon(quote)
        yield
        tasks.cancel_scope.cancel()


hub = Hub(watch)
feed = hub.group("prices")
plain = PlainSockets(lambda topic: [numbers.hello()])
routes = [Mount("/channel", app=hub), WebSocketRoute("/plain", plain.serve), *files(__file__)]
app = Starlette(routes=routes, lifespan=lifespan)
