"""`connect`: opens a `ClientConnection`."""

from __future__ import annotations

import asyncio
import logging
import ssl as ssl_module
import traceback
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal

from msgspec import UNSET
from websockets.client import backoff
from websockets.datastructures import Headers, HeadersLike
from websockets.exceptions import InvalidProxy, InvalidStatus
from websockets.headers import validate_subprotocols
from websockets.http11 import Request, Response
from websockets.typing import LoggerLike, Origin, Subprotocol
from websockets.uri import parse_uri

from transport.client.destination import Destination, make_destination
from transport.client.dialer import Credentials
from transport.client.driver import Driver
from transport.client.ending import EXIT_TIMEOUT, close_within
from transport.client.pacing import Pacing
from transport.client.proxies import choose_proxy
from transport.client.websocket.connection import ClientConnection
from transport.client.websocket.pongs import Pongs
from transport.client.websocket.refusals import (
    accepted_subprotocol,
    refusal,
    reset_before_answer,
    unreachable,
)
from transport.errors import ChannelClosed, Unreachable
from transport.limits import Limits
from transport.protocol.codec import encode_message
from transport.protocol.states import Phase

_TRANSIENT_STATUSES = (500, 502, 503, 504)


def process_exception(error: Exception) -> Exception | None:
    """Return None if connecting again may help: after an `OSError`, or a status from 500 to 504."""
    if isinstance(error, OSError):  # also a TimeoutError, and Unreachable
        return None
    if isinstance(error, InvalidStatus) and error.response.status_code in _TRANSIENT_STATUSES:
        return None
    return error


class connect:
    """Connect to the WebSocket application at ``uri``, whose hub has it as ``as_websocket(app)``.

    It is used as ``websockets.asyncio.client.connect`` is: awaited, as an asynchronous context
    manager, or as an asynchronous iterator that connects again when a connection has ended::

        async with connect("wss://example.com/ws/rooms/7") as websocket:
            await websocket.send("hello")
            print(await websocket.recv())

    Args:
        uri: the URL of the application, ``ws`` or ``wss``, whatever the transport.
        origin: the ``Origin`` header, if the server checks one.
        subprotocols: what to offer, in order of preference.
        additional_headers: headers of every request to the server.
        user_agent_header: the ``User-Agent`` header; None leaves that of the library in use.
        proxy: the URL of an HTTP proxy; True uses the one that the environment names, None none.
        ssl: the TLS settings for ``wss``, and for an ``https`` proxy; True or None stands for the
            authorities of the system.
        process_exception: as for ``websockets``: says whether the iterator tries again.
        open_timeout: seconds to wait until the application accepts; None waits without limit.
        close_timeout: seconds that `ClientConnection.close` may take; None leaves that to the
            server, which gives its application 30 s.
        reconnect_delays: returns the seconds to wait between the attempts of the iterator.
        max_size: the bytes of a message received beyond which the connection is closed. Of a pair,
            which limits fragments too, the first counts.
        logger: logs the attempts of the iterator.
        transports, credentials, pacing, on_unreachable: as for `transport.connect`.
        compression, extensions, ping_interval, ping_timeout, max_queue, write_limit: have no
            effect. The channel has its own heartbeat, and its bounds are the server's `Limits`
            and ``pacing``.

    Raises:
        InvalidURI: ``uri`` is not a WebSocket URI.
        InvalidProxy: the proxy cannot be used.
        InvalidStatus: the application has denied the connection, with that HTTP status; or the hub
            has (`Refused`, which says why).
        Unreachable: every transport has failed; an `OSError`.
        TimeoutError: the application did not accept in time.
        ValueError: another argument cannot work.
    """

    def __init__(
        self,
        uri: str,
        *,
        origin: Origin | str | None = None,
        extensions: Sequence[Any] | None = None,
        subprotocols: Sequence[Subprotocol | str] | None = None,
        compression: str | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = None,
        proxy: str | Literal[True] | None = True,
        ssl: ssl_module.SSLContext | Literal[True] | None = None,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        reconnect_delays: Callable[[], Generator[float]] = backoff,
        max_size: int | tuple[int | None, int | None] | None = 2**20,
        max_queue: int | tuple[int | None, int | None] | None = 16,
        write_limit: int | tuple[int, int | None] = 2**15,
        logger: LoggerLike | None = None,
        transports: Iterable[str] = ("websocket", "sse", "longpoll"),
        credentials: Credentials = None,
        pacing: Pacing | None = None,
        on_unreachable: Callable[[dict[str, str]], object] | None = None,
    ) -> None:
        self._parsed = parse_uri(uri)
        if ssl is not None and not self._parsed.secure:
            raise ValueError("ssl argument is incompatible with a ws:// URI")
        if subprotocols is not None:
            validate_subprotocols([Subprotocol(one) for one in _checked(subprotocols)])
        if compression not in ("deflate", None):
            raise ValueError(f"unsupported compression: {compression}")
        if not callable(credentials):
            encode_message(credentials, Limits())
        self._subprotocols = tuple(subprotocols or ())
        self._headers = Headers(additional_headers or ())
        if origin is not None:
            self._headers["Origin"] = origin
        if user_agent_header is not None and "User-Agent" not in self._headers:
            self._headers["User-Agent"] = user_agent_header
        self._destination = _destination(uri, self._headers, ssl or True, proxy)
        self._process_exception = process_exception
        self._open_timeout = open_timeout
        self._close_timeout = close_timeout
        self._reconnect_delays = reconnect_delays
        self._max_size = max_size[0] if isinstance(max_size, tuple) else max_size
        self._logger = logger or logging.getLogger("websockets.client")
        self._transports = tuple(transports)
        self._credentials = credentials
        self._pacing = pacing or Pacing()
        self._on_unreachable = on_unreachable
        self._connection: ClientConnection | None = None
        self._make_driver(Pongs())  # checks the other arguments

    def _make_driver(self, pongs: Pongs) -> Driver:
        return Driver(
            self._destination,
            transports=self._transports,
            credentials=UNSET if self._credentials is None else self._credentials,
            limits=Limits(),
            pacing=self._pacing,
            encoder=None,
            on_unreachable=self._on_unreachable,
            target=self._subprotocols,
            on_pong=pongs.answer,
        )

    # await connect(...)

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._open().__await__()

    async def _open(self) -> ClientConnection:
        pongs = Pongs()
        driver = self._make_driver(pongs)
        task = asyncio.create_task(driver.run(), name="transport.websocket")
        try:
            async with asyncio.timeout(self._open_timeout):
                subprotocol = await _wait_accepted(driver)
        except BaseException as error:
            await close_within(driver, task, EXIT_TIMEOUT if driver.phase is Phase.OPEN else 0.0)
            if type(error) is TimeoutError:
                why = Unreachable(driver.connector.reasons)
                raise TimeoutError("timed out during opening handshake") from why
            raise
        answer = Response(101, "Switching Protocols", Headers())
        if subprotocol is not None:
            answer.headers["Sec-WebSocket-Protocol"] = subprotocol
        return ClientConnection(
            driver,
            task,
            pongs,
            request=Request(self._parsed.resource_name, self._headers.copy()),
            response=answer,
            subprotocol=subprotocol,
            close_timeout=self._close_timeout,
            max_size=self._max_size,
            logger=self._logger,
        )

    # async with connect(...) as websocket

    async def __aenter__(self) -> ClientConnection:
        if self._connection is not None:
            raise RuntimeError("connect() isn't reentrant")
        self._connection = await self
        return self._connection

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None
        await connection.__aexit__(kind, error, traceback)

    # async for websocket in connect(...)

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        delays: Generator[float] | None = None
        while True:
            try:
                async with self as connection:
                    yield connection
            except Exception as error:
                fatal = self._process_exception(error)
                if fatal is error:
                    raise
                if fatal is not None:
                    raise fatal from error
                delays = delays or self._reconnect_delays()
                delay = next(delays)
                self._logger.info(
                    "connect failed; reconnecting in %.1f seconds: %s",
                    delay,
                    traceback.format_exception_only(error)[0].strip(),
                )
                await asyncio.sleep(delay)
            else:
                delays = None


