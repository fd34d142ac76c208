"""The ASGI server of pycrdt-websocket."""

from __future__ import annotations

from typing import cast

from pycrdt.websocket import ASGIServer, WebsocketServer
from starlette.types import ASGIApp

from tests.integrations.site import site

server = WebsocketServer()
app = site(cast("ASGIApp", ASGIServer(server)), running=server)
