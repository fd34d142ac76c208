"""The ASGI server of pycrdt-websocket."""

from __future__ import annotations

from typing import cast

from pycrdt.websocket import ASGIServer, WebsocketServer, exception_logger
from starlette.types import ASGIApp

from tests.integrations.site import site

# Without a handler, the first page that leaves in the middle of traffic stops the server, also over
# a plain WebSocket: a send to it raises OSError.
server = WebsocketServer(exception_handler=exception_logger)
app = site(cast("ASGIApp", ASGIServer(server)), running=server)
