"""Hubs with a console page: ``/open``, ``/live``, ``/renamed``, ``/private`` with `authenticate`.

``/live`` and ``/renamed`` are as behind a proxy that strips the prefix: the hub knows nothing of
it. ``/renamed`` gets another ``Host`` too, with the page's origin in ``origins``. Each hub echoes.
"""

from __future__ import annotations

from functools import cache

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from transport import Channel, Hub, Identity


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def authenticate(connection: HTTPConnection, credentials: object) -> Identity | None:
    is_known = connection.cookies.get("session") == "ada" or credentials == {"token": "ada"}
    return Identity("ada") if is_known else None


live = Hub(echo, console=True)


@cache
def renamed(host: str) -> Hub:
    return Hub(echo, console=True, origins=[f"http://{host}"])


mounts = Starlette(
    routes=[
        Mount("/open", app=Hub(echo, console=True)),
        Mount("/private", app=Hub(echo, console=True, authenticate=authenticate)),
    ]
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    prefix = "/" + scope.get("path", "/").split("/")[1]
    match prefix:
        case "/live":
            await live({**scope, "path": scope["path"].removeprefix(prefix)}, receive, send)
        case "/renamed":
            headers = dict(scope["headers"])
            hub = renamed(headers[b"host"].decode())
            inner = {**headers, b"host": b"internal:80"}
            path = scope["path"].removeprefix(prefix)
            await hub({**scope, "path": path, "headers": list(inner.items())}, receive, send)
        case _:
            await mounts(scope, receive, send)
