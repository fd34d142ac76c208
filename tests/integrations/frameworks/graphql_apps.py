"""One GraphQL schema as Strawberry and as Ariadne serve it, each below a hub.

A subscription hears of every note that a mutation writes. ``GET /report`` counts subscriptions.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import ariadne
import strawberry
from ariadne.asgi import GraphQL as AriadneGraphQL
from ariadne.asgi.handlers import GraphQLTransportWSHandler
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from strawberry.asgi import GraphQL as StrawberryGraphQL

from transport import Hub, as_websocket


class Notes:
    """The notes of a room, and those who listen."""

    def __init__(self) -> None:
        self.listeners: dict[str, set[asyncio.Queue[str]]] = {}
        self.begun = 0
        self.ended = 0

    def write(self, room: str, text: str) -> str:
        for queue in self.listeners.get(room, ()):
            queue.put_nowait(text)
        return text

    async def listen(self, room: str) -> AsyncGenerator[str]:
        queue: asyncio.Queue[str] = asyncio.Queue()
        self.listeners.setdefault(room, set()).add(queue)
        self.begun += 1
        try:
            while True:
                yield await queue.get()
        finally:
            self.listeners[room].discard(queue)
            self.ended += 1


# Strawberry

of_strawberry = Notes()


@strawberry.type
class Query:
    @strawberry.field
    def ready(self) -> bool:
        return True


@strawberry.type
class Mutation:
    @strawberry.mutation
    def write(self, room: str, text: str) -> str:
        return of_strawberry.write(room, text)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def notes(self, room: str) -> AsyncGenerator[str]:
        async for note in of_strawberry.listen(room):
            yield note


strawberry_app = StrawberryGraphQL[Any, Any](strawberry.Schema(Query, Mutation, Subscription))


# Ariadne

of_ariadne = Notes()
mutation = ariadne.MutationType()
subscription = ariadne.SubscriptionType()


@mutation.field("write")
def resolve_write(_: object, info: object, room: str, text: str) -> str:
    return of_ariadne.write(room, text)


@subscription.source("notes")
async def generate_notes(_: object, info: object, room: str) -> AsyncGenerator[str]:
    async for note in of_ariadne.listen(room):
        yield note


@subscription.field("notes")
def resolve_notes(note: str, info: object, room: str) -> str:
    return note


ariadne_app = AriadneGraphQL(
    ariadne.make_executable_schema(
        """
        type Query { ready: Boolean! }
        type Mutation { write(room: String!, text: String!): String! }
        type Subscription { notes(room: String!): String! }
        """,
        mutation,
        subscription,
    ),
    websocket_handler=GraphQLTransportWSHandler(),
)


# Both in one application

_hubs = {"strawberry": Hub(as_websocket(strawberry_app)), "ariadne": Hub(as_websocket(ariadne_app))}


async def _report(_: Request) -> JSONResponse:
    notes = {"strawberry": of_strawberry, "ariadne": of_ariadne}
    return JSONResponse({name: [one.begun, one.ended] for name, one in notes.items()})


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for hub in _hubs.values():
            await stack.enter_async_context(hub.lifespan(app))
        yield


app = Starlette(
    routes=[
        Route("/report", _report),
        *(Mount(f"/{name}", app=hub) for name, hub in _hubs.items()),
    ],
    lifespan=_lifespan,
)
