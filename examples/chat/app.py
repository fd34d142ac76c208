"""A chat room. Alone: `uvicorn app:app --app-dir examples/chat`."""

import sys
import time
from collections import deque
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
history: deque[dict[str, Any]] = deque(maxlen=5)


async def chat(channel: Channel) -> None:
    """Serve one guest. Called once per session, however often its connection is cut."""
    channel.state.name = "Guest"
    for message in greet():
        await channel.send(message)
    await lobby.add(channel)
    async with here.counting(channel) as tasks:
        async for message in channel:
            match message:
                case {"name": str(name)}:
                    channel.state.name = " ".join(name.split())[:24] or "Guest"
                    await tell(who())
                case {"text": str(text), "key": str(key)}:
                    await say(channel.state.name, text[:2000], key[:64])
                case {"robot": int(lines)}:
                    tasks.start_soon(robot, min(lines, 50))
                case _:
                    pass


def greet(topic: str = "") -> list[Any]:
    """Return what a new session is sent first, and each new plain WebSocket."""
    return [numbers.hello(len(history)), *history, who()]


def who() -> dict[str, Any]:
    return {"here": [channel.state.name for channel in here]}


async def say(name: str, text: str, key: str = "") -> None:
    """Add a line to the conversation. By the key a page recognizes its own line."""
    line = numbers.number({"name": name, "text": text, "key": key, "at": time.time()})
    history.append(line)
    await tell(line)


async def robot(lines: int) -> None:
    for line in range(1, lines + 1):
        await say("Robot", f"line {line} of {lines}")
        await anyio.sleep(0.5)


async def tell(message: dict[str, Any]) -> None:
    await lobby.send(message)
    plain.send(message)


hub = Hub(chat)
lobby = hub.group("lobby")
here = Here(lambda: tell(who()))
plain = PlainSockets(greet)
routes = [Mount("/channel", app=hub), WebSocketRoute("/plain", plain.serve), *files(__file__)]
app = Starlette(routes=routes, lifespan=hub.lifespan)
