"""What an adapter sees of the rest: a `Link` for its connection, the `Entrance` that gives it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import HTTPConnection
from starlette.types import Receive

from transport.codes import Code
from transport.errors import ProtocolError
from transport.protocol.frames import Close, EncodedFrame, Open, Poll, TransportKind
from transport.server.adapters.deadlines import Deadlines


class Link(Protocol):
    """One connection's end of a session.

    Attributes:
        abort: set by the adapter: how to drop a connection that is stuck in a write.
    """

    abort: Callable[[], None] | None

    @property
    def code(self) -> Code | None:
        """Why the session ended this connection, None while it has not."""
        ...

    @property
    def close_code(self) -> int:
        """What a WebSocket is then closed with (CLS-7)."""
        ...

    def write(self) -> list[EncodedFrame]:
        """All frames that are to be written now."""
        ...

    def due(self) -> Awaitable[None] | None:
        """What to await until there is something to write, or ``code`` is set; None where it is so.

        For one waiter.
        """
        ...

    def receive(self, wire: EncodedFrame) -> Awaitable[None] | None:
        """Take a frame of the client.

        Returns:
            What is to be awaited before the next frame; None, mostly.

        Raises:
            ProtocolError: the connection is to end with it.
        """
        ...

    def fail(self, error: ProtocolError) -> None:
        """End the connection for the client's fault: its ``error`` is the last thing to write."""
        ...

    def lost(self) -> None:
        """The connection is gone."""
        ...

    # Of a link that is written to by polls

    def park(self) -> int:
        """Begin to wait for a poll's answer; who waited before is woken. Gives a ticket."""
        ...

    def parked(self, ticket: int) -> bool:
        """Whether no newer poll has come since that ticket."""
        ...

    def unpark(self, ticket: int) -> None:
        """The poll is over, answered or not."""
        ...

    async def due_within(self, seconds: float) -> None:
        """`due`, at most for so long."""
        ...

    def write_poll(self) -> list[EncodedFrame]:
        """The frames of the answer, at least one."""
        ...


class Entrance(Protocol):
    """What lets a connection in.

    Attributes:
        deadlines: for what a connection is to say before it is let in.
    """

    deadlines: Deadlines

    async def open(
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
    ) -> Link | Close:
        """Attach to a session, old or new (PROTOCOL.md section 3).

        Returns:
            The link, or the ``close`` of a session that was closed (CLS-5).

        Raises:
            ProtocolError: refused.
        """
        ...

    async def poll(self, frame: Poll) -> Link | None:
        """Go on with a long poll's attach; None where the poll is an old one (POL-2).

        Raises:
            ProtocolError: refused.
        """
        ...

    async def send(self, frames: list[Any]) -> list[EncodedFrame]:
        """Take the frames of a POST; its answer (SND-1 to SND-3).

        Raises:
            ProtocolError: refused, from the frame that was at fault on.
        """
        ...


def aborter(receive: Receive) -> Callable[[], None]:
    """How to drop a connection whose peer reads nothing.

    uvicorn keeps such a connection until its buffer is flushed, which may be never, whatever the
    application does; its transport can be reached and aborted where no middleware wraps
    ``receive`` (Starlette's own wrap only ``send``). Elsewhere this does nothing, and the
    connection ends when TCP gives up.
    """

    def abort() -> None:
        transport = getattr(getattr(receive, "__self__", None), "transport", None)
        if transport is not None:
            transport.abort()

    return abort
