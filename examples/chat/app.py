"""A chat room over whichever transport works. ``make demo`` serves it."""

import time
from collections import deque
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from transport import Channel, Hub

history: deque[dict[str, Any]] = deque(maxlen=50)


async def chat(channel: Channel) -> None:
    """Serve one guest. Called once per session, however often its connection is cut."""
    lobby = hub.group("lobby")
    name = ""
    try:
        async for message in channel:
            match message:
                case {"name": str(wanted)}:
                    before, name = name, " ".join(wanted.split())[:24] or "Guest"
                    if before:
                        await tell(f"{before} is now {name}")
                        continue
                    for line in history:
                        await channel.send(line)
                    lobby.add(channel)
                    await tell(f"{name} joined")
                case {"text": str(text), "key": str(key)} if name:
                    # The key lets pages recognize duplicates, and echoes of their own messages.
                    line = {"from": name, "text": text[:2000], "key": key[:64], "at": time.time()}
                    history.append(line)
                    await lobby.send(line)
    finally:
        lobby.discard(channel)
        if name:
            await tell(f"{name} left")


async def tell(news: str) -> None:
    """Send an announcement to the lobby, with the number of people in it."""
    lobby = hub.group("lobby")
    await lobby.send({"news": news, "people": len(lobby)})


hub = Hub(chat)
page = StaticFiles(directory=Path(__file__).parent / "page", html=True)
app = Starlette(
    routes=[Mount("/chat", app=hub), Mount("/", app=page)],
    lifespan=hub.lifespan,
)
