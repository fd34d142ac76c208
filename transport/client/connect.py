"""`connect`: opens a channel to a hub, and closes it at the end of a block."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from urllib.parse import urlsplit

from msgspec import UNSET

from transport.client.channel import Channel
from transport.client.destination import make_destination
from transport.client.dialer import Credentials
from transport.client.driver import Driver
from transport.client.ending import EXIT_TIMEOUT, close_within
from transport.client.pacing import Pacing
from transport.limits import Limits
from transport.protocol.codec import Encoder, encode_message
from transport.protocol.states import Phase


class connect:
    """Open a channel to the hub at ``url``, and close it when the block ends.

        async with connect("https://example.org/chat") as channel:
            await channel.send("hello")
            async for message in channel:
                print(message)

    Entering waits for the first session. When the block ends, the server still handles what was
    sent, and the channel is closed with 1000; if the block raises or is cancelled, that takes at
    most a second. It can be entered once.

    Args:
        url: the URL of the channel: ``http``, ``https``, ``ws`` or ``wss``, whatever the transport.
        transports: the transports that may be used, in the order in which to try them.
        credentials: a JSON value for the server's ``authenticate``; or a function, async or not,
            that is asked for one at each attach and each renewal.
        headers: headers of every request to the server. They are not sent to a proxy that opens a
            tunnel, as one does for ``https``.
        origin: the ``Origin`` header, if the server checks one.
        limits: in force until the server advertises its own: what may be sent while not connected.
        timeout: seconds to wait for the first session.
        verify: the TLS settings for ``https``: a context has the authorities to trust, and a
            client's certificate; True stands for the authorities of the system, False accepts any
            certificate, which protects from no attack. It holds for an ``https`` proxy, too.
        proxy: the URL of an HTTP proxy, ``http://user:password@host:port``.
        trust_env: whether the proxy that the environment names is used if ``proxy`` is None:
            ``HTTPS_PROXY``, ``HTTP_PROXY`` or ``ALL_PROXY``, but not for a host in ``NO_PROXY``.
            The environment is read once, here.
        pacing: the times and bounds of connecting.
        encoder: called for a value in a message that JSON cannot represent; what it returns is sent
            in its place.
        on_unreachable: called once in each outage, after every transport has failed, with the
            reason and its remedy by the name of the transport. The client keeps trying.

    Raises:
        Unreachable: there was no session in time.
        ChannelClosed: the server has refused the channel; ``code`` is one of PROTOCOL.md section
            13.
        ValueError: an argument cannot work; `Unsendable` if it is not JSON.
    """

    def __init__(
        self,
        url: str,
        *,
        transports: Iterable[str] = ("websocket", "sse", "longpoll"),
        credentials: Credentials = None,
        headers: Mapping[str, str] | None = None,
        origin: str | None = None,
        limits: Limits = Limits(),
        timeout: float = 30.0,
        verify: ssl.SSLContext | bool = True,
        proxy: str | None = None,
        trust_env: bool = True,
        pacing: Pacing | None = None,
        encoder: Encoder | None = None,
        on_unreachable: Callable[[dict[str, str]], object] | None = None,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
            raise ValueError(f"a channel's URL must be an http(s) or ws(s) URL, not {url!r}")
        parts.port  # noqa: B018 - raises ValueError if it is not a number
        if not callable(credentials):
            encode_message(credentials, limits)
        self._timeout = timeout
        self._task: asyncio.Task[None] | None = None
        self._driver = Driver(
            make_destination(
                url,
                headers={**(headers or {}), **({} if origin is None else {"origin": origin})},
                verify=verify,
                proxy=proxy,
                trust_env=trust_env,
            ),
            transports=transports,
            credentials=UNSET if credentials is None else credentials,
            limits=limits,
            pacing=pacing or Pacing(),
            encoder=encoder,
            on_unreachable=on_unreachable,
        )

    async def __aenter__(self) -> Channel:
        if self._task is not None:
            raise RuntimeError("this was entered before: call connect() again")
        driver = self._driver
        self._task = asyncio.create_task(driver.run(), name="transport.connect")
        try:
            await driver.wait_opened(self._timeout)
        except BaseException:
            has_opened = driver.phase is Phase.OPEN
            await close_within(driver, self._task, EXIT_TIMEOUT if has_opened else 0.0)
            raise
        return Channel(driver)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        driver, task = self._driver, self._task
        assert task is not None
        try:
            if kind is None:
                driver.close(1000, "")
                await asyncio.wait([task])
        finally:
            await close_within(driver, task, EXIT_TIMEOUT)
