"""`Hub`: the ASGI application that is mounted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

from starlette.types import Receive, Scope, Send

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.codec import Decoder, encode_control
from transport.protocol.frames import Json, TransportKind, error_frame
from transport.server import shutdown
from transport.server.adapters import longpoll, post, sse, static_files, websocket
from transport.server.adapters.exchange import JSON, Exchange
from transport.server.adapters.headers import Headers
from transport.server.channel import Channel
from transport.server.group import Group, send_to_all
from transport.server.origins import Authenticate, OriginPolicy
from transport.server.registry import Registry
from transport.server.runner import Handler
from transport.stores.interface import Store
from transport.stores.memory import MemoryStore

logger = logging.getLogger("transport")

TRANSPORTS = tuple(transport.value for transport in TransportKind)

_SEGMENTS = {"sse": TransportKind.SSE, "poll": TransportKind.LONGPOLL}
_BY_POST = frozenset(_SEGMENTS.values())


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """Counters of one hub in this process.

    Attributes:
        sessions: that live.
        connections: attached now, by transport.
        opened: sessions, ever.
        resets: resumes that were refused, ever.
        refused: opens that were answered with an error, ever.
        sent, received, replayed: messages, ever; see `ChannelStatistics`.
    """

    sessions: int
    connections: dict[str, int]
    opened: int = 0
    resets: int = 0
    refused: int = 0
    sent: int = 0
    received: int = 0
    replayed: int = 0


class Hub:
    """An ASGI application with one logical channel for each client.

    Mount it (``Mount("/chat", app=Hub(handler))``, ``app.mount("/chat", hub)``); the URL of the
    channel is then ``/chat``, and its browser client is at ``/chat/client.js``. EncodedFrame
    ``lifespan=hub.lifespan`` where the application's lifespan is yours; without it the hub starts
    with its first request, and drains when the server gets its signal.

    Args:
        handler: ``async (channel) -> None``, called once for each session.
        store: where sessions are kept; a `MemoryStore` of its own by default.
        limits: bounds and times.
        authenticate: ``async (connection, credentials) -> Identity | None``, at each attach.
        origins: further origins whose pages may connect, besides the server's own.
        transports: which of ``"websocket"``, ``"sse"``, ``"longpoll"`` are served.

    Raises:
        ValueError: an origin or a transport is none.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        store: Store | None = None,
        limits: Limits = Limits(),
        authenticate: Authenticate | None = None,
        origins: Sequence[str] | None = None,
        transports: Sequence[str] = TRANSPORTS,
    ) -> None:
        unknown = set(transports) - set(TRANSPORTS)
        if unknown or isinstance(transports, str):
            raise ValueError(f"transports is a list of some of {TRANSPORTS}, not {transports!r}")
        self._handler = handler
        self._store = store
        self._limits = limits
        self._authenticate = authenticate
        self._origins = OriginPolicy(origins)
        self._transports = frozenset(transports)
        self._decoder = Decoder(limits)
        self._groups: WeakValueDictionary[str, Group] = WeakValueDictionary()
        self._registry: Registry | None = None
        self._unlisten: Callable[[], None] | None = None
        self._host: shutdown.Host | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # The application's side

    @property
    def limits(self) -> Limits:
        """The bounds and times of this hub."""
        return self._limits

    @property
    def channels(self) -> Iterator[Channel]:
        """The channels of this process, connected or not."""
        if self._registry is not None:
            yield from [runner.channel for runner in self._registry.runners]

    def group(self, name: str) -> Group:
        """The group of that name, made when it is first asked for."""
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name, self._limits)
        return group

    async def broadcast(self, message: Json) -> int:
        """Send one message to every channel of this process; see `Group.send`."""
        runners = self._registry.runners if self._registry is not None else ()
        return send_to_all((runner.driver for runner in runners), message, self._limits)

    async def send_to(self, channel_id: str, message: Json) -> bool:
        """Send a message to the channel of that id.

        Returns:
            Whether it took it: False where this process has no such channel, or it is closing.

        Raises:
            Unsendable, TooLarge: the message cannot be sent.
        """
        runner = self._registry.get(channel_id) if self._registry is not None else None
        return send_to_all([runner.driver] if runner else [], message, self._limits) == 1

    async def close_user(self, subject: str) -> int:
        """End the sessions of a user, with ``unauthorized``; how many there were (IDN-2)."""
        return self._registry.dismiss(subject) if self._registry is not None else 0

    async def drain(self) -> None:
        """Let nobody in, tell every client to come back elsewhere, and wait for the handlers."""
        if self._registry is not None:
            await self._registry.drain()

    def statistics(self) -> HubStatistics:
        """Counters of this hub, now."""
        connections = dict.fromkeys(TRANSPORTS, 0)
        registry = self._registry
        if registry is None:
            return HubStatistics(0, connections)
        totals = registry.totals.copy()
        for runner in registry.runners:
            counters = runner.session.counters()
            totals.add(counters)
            for transport in counters.transports:
                connections[transport.value] += 1
        return HubStatistics(
            len(registry),
            connections,
            opened=registry.opened,
            resets=registry.resets,
            refused=registry.refused,
            sent=totals.sent,
            received=totals.received,
            replayed=totals.replayed,
        )

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Run the hub: for ``Starlette(lifespan=hub.lifespan)``, or inside a lifespan of yours."""
        self._start()
        try:
            yield
        finally:
            try:
                await self.drain()
            finally:
                self._stop()

    def _start(self) -> Registry:
        """The registry of the running loop, made where there is none yet."""
        loop = asyncio.get_running_loop()
        if self._registry is not None and self._loop is loop:
            return self._registry
        self._stop()  # of another loop, which is over
        self._loop = loop
        self._registry = Registry(
            self._handler, self._store or MemoryStore(), self._limits, self._authenticate
        )
        return self._registry

    def _entered(self) -> Registry:
        """As `_start`, and by now a server runs, whose signals can be listened for."""
        registry = self._start()
        host = self._host
        if host is not None and (registry.draining or host.told()) and not host.runs():
            # It is drained, or about to be, for a server that is over: this request is another's.
            self._stop()
            registry = self._start()
        if self._unlisten is None:
            self._unlisten = shutdown.listen(registry.begin_drain)
            self._host = shutdown.find_host()
            registry.watch_exit(self._host.told if self._host is not None else None)
        return registry

    def _stop(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        if self._registry is not None:
            self._registry.stop()
            self._registry = None
        self._host = None

    # ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. The last segment of the path names the transport."""
        segment = str(scope.get("path", "")).rstrip("/").rpartition("/")[2]
        match scope["type"]:
            case "http":
                await self._http(segment, scope, receive, send)
            case "websocket":
                await self._websocket(segment, scope, receive, send)
            case "lifespan":
                await self._own_lifespan(receive, send)
            case other:
                raise RuntimeError(f"a hub does not serve {other!r}")

    async def _websocket(self, segment: str, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._origins.check(Headers(scope))
            if segment != "websocket" or TransportKind.WEBSOCKET not in self._transports:
                raise ProtocolError(codes.NOT_FOUND, "there is no WebSocket at this path")
        except ProtocolError as error:
            await _deny(scope, receive, send, error)
            return
        await websocket.serve(scope, receive, send, self._entered(), self._limits, self._decoder)

    async def _http(self, segment: str, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(scope, receive, send, self._limits)
        method = scope["method"]
        if method in ("GET", "HEAD") and (file := static_files.find(segment)) is not None:
            await static_files.serve(exchange, file)
            return
        try:
            origin = self._origins.check(exchange.headers)
            exchange.add_headers(OriginPolicy.cors(origin))
            if method == "OPTIONS" and b"access-control-request-method" in exchange.headers:
                await exchange.answer(b"", JSON, status=204, headers=OriginPolicy.preflight())
            else:
                await self._dispatch(segment, method, exchange, receive, send)
        except ProtocolError as error:
            await exchange.refuse(error)

    async def _dispatch(
        self, segment: str, method: str, exchange: Exchange, receive: Receive, send: Send
    ) -> None:
        if method == "POST" and segment == "send" and self._transports & _BY_POST:
            await post.serve(exchange, self._entered(), self._decoder)
            return
        if static_files.find(segment) is not None:
            _only(method, "GET", "HEAD")
        if segment == "websocket":
            _only(method, "GET")
            raise ProtocolError(
                codes.UPGRADE_REQUIRED,
                "this is a WebSocket's URL and no upgrade came with the request: "
                "a proxy on the way may strip it",
            )
        if segment == "send" and self._transports & _BY_POST:
            _only(method, "POST")
        if _SEGMENTS.get(segment) not in self._transports:
            raise ProtocolError(
                codes.NOT_FOUND,
                "a channel's URL ends in /websocket, /sse, /poll or /send",
            )
        _only(method, "POST")
        registry = self._entered()
        if segment == "sse":
            await sse.serve(exchange, receive, send, registry, self._decoder)
        else:
            await longpoll.serve(exchange, registry, self._limits, self._decoder)

    async def _own_lifespan(self, receive: Receive, send: Send) -> None:
        """The lifespan where the hub is the application itself."""
        await receive()
        async with self.lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})


def _only(method: str, *allowed: str) -> None:
    if method not in allowed:
        raise ProtocolError(
            codes.METHOD_NOT_ALLOWED,
            f"this URL takes {' or '.join(allowed)}",
            allow=", ".join((*allowed, "OPTIONS")),
        )


async def _deny(scope: Scope, receive: Receive, send: Send, error: ProtocolError) -> None:
    """Refuse a WebSocket before it is accepted, with a status where the server can give one."""
    await receive()  # websocket.connect
    extensions: dict[str, Any] = scope.get("extensions") or {}
    if "websocket.http.response" not in extensions:
        await send({"type": "websocket.close", "code": websocket.close_code_of(error.code)})
        return
    await send(
        {
            "type": "websocket.http.response.start",
            "status": error.code.status or 403,
            "headers": [(b"content-type", JSON), (b"cache-control", b"no-store")],
        }
    )
    body = encode_control(error_frame(error)).encode()
    await send({"type": "websocket.http.response.body", "body": body})
    # uvicorn logs an error where we return before it has noticed that the connection is over.
    await asyncio.sleep(0)
