"""`Hub`: the ASGI application that a service mounts."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal
from weakref import WeakValueDictionary

from starlette.types import Receive, Scope, Send

from transport.bus.shared import SharedStore
from transport.limits import Limits
from transport.protocol.codec import Encoder, encode_sized
from transport.protocol.frames import Json, TransportKind
from transport.protocol.topic_names import EVERYONE
from transport.server.application import Application, Handler
from transport.server.as_websocket import WebSocketHandler
from transport.server.authentication import Authenticate
from transport.server.callables import (
    check_authenticate,
    check_encoder,
    check_handler,
    full_name_of,
    name_of,
)
from transport.server.channel import Channel
from transport.server.endpoint import Endpoint
from transport.server.group import JOINED, Group, Joined
from transport.server.lifecycle import Lifecycle
from transport.server.lifespan import Lifespan
from transport.server.origins import OriginPolicy
from transport.server.runner import Runner
from transport.server.runtime import Runtime
from transport.server.statistics import HubStatistics, no_statistics
from transport.stores.interface import Store
from transport.stores.memory import MemoryStore, WorkerStore

TRANSPORTS = tuple(kind.value for kind in TransportKind)
ON_ERROR = ("close", "reopen")


class _Topics:
    """Implements `transport.server.group.Topics` for the groups of a hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def publish(self, call: str, topic: str, message: Json) -> None:
        hub = self._hub
        runtime = hub._running(call, "message")
        payload, _ = encode_sized(message, hub._limits, hub._encoder)
        if runtime is not None:
            await runtime.publish(topic, payload)

    def join(self, topic: str, channel: Channel) -> Joined:
        runtime = self._hub._lifecycle.current
        return JOINED if runtime is None else runtime.join(topic, channel)

    def leave(self, topic: str, channel: Channel) -> None:
        runtime = self._hub._lifecycle.current
        if runtime is not None:
            runtime.leave_topic(topic, channel)


