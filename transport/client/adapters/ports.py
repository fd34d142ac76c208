"""What a transport is: an adapter of two members. It knows no numbers, keeps nothing of a session
and retries nothing."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from transport.protocol.client.events import Input, Output

if TYPE_CHECKING:
    import httpx

MAX_FRAME_SIZE = 16 * 1024 * 1024
"""Bytes of one frame, or of one answer, that are read: what a server may make us keep. Far above
any `Limits.body` that is of use."""


class Adapter(Protocol):
    """One connection."""

    def send(self, output: Output) -> None:
        """Write this behind what was given before. Never waits, never raises."""
        ...

    def finish(self) -> None:
        """End the connection once all that was given is written."""
        ...


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to go.

    Attributes:
        url: the channel's.
        headers: for every request.
        tls: None: without.
        proxies: whether the environment's proxies are used.
    """

    url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None
    proxies: bool


@dataclass(frozen=True, slots=True)
class Wiring:
    """What a connection is given: where to go, and whom to tell.

    Attributes:
        destination: where to go.
        timeout: seconds that a POST may take.
        report: takes what the connection reports.
        spawn: runs a function until it returns, or the connection is dropped.
        linger: runs a function that outlives the connection; it ends by itself.
        http: the client for all requests of the connection.
    """

    destination: Destination
    timeout: float
    report: Callable[[Input], None]
    spawn: Callable[..., None]
    linger: Callable[..., None]
    http: Callable[[], httpx.AsyncClient]


def is_secure(url: str) -> bool:
    """Whether all to this URL goes over TLS."""
    return urlsplit(url).scheme in ("https", "wss")


def locate(url: str, segment: str, *, websocket: bool = False) -> str:
    """The channel's URL with one more segment, its query kept."""
    parts = urlsplit(url)
    scheme = ("ws" if websocket else "http") + ("s" if is_secure(url) else "")
    path = f"{parts.path.rstrip('/')}/{segment}"
    return urlunsplit((scheme, parts.netloc, path, parts.query, ""))


Work = Callable[..., Awaitable[Any]]
