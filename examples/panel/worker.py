"""What a scene with several workers needs: which worker it is, and whether a page may kill it."""

import multiprocessing
import os
import re
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from transport import Channel

HAS_SUPERVISOR = multiprocessing.parent_process() is not None
"""Whether uvicorn has started this process as a worker, and starts another in its place."""

LOOPBACK = {"127.0.0.1", "::1"}

is_guest = re.compile(r"[a-z0-9-]{1,40}").fullmatch


def may_kill(channel: Channel) -> bool:
    """Return whether a guest may kill this worker: only on this machine, and if another follows."""
    client = channel.scope.get("client") or [""]
    return HAS_SUPERVISOR and client[0] in LOOPBACK


class TellEdge:
    """Tells a page which worker has its connection, in a cookie, because the handler cannot know.

    The page names itself in the channel's URL: `?guest=...`.

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
