"""`ClientCore`: a client's core as a schedule drives it, in whatever language it is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from transport.limits import Limits
from transport.protocol.client.events import Event, Input, Output
from transport.protocol.client.link import Link
from transport.protocol.client.terms import Terms
from transport.protocol.frames import TransportKind

LENIENT = Terms.of(Limits())
"""The terms by which every core checks what it sends: those of one that has not met this server."""


@dataclass(frozen=True, slots=True)
class ClientMarks:
    """Where a core is in its current session.

    Attributes:
        received: the last message of the downlink that it has.
        acked: the last message of the uplink that the server acknowledged.
        sent: the last that was written.
        last: the last that its application sent.
        is_carried: whether a link carries the session (ATT-3).
        is_ending: whether the channel ends, or has ended, so that it takes no more messages.
        deadline: when to call `ClientCore.tick` and `ClientCore.transmit`.
    """

    received: int
    acked: int
    sent: int
    last: int
    is_carried: bool
    is_ending: bool
    deadline: float


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a driver: it acts on the events, and then writes on every link that is left.

    Links are handles: a schedule compares them, and reads their attach and transport only.

    Attributes:
        events: what the core reports.
        written: what it writes on each link that it has not dropped, after the events. If the
            channel has ended, that was the last.
    """

    events: Sequence[Event]
    written: Sequence[tuple[Link, Sequence[Output]]]


class ClientCore(Protocol):
    """One client: what a driver of its core does, and what the model may read."""

    @property
    def name(self) -> str:
        """Return the client id (OPN-1)."""

    @property
    def marks(self) -> ClientMarks:
        """Return the marks and the deadline as they are now."""

    def clone(self, name: str) -> ClientCore:
        """Return a client with this id that continues the session, as a duplicated tab does.

        It has the token, the marks and the sends of this client, but not its links.
        """

    def send(self, message: str) -> int:
        """Send a message, checked by `LENIENT`. Return its number among the sends of the client.

        The core must not be ending.
        """

    def close(self, code: int, reason: str) -> None:
        """Close the channel."""

    def leave(self, room: int, now: float) -> Turn:
        """Say that the client goes away for good (LIV-6), which its next attach takes back.

        A page does more as it is unloaded: it drops its links, and repeats what the server may lack
        in a last POST of at most ``room`` bytes, whose answer it will not read.
        """

    def attach(self, transport: TransportKind, nonce: str) -> Link:
        """Begin the next attach."""

    def transmit(self, now: float) -> Turn:
        """Write what is due."""

    def handle_input(self, link: Link, report: Input, now: float) -> Turn:
        """Handle what the connection of a link reports."""

    def tick(self, now: float) -> Turn:
        """Let time pass."""


ClientFactory: TypeAlias = Callable[[str, Limits], ClientCore]
"""Makes a new client, by its id and the limits of the server."""
