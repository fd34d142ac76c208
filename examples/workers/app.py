"""A room with four workers. Alone: `uvicorn app:app --app-dir examples/workers --workers 4`."""

import multiprocessing
import os
import re
import signal
import sys
from pathlib import Path
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

sys.path.append(str(Path(__file__).parents[2]))  # so that `examples` is found if it runs alone
from examples.panel.site import files
from transport import Channel, Hub, Workers

HAS_SUPERVISOR = multiprocessing.parent_process() is not None
"""Whether uvicorn has started this process as a worker, and starts another in its place."""

LOOPBACK = {"127.0.0.1", "::1"}

is_guest = re.compile(r"[a-z0-9-]{1,40}").fullmatch


async def room(channel: Channel) -> None:
    """Serve one guest, in the home of its session."""
    await channel.send({"home": os.getpid(), "mayKill": may_kill(channel)})
    await lobby.add(channel)
    number = 0
    async for message in channel:
        match message:
            case {"text": str(text)}:
                number += 1
                await lobby.send({"from": channel.id, "n": number, "text": text[:200]})
            case "kill" if may_kill(channel):
                os.kill(os.getpid(), signal.SIGKILL)
            case _:
                pass


def may_kill(channel: Channel) -> bool:
    """Return whether a guest may kill this worker: only on this machine, and if another follows."""
    client = channel.scope.get("client") or [""]
    return HAS_SUPERVISOR and client[0] in LOOPBACK


class TellEdge:
    """Tells a page which worker has its connection, in a cookie, because the handler cannot know.

    Args:
        app: the hub.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        [guest] = parse_qs(scope.get("query_string", b"").decode()).get("guest", [""])[:1]

        async def tell(event: Message) -> None:
            if event["type"] in ("websocket.accept", "http.response.start"):
                cookie = f"edge-{guest}={os.getpid()}; Path=/; Max-Age=600; SameSite=Strict"
                event["headers"] = [*event.get("headers", ()), (b"set-cookie", cookie.encode())]
            await send(event)

        carries = scope["path"].endswith(("/websocket", "/sse", "/poll")) and is_guest(guest)
        await self._app(scope, receive, tell if carries else send)


hub = Hub(room, store=Workers())
lobby = hub.group("lobby")
routes = [Mount("/channel", app=TellEdge(hub)), *files(__file__)]
app = Starlette(routes=routes, lifespan=hub.lifespan)
