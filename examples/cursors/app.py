"""Cursors and presence. Alone: `uvicorn app:app --app-dir examples/cursors`."""

import math
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute

sys.path.append(str(Path(__file__).parents[2]))  # so that `examples` is found if it runs alone
from examples.panel.here import Here
from examples.panel.numbers import Numbers
from examples.panel.plain import PlainSockets
from examples.panel.site import files
from transport import Channel, Hub

numbers = Numbers()


async def point(channel: Channel) -> None:
    """Serve one page: tell all pages how its cursor moves."""
    for message in greet():
        await channel.send(message)
    await room.add(channel)
    async with here.counting(channel):
        async for message in channel:
            match message:
                case {"x": float() | int() as x, "y": float() | int() as y}:
                    await move(channel.id, x, y)
                case _:
                    pass


def greet(topic: str = "") -> list[Any]:
    return [numbers.hello(), who()]


def who() -> dict[str, Any]:
    return {"here": [channel.id for channel in here]}


async def move(cursor: str, x: float, y: float) -> None:
    await tell(numbers.number({"cursor": cursor, "x": x, "y": y}))


async def tell(message: dict[str, Any]) -> None:
    await room.send(message)
    plain.send(message)


async def robot() -> None:
    """Move a cursor, so that a single visitor sees one move."""
    step = 0
    while True:
        step += 1
        angle = step / 12
        await move("robot", 0.5 + 0.38 * math.sin(2 * angle), 0.5 + 0.38 * math.sin(3 * angle))
        await anyio.sleep(0.15)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with hub.lifespan(), anyio.create_task_group() as tasks:
        tasks.start_soon(robot)
        yield
        tasks.cancel_scope.cancel()


hub = Hub(point)
room = hub.group("room")
here = Here(lambda: tell(who()))
plain = PlainSockets(greet)
routes = [Mount("/channel", app=hub), WebSocketRoute("/plain", plain.serve), *files(__file__)]
app = Starlette(routes=routes, lifespan=lifespan)
