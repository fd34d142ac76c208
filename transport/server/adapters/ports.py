"""What an adapter sees of the server: the `Entrance`, which gives a `Link` to each connection."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport.codes import Code
from transport.errors import ProtocolError
from transport.protocol.frames import EncodedFrame, Open, Poll, TransportKind
from transport.protocol.server.opening import FinalAnswer
from transport.server.deadlines import Deadlines


class Link(Protocol):
    """One connection's end of a session.

    Attributes:
        abort: set by the adapter: drops a connection that is stuck in a write.
    """

    abort: Callable[[], None] | None

    @property
    def code(self) -> Code | None:
        """Why the session ended this connection; None if it has not."""
        ...

    @property
    def close_code(self) -> int:
        """The code with which a WebSocket is then closed (CLS-7)."""
        ...

    def write(self) -> list[EncodedFrame]:
        """Return all frames that are due now, in order."""
        ...

    def due(self) -> Awaitable[None] | None:
        """Return an awaitable that completes when there is something to write or ``code`` is set.

        Only one task may await it. The result is None if the condition already holds.
        """
        ...

    def receive(self, encoded: EncodedFrame) -> None:
        """Handle a frame of the client.

        Raises:
            ProtocolError: the connection must end with it; see `fail`.
        """
        ...

    def fail(self, error: ProtocolError) -> None:
        """End the connection because of a fault of the client; its ``error`` is written last."""
        ...

    def lost(self) -> None:
        """Handle the loss of the connection. Idempotent."""
        ...

    def write_poll(self) -> list[EncodedFrame]:
        """Return the frames that answer the ``open`` of a long poll, at least one."""
        ...


class Entrance(Protocol):
    """What an adapter calls to reach a session.

    Attributes:
        deadlines: limit how long a connection may take to send its request.
        is_stopping: whether this process stops. Each HTTP connection then ends with its answer, as
            a new one reaches another process.
    """

    deadlines: Deadlines
    is_stopping: bool

    async def open(
        self, frame: Open, connection: HTTPConnection, transport: TransportKind
    ) -> Link | FinalAnswer:
        """Attach a connection to a session, old or new (PROTOCOL.md section 3).

        Returns:
            The link, or what is written if the session has ended (CLS-5, OPN-4).

        Raises:
            ProtocolError: refused.
        """
        ...

    async def poll(self, frame: Poll) -> list[EncodedFrame]:
        """Wait until something is due to the attach of a long poll, and return it.

        Returns:
            The frames of the answer; none if the poll is an old one (POL-2), or a newer one came.

        Raises:
            ProtocolError: refused.
        """
        ...

    async def send(self, body: bytes, scope: Scope) -> list[EncodedFrame]:
        """Handle the frames of a POST, and return its answer (SND-1 to SND-3).

        Args:
            body: the frames, one a line.
            scope: of the request.

        Raises:
            ProtocolError: refused; the frames before the one at fault were handled.
        """
        ...
