"""`Application`: what a hub runs for each session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from transport.protocol.codec import Encoder
from transport.server.channel import Channel

Handler = Callable[[Channel], Awaitable[None]]


class TargetHandler(Protocol):
    """Runs a WebSocket application for one session."""

    def __call__(self, channel: Channel, subprotocols: Sequence[str]) -> Awaitable[None]:
        """Serve a client that offers these subprotocols."""
        ...


@dataclass(frozen=True, slots=True)
class Application:
    """What a hub runs for each session.

    Attributes:
        handler: called once for each session.
        reopens: whether a page may open a new session after its handler has failed (CLS-8).
        encoder: called for a value that JSON cannot represent; None refuses it.
        serve_target: called in place of ``handler`` for an ``open`` with ``target``, with the
            subprotocols that it offers (TGT-1). None for a handler that is no WebSocket
            application: such an ``open`` is refused.
    """

    handler: Handler
    reopens: bool = False
    encoder: Encoder | None = None
    serve_target: TargetHandler | None = None
