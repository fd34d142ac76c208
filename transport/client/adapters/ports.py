"""The port by which the client uses a transport: an `Adapter` of two members.

An adapter knows nothing of message numbers, keeps no session state, and never retries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from transport.client.destination import Destination
from transport.protocol.client.events import Input, Output

if TYPE_CHECKING:
    import httpx


class Adapter(Protocol):
    """Writes to one connection, and reports what comes in (`Wiring.report`)."""

    def send(self, output: Output) -> None:
        """Write ``output`` after any earlier output. Never waits, never raises."""
        ...

    def finish(self) -> None:
        """End the connection once everything given is written."""
        ...


@dataclass(frozen=True, slots=True)
class Wiring:
    """What an adapter is given by the connector.

    Attributes:
        destination: the server.
        timeout: seconds that a POST may take.
        report: takes what the connection reports.
        spawn: runs a function until it returns, or the connection is left.
        linger: runs a function that may outlive the connection; it ends by itself.
        http: returns the HTTP client for all requests of the connection.
    """

    destination: Destination
    timeout: float
    report: Callable[[Input], None]
    spawn: Callable[..., None]
    linger: Callable[..., None]
    http: Callable[[], httpx.AsyncClient]
