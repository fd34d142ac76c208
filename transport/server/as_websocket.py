"""`as_websocket`: an ASGI WebSocket application as a handler."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.websockets import WebSocketDisconnect

from transport.server.callables import check_application, name_of
from transport.server.channel import Channel
from transport.server.inner_connection import Disconnected, InnerConnection
from transport.server.inner_scope import inner_scope
from transport.telemetry.log import WARNING, log_event

WebSocketApp = Callable[[Any, Any, Any], Awaitable[None]]
"""An ASGI application, whatever types it gives to its arguments."""


class WebSocketHandler:
    """A handler that runs a WebSocket application. Made by `as_websocket`.

    Args:
        app: the application.

    Attributes:
        __name__: its name.
        __wrapped__: the application.
    """

    def __init__(self, app: WebSocketApp) -> None:
        self.__name__ = name_of(app)
        self.__wrapped__ = app
        self._warned: set[str] = set()

    def __repr__(self) -> str:
        return f"as_websocket({self.__name__})"

    async def __call__(self, channel: Channel) -> None:
        """Run the application for a client that opened a channel."""
        await self._run(channel, None)

    async def serve_target(self, channel: Channel, subprotocols: Sequence[str]) -> None:
        """Run the application for a client that asked for it by ``target`` (TGT-1)."""
        await self._run(channel, subprotocols)

    async def _run(self, channel: Channel, subprotocols: Sequence[str] | None) -> None:
        connection = InnerConnection(channel, subprotocols, self._warn_once)
        scope = inner_scope(channel.scope, subprotocols or (), channel.user)
        try:
            await self.__wrapped__(scope, connection.receive, connection.send)
        except Disconnected:
            pass  # as servers do: it has learnt that its client is gone
        except GeneratorExit:
            raise  # the coroutine was thrown away, with its loop
        except BaseException as error:
            await connection.fail()
            # Starlette's endpoints usually leave it to the server.
            if not (isinstance(error, WebSocketDisconnect) and connection.is_closed):
                raise
        else:
            await connection.finish()

    def _warn_once(self, what: str, text: str) -> None:
        if what not in self._warned:
            self._warned.add(what)
            log_event(WARNING, "not_carried", text, app=self.__name__, what=what)


def as_websocket(app: WebSocketApp) -> WebSocketHandler:
    """Make a handler of an ASGI application that serves WebSockets.

    ``Mount("/ws", Hub(as_websocket(app)))`` serves it over every transport. The application sees
    one connection for the life of a session; see docs/existing-websocket.md.

    Args:
        app: a whole application, a router, a route, or an endpoint: ``async (scope, receive, send)
            -> None``, or a class of such objects. Its HTTP routes and its lifespan are not used.

    Raises:
        TypeError: it cannot be called with these arguments.
    """
    check_application(app)
    return WebSocketHandler(app)