class Hub:
    """An ASGI application with one logical channel for each client.

    Mount it (``Mount("/chat", app=Hub(handler))``, ``app.mount("/chat", hub)``); the URL of the
    channel is then ``/chat``, and its browser client is at ``/chat/client.js``. Pass
    ``lifespan=hub.lifespan`` to the application if you can; without it the hub starts with its
    first request, and drains when the server receives its signal, but no server waits for its
    handlers.

    The methods that reach channels must be called in the event loop that serves the hub, and raise
    RuntimeError in another thread or loop. So does a request in a second loop while the first one
    runs: the sessions of a hub belong to one server.

    Args:
        handler: ``async (channel) -> None``, called once for each session; or `as_websocket` of a
            WebSocket application.
        store: where sessions are kept; by default a `MemoryStore` of its own. `Workers` if the
            server has several worker processes, `RedisStore` if it runs on several machines, or if
            sessions must outlive their process.
        limits: bounds and times.
        authenticate: ``async (connection, credentials) -> Identity | None``, at each attach.
        origins: further origins whose pages may connect, besides the server's own.
        transports: which of ``"websocket"``, ``"sse"``, ``"longpoll"`` are served.
        on_error: what an exception in a handler does to its page. It is logged in any case, and
            what was sent before is delivered. ``"close"``: the channel closes with 1011.
            ``"reopen"``: the page opens a new session after a second or more, with back-off, and
            the handler is called again; the page's ``reset`` event has the reason ``failed``.
        encoder: called for a value in a message that JSON cannot represent; what it returns is sent
            in its place. ``fastapi.encoders.jsonable_encoder`` fits.
        console: whether a browser that opens the mount's URL gets a page to try the channel by
            hand. Not for a server that strangers reach: see docs/handlers.md.
        name: of the hub, the same in each of its processes; by default the module and the qualified
            name of the handler, or of the application of `as_websocket`.

    Raises:
        TypeError: the handler or ``authenticate`` cannot be awaited, ``encoder`` is async or takes
            no value, ``limits`` is no `Limits`, ``console`` is not a bool, or ``name`` not a str.
        ValueError: an origin, a transport, ``on_error`` or ``name`` is not valid.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        store: Store | SharedStore | None = None,
        limits: Limits = Limits(),
        authenticate: Authenticate | None = None,
        origins: Sequence[str] | None = None,
        transports: Sequence[str] = TRANSPORTS,
        on_error: Literal["close", "reopen"] = "close",
        encoder: Encoder | None = None,
        console: bool = False,
        name: str | None = None,
    ) -> None:
        check_handler(handler)
        if authenticate is not None:
            check_authenticate(authenticate)
        if not isinstance(limits, Limits):
            raise TypeError(f"limits must be Limits, as in limits=Limits(ttl=300), not {limits!r}")
        if not transports or isinstance(transports, str) or set(transports) - set(TRANSPORTS):
            raise ValueError(
                f"transports must be a list of any of {TRANSPORTS}, not {transports!r}"
            )
        if encoder is not None:
            check_encoder(encoder)
        if on_error not in ON_ERROR:
            raise ValueError(f"on_error must be one of {ON_ERROR}, not {on_error!r}")
        if not isinstance(console, bool):
            raise TypeError(f"console must be True or False, not {console!r}")
        if name is not None and not isinstance(name, str):
            raise TypeError(f"name must be a str, not {name!r}")
        if name == "":
            raise ValueError("name must be at least one character long")
        self._name = name or name_of(handler)
        shared_name = name or full_name_of(handler)
        self._limits = limits
        self._encoder = encoder
        application = Application(
            handler,
            reopens=on_error == "reopen",
            encoder=encoder,
            serve_target=handler.serve_target if isinstance(handler, WebSocketHandler) else None,
        )
        self._is_shared = isinstance(store, SharedStore)
        self._groups: WeakValueDictionary[str, Group] = WeakValueDictionary()
        self._topics = _Topics(self)
        key = secrets.token_bytes(32)

        def make() -> Runtime:
            if isinstance(store, SharedStore):
                joined = store.join(shared_name, limits)
                return Runtime(
                    application,
                    WorkerStore(joined.bus.name),
                    limits,
                    authenticate,
                    key,
                    self._groups,
                    self.group,
                    shared_name,
                    joined,
                )
            records = store if store is not None else MemoryStore()
            return Runtime(
                application,
                records,
                limits,
                authenticate,
                key,
                self._groups,
                self.group,
                shared_name,
            )

        self._lifecycle = Lifecycle(
            make,
            limits.body if TransportKind.WEBSOCKET in transports else 0,
        )
        self._endpoint = Endpoint(
            OriginPolicy(origins),
            frozenset(transports),
            limits,
            self._lifecycle.enter,
            has_console=console,
        )

    def __repr__(self) -> str:
        return f"<Hub {self._name}>"

    # What an application calls

    @property
    def limits(self) -> Limits:
        """The bounds and times of this hub."""
        return self._limits

    @property
    def channels(self) -> Iterator[Channel]:
        """The channels of this process, connected or not.

        That of a WebSocket application is one of them once the application has accepted.
        """
        yield from [runner.channel for runner in self._runners() if runner.driver.accepted]

    def group(self, name: str) -> Group:
        """Return the group with that name, creating it on first use.

        An empty group that nothing refers to is freed.

        Raises:
            TypeError: the name is not a str.
        """
        if not isinstance(name, str):
            raise TypeError(f"a group's name is a str, not a {type(name).__name__}: {name!r}")
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(name, self._topics)
        return group

    async def broadcast(self, message: Json) -> None:
        """Send one message to the channels of all processes; see `Group.send`."""
        await self._topics.publish("hub.broadcast", EVERYONE, message)

    async def send_to(self, channel_id: str, message: Json) -> bool:
        """Send a message to the channel of that id, whichever process it is in.

        Returns:
            Whether the channel took it: False if no channel has that id, or it is closing, or its
            buffer is full. With `RedisStore` True means that it is stored, and False also that the
            process of the channel has died and no other has taken it over yet.

        Raises:
            TypeError: the id is not a str.
            Unsendable, TooLarge: the message cannot be sent.
            TimeoutError: the worker that has the channel lives, but has not answered in 3 s. It may
                still send the message when it goes on.
            StoreUnavailable: Redis does not say which process has the channel; or it has not
                stored the message within 15 s, and the channel gets it once it has.
            RuntimeError: see `Group.send`.
        """
        if not isinstance(channel_id, str):
            raise TypeError(
                "hub.send_to takes the id of a channel, channel.id, not a "
                f"{type(channel_id).__name__}; a channel itself has channel.send(message)"
            )
        runtime = self._running("hub.send_to", "channel_id, message")
        payload, _ = encode_sized(message, self._limits, self._encoder)
        return runtime is not None and await runtime.send_to(channel_id, payload)

    async def close_user(self, subject: str) -> None:
        """End the sessions of a user with ``unauthorized``, in all processes (IDN-2).

        Raises:
            TypeError: the subject is not a str.
            TimeoutError: a worker that lives has not answered in 3 s. The user's sessions in it end
                when it goes on.
            StoreUnavailable: Redis does not answer; sessions that it reached have ended.
            RuntimeError: see `Group.send`.
        """
        if not isinstance(subject, str):
            raise TypeError(
                f"a subject is a str, as in Identity(subject), not a {type(subject).__name__}"
            )
        runtime = self._running("hub.close_user", "subject")
        if runtime is not None:
            await runtime.close_user(subject)

    async def drain(self) -> None:
        """Stop accepting sessions, tell clients to reconnect elsewhere, and wait for handlers.

        In this process: the others go on, and serve its clients.
        """
        runtime = self._lifecycle.get_current("hub.drain")
        if runtime is not None:
            await runtime.drain()

    async def statistics(self) -> HubStatistics:
        """Return the counters of this hub over all its processes, as they are now.

        A worker that does not answer in 3 s is not counted; ``processes`` says how many are.

        Raises:
            RuntimeError: see `Group.send`.
        """
        runtime = self._running("hub.statistics")
        return await runtime.statistics() if runtime is not None else no_statistics()

    def _running(self, call: str, arguments: str = "") -> Runtime | None:
        """Return the runtime, or None if the hub does not run and so has no channel.

        With `Workers` it is started if need be: other processes may have channels.

        Args:
            call, arguments: see `Lifecycle.get_current`.

        Raises:
            RuntimeError: see `Lifecycle.get_current`; or the hub has stopped in this process, and
                its other processes, which may go on, are out of reach.
        """
        runtime = self._lifecycle.get_current(call, arguments)
        if runtime is not None or not self._is_shared:
            return runtime
        if self._lifecycle.has_stopped:
            raise RuntimeError(
                f"{call}() was called after the hub has stopped in this process, and reached "
                "nobody; its other workers may go on"
            )
        return self._lifecycle.start()

    def lifespan(self, app: object = None) -> AbstractAsyncContextManager[None]:
        """Run the hub: as ``Starlette(lifespan=hub.lifespan)``, or inside your own lifespan."""
        return Lifespan(self._lifecycle)

    def _runners(self) -> Iterator[Runner]:
        runtime = self._lifecycle.current
        return runtime.registry.runners if runtime is not None else iter(())

    # ASGI

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection. The last segment of the path names the transport."""
        match scope["type"]:
            case "http":
                await self._endpoint.http(scope, receive, send)
            case "websocket":
                await self._endpoint.websocket(scope, receive, send)
            case "lifespan":
                await self._own_lifespan(receive, send)
            case other:
                raise RuntimeError(f"a hub does not serve {other!r}")

    async def _own_lifespan(self, receive: Receive, send: Send) -> None:
        """Serve the lifespan protocol if the hub is the outermost application."""
        await receive()
        async with self.lifespan():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