def _destination(
    uri: str,
    headers: Headers,
    verify: ssl_module.SSLContext | bool,
    proxy: str | Literal[True] | None,
) -> Destination:
    """Return the server, and the proxy, which the environment names if ``proxy`` is True."""
    merged: dict[str, str] = {}
    for name, value in headers.raw_items():
        separator = "; " if name.lower() == "cookie" else ", "
        before = merged.get(name.lower())
        merged[name.lower()] = value if before is None else f"{before}{separator}{value}"
    url, from_environment = proxy if isinstance(proxy, str) else None, proxy is True
    try:
        choose_proxy(uri, url, from_environment)
    except ValueError as error:
        # Its URL, which `InvalidProxy` would show, may have a password.
        raise InvalidProxy("the proxy", str(error)) from None
    return make_destination(
        uri, headers=merged, verify=verify, proxy=url, trust_env=from_environment
    )


def _checked(subprotocols: Sequence[str]) -> Sequence[str]:
    if isinstance(subprotocols, str) or not isinstance(subprotocols, Sequence):
        raise TypeError("subprotocols must be a list")
    return subprotocols


async def _wait_accepted(driver: Driver) -> str | None:
    """Return the subprotocol with which the application accepts."""
    try:
        await driver.wait_opened(None)
    except Unreachable as error:
        raise unreachable(driver.connector) or error from None
    except ChannelClosed:
        pass  # the answer may have come with the close
    try:
        return accepted_subprotocol(await driver.inbox.receive())
    except ChannelClosed:
        if driver.lost is not None:
            raise reset_before_answer(driver.lost) from driver.lost
        assert driver.ending is not None
        raise refusal(driver.ending) from None
