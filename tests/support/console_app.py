"""Hubs with a console page: at ``/open``, at ``/private`` with `authenticate`, and at ``/live``.

The last one knows nothing of its prefix, as behind a proxy that strips it. Each echoes.
"""

from __future__ import annotations

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


stripped = Hub(echo, console=True)
mounts = Starlette(
    routes=[
        Mount("/open", app=Hub(echo, console=True)),
        Mount("/private", app=Hub(echo, console=True, authenticate=authenticate)),
    ]
)


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope.get("path", "").startswith("/live"):
        await stripped({**scope, "path": scope["path"].removeprefix("/live")}, receive, send)
    else:
        await mounts(scope, receive, send)
