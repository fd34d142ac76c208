"""`Endpoint`: routes one ASGI connection to the adapter of its transport.

The last segment of the path names a file of the browser client, a transport, or ``send``. The files
are served to pages of any origin, deliberately: they hold no secret. Neither does what a GET of the
mount itself answers. Everything else, on WebSocket as on HTTP, is served once the origin has been
checked. A page whose origin is refused may read that it was (IDN-4), and nothing else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import TransportKind, error_frame
from transport.server.adapters import console, longpoll, post, sse, static_files, websocket
from transport.server.adapters.exchange import JSON, Exchange
from transport.server.adapters.ports import Entrance
from transport.server.headers import Headers
from transport.server.origins import OriginPolicy
from transport.server.upgrades import UpgradeExplainer

_SEGMENTS = {"sse": TransportKind.SSE, "poll": TransportKind.LONGPOLL}
_BY_POST = frozenset(_SEGMENTS.values())


class Endpoint:
    """Serves the connections of one mount.

    Args:
        origins: which pages may connect.
        transports: which transports are served.
        limits: of bodies and waits.
        enter: returns the entrance to the sessions; called once for each request.
        has_console: whether the mount itself answers with the console page.
    """

    def __init__(
        self,
        origins: OriginPolicy,
        transports: frozenset[str],
        limits: Limits,
        enter: Callable[[], Entrance],
        has_console: bool,
    ) -> None:
        self._origins = origins
        self._transports = transports
        self._serves_websocket = TransportKind.WEBSOCKET in transports
        self._serves_posts = bool(transports & _BY_POST)
        self._upgrades = UpgradeExplainer()
        self._limits = limits
        self._enter = enter
        self._has_console = has_console
        self._decoder = Decoder(limits)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket, or deny it before it is accepted."""
        try:
            self._origins.check(Headers(scope), scope.get("scheme", "ws"))
            if _segment(scope) != "websocket" or not self._serves_websocket:
                raise ProtocolError(codes.NOT_FOUND, "there is no WebSocket at this path")
        except ProtocolError as error:
            await _deny(scope, receive, send, error)
            return
        await websocket.serve(scope, receive, send, self._enter(), self._limits, self._decoder)

    async def http(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request."""
        segment, method = _segment(scope), scope["method"]
        exchange = Exchange(scope, receive, send, self._limits)
        if method in ("GET", "HEAD"):
            # A page that is opened has no Origin, and from a link of another site it may be opened.
            if console.is_mount(scope) and b"origin" not in exchange.headers:
                await console.serve(exchange, has_console=self._has_console)
                return
            if (file := static_files.find(segment)) is not None:
                await static_files.serve(exchange, file)
                return
        is_preflight = method == "OPTIONS" and b"access-control-request-method" in exchange.headers
        try:
            origin = self._origins.check(exchange.headers, scope.get("scheme", "http"))
        except ProtocolError as error:
            exchange.add_headers(OriginPolicy.refusal(exchange.headers))
            if is_preflight:
                await _answer_preflight(exchange, max_age=0)
            else:
                await exchange.refuse(error)
            return
        exchange.add_headers(OriginPolicy.cors(origin))
        try:
            if segment == "send" and method == "POST" and self._serves_posts:  # as most are
                exchange.entrance = entrance = self._enter()
                await post.serve(exchange, entrance)
            elif is_preflight:
                await _answer_preflight(exchange)
            else:
                await self._dispatch(segment, method, exchange, receive, send)
        except ProtocolError as error:
            if method == "OPTIONS" and error.code is codes.METHOD_NOT_ALLOWED:
                await _answer_options(exchange, str(error.extra["allow"]))
            else:
                await exchange.refuse(error)

    async def _dispatch(
        self, segment: str, method: str, exchange: Exchange, receive: Receive, send: Send
    ) -> None:
        if static_files.find(segment) is not None:
            _check_method(method, "GET", "HEAD")
        if segment == "websocket" and self._serves_websocket:
            _check_method(method, "GET")
            raise self._upgrades.refusal(exchange.headers)
        if segment == "send" and self._serves_posts:
            _check_method(method, "POST")
        if _SEGMENTS.get(segment) not in self._transports:
            raise ProtocolError(
                codes.NOT_FOUND,
                "a channel's URL ends in /websocket, /sse, /poll or /send",
            )
        _check_method(method, "POST")
        exchange.entrance = entrance = self._enter()
        if segment == "sse":
            await sse.serve(exchange, receive, send, entrance, self._decoder)
        else:
            await longpoll.serve(exchange, entrance, self._decoder)


async def _answer_preflight(exchange: Exchange, **options: int) -> None:
    await exchange.answer(b"", JSON, status=204, headers=OriginPolicy.preflight(**options))


async def _answer_options(exchange: Exchange, allow: str) -> None:
    """Answer an OPTIONS that is no preflight (HTTP-1)."""
    await exchange.answer(b"", JSON, status=204, headers=[(b"allow", allow.encode())])


def _segment(scope: Scope) -> str:
    return str(scope.get("path", "")).rstrip("/").rpartition("/")[2]


def _check_method(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise ProtocolError(
            codes.METHOD_NOT_ALLOWED,
            f"this URL takes {' or '.join(allowed)}",
            allow=", ".join((*allowed, "OPTIONS")),
        )


async def _deny(scope: Scope, receive: Receive, send: Send, error: ProtocolError) -> None:
    """Refuse a WebSocket before it is accepted, with an HTTP status if the server supports it."""
    await receive()  # websocket.connect
    extensions: dict[str, Any] = scope.get("extensions") or {}
    start: Message = {
        "type": "websocket.http.response.start",
        "status": error.code.status or 403,
        "headers": [(b"content-type", JSON), (b"cache-control", b"no-store")],
    }
    body = encode_control(error_frame(error)).encode()
    try:
        if "websocket.http.response" not in extensions:
            await send({"type": "websocket.close", "code": error.code.close_code})
            return
        await send(start)
        await send({"type": "websocket.http.response.body", "body": body})
    except (OSError, RuntimeError):
        return  # the client has disconnected
    # uvicorn logs an error if we return before it has noticed that the connection is over.
    await asyncio.sleep(0)
