"""What the pages of `tests/consumers/test_frameworks.py` talk to, and the hubs of the documents.

PAGE_ORIGIN: the origin of pages that do not come from here. Each page connects to
``/room?page=NAME&room=ROOM``. ``GET /sessions?page=NAME`` lists its sessions.
``POST /push?page=NAME&first=F&last=L`` sends numbers to its open session, and
``POST /close?page=NAME`` closes that. ``GET /chats`` counts the sessions of the documents' chats.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from transport import Channel, Hub, Identity, Limits


@dataclass(slots=True)
class Session:
    """One call of the handler."""

    page: str
    room: str
    messages: list[Any] = field(default_factory=list)
    open: bool = True


SESSIONS: list[Session] = []
CHANNELS: dict[str, Channel] = {}
"""The open channel of each page."""


async def handle(channel: Channel) -> None:
    """Send back each message."""
    query = HTTPConnection(channel.scope).query_params
    session = Session(query["page"], query["room"])
    SESSIONS.append(session)
    CHANNELS[session.page] = channel
    try:
        async for message in channel:
            session.messages.append(message)
            await channel.send(message)
    finally:
        session.open = False


async def authenticate(_: HTTPConnection, credentials: Any) -> Identity:
    """Let anyone in. The credentials are the name, or none."""
    return Identity(str(credentials or ""))


async def sessions(request: Request) -> Response:
    page = request.query_params["page"]
    return JSONResponse([asdict(session) for session in SESSIONS if session.page == page])


async def chats(_: Request) -> Response:
    return JSONResponse((await HUBS["/chat"].statistics()).sessions)


async def push(request: Request) -> Response:
    query = request.query_params
    for number in range(int(query["first"]), int(query["last"]) + 1):
        await CHANNELS[query["page"]].send(number)
    return Response(status_code=204)


async def close(request: Request) -> Response:
    await CHANNELS[request.query_params["page"]].close(4001, "as asked")
    return Response(status_code=204)


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def prices(channel: Channel) -> None:
    for price in (10, 11, 12):
        await channel.send(price)
    await channel.wait_closed()


async def assistant(channel: Channel) -> None:
    async for _ in channel:
        for token in ("for", "ty", "-two"):
            await channel.send({"answer": "1", "token": token})


# Pages that were closed end soon, and a page may open many sessions.
ROOM = Hub(
    handle,
    authenticate=authenticate,
    origins=[os.environ["PAGE_ORIGIN"]],
    limits=Limits(away=0.5, opens_per_second=1000),
)
HUBS = {
    "/room": ROOM,
    # A stream that is cut is noticed by its silence: Vite's proxy does not pass that on.
    "/chat": Hub(echo, limits=Limits(heartbeat=2, poll_hold=5)),
    "/prices": Hub(prices),
    "/assistant": Hub(assistant),
    "/string": Hub(echo),
    "/changed": Hub(echo),
}


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for hub in HUBS.values():
            await stack.enter_async_context(hub.lifespan(app))
        yield


app = Starlette(
    routes=[
        Route("/sessions", sessions),
        Route("/chats", chats),
        Route("/close", close, methods=["POST"]),
        Route("/push", push, methods=["POST"]),
        *(Mount(path, app=hub) for path, hub in HUBS.items()),
    ],
    lifespan=lifespan,
)
