"""`Application`: what a hub runs for each session, and how it is called."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from transport.errors import ChannelClosed
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

    @property
    def wraps(self) -> bool:
        """Whether it is a WebSocket application."""
        return self.serve_target is not None


async def call(handler: Handler, channel: Channel) -> bool:
    """Await the handler. One that stops because its own session has closed has not failed.

    Returns:
        Whether it returned by itself; otherwise it was interrupted by the end of its session.
    """

    def is_own(error: BaseException) -> bool:
        return isinstance(error, ChannelClosed) and error.channel == channel.id

    try:
        returned = handler(channel)
        if not inspect.isawaitable(returned):
            raise TypeError("the handler must be async: write `async def handler(channel)`")
        await returned
        return True
    except ChannelClosed as error:
        if not is_own(error):
            raise  # another channel was closed
    except BaseExceptionGroup as group:
        others = group.split(is_own)[1]
        if others is not None:
            raise others from None
    return False
