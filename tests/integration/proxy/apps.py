"""The application behind the proxy: a page, an echo channel, and one allowed origin."""

from __future__ import annotations

import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from transport import Channel, Hub

PAGE = """\
<!doctype html>
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A page of the tests</title>
<script type="module">
    import { Channel } from "/chat/client.js";
    Object.assign(window, { Channel, ready: true });
</script>
"""


async def echo(channel: Channel) -> None:
    async for message in channel:
        await channel.send(message)


async def page(_: Request) -> Response:
    return HTMLResponse(PAGE, headers={"cache-control": "no-store"})


hub = Hub(echo, origins=[os.environ["LISTED_ORIGIN"]])
app = Starlette(routes=[Route("/", page), Mount("/chat", app=hub)], lifespan=hub.lifespan)
