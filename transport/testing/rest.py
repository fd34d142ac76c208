"""What is left to do between the two halves of a session.

Once the network works and nobody sends, everything comes to rest: each side has what the other has
sent, and knows that the other has it. What is left then is left for ever, because nothing more
happens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from transport.protocol.client.session import ClientSession
from transport.protocol.server.session import ServerSession


class Marks(Protocol):
    """Where a client is in its session, whatever language it is written in.

    Attributes:
        received: the last message of the downlink that it has.
        acked: the last message of the uplink that the server acknowledged.
        last: the last message of the uplink.
        is_carried: whether a link carries the session (ATT-3).
        deadline: when it next has something to do, in seconds.
    """

    @property
    def received(self) -> int: ...
    @property
    def acked(self) -> int: ...
    @property
    def last(self) -> int: ...
    @property
    def is_carried(self) -> bool: ...
    @property
    def deadline(self) -> float: ...


@dataclass(frozen=True, slots=True)
class SessionMarks:
    """The `Marks` of a client session."""

    received: int
    acked: int
    last: int
    is_carried: bool
    deadline: float

    @classmethod
    def of(cls, session: ClientSession) -> SessionMarks:
        """Return the marks as they are now."""
        buffer = session.outbox.buffer
        return cls(
            session.incoming.received,
            buffer.acked,
            buffer.last,
            session.is_carried,
            session.deadline,
        )


def unsettled(client: Marks, server: ServerSession, now: float) -> Iterator[str]:
    """Yield what is not at rest, in words; nothing if everything is.

    Args:
        client: the client's half. Its channel has not ended.
        server: the server's half, of the same session. Its handler receives everything.
        now: seconds, of the clock of both.
    """
    down, up = server.outgoing, server.incoming
    if not client.is_carried:
        yield "no connection carries the session"
    if client.received < down.last:
        yield f"the client has not received {client.received + 1} to {down.last}"
    if down.acked < client.received:
        yield f"the server knows that the client has received {down.acked}, not {client.received}"
    if up.received < client.last:
        yield f"the server has not received {up.received + 1} to {client.last}"
    if up.handled < up.received:
        yield f"the handler has not finished with {up.handled + 1} to {up.received}"
    if client.acked < up.handled:
        yield f"the client does not know that {client.acked + 1} to {up.handled} are handled"
    if client.deadline <= now:
        yield f"a deadline of the client has passed: {client.deadline} s, at {now} s"
