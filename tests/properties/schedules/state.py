"""What a schedule keeps of each client, connection, request and handler. Data only."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

from tests.properties.schedules.client_core import ClientCore
from transport.errors import Fate
from transport.protocol.client.events import Input, Request
from transport.protocol.client.link import Link


@dataclass(eq=False)
class ClientConnection:
    """A client's connection, and what is on its way there."""

    name: str
    """The name by which the server knows it."""
    link: Link
    up: deque[Any] = field(default_factory=deque)
    """Frames on their way to the server, for a WebSocket."""
    down: deque[Input] = field(default_factory=deque)
    """Inputs on their way to the client."""
    is_half_open: bool = False
    """Whether nothing passes any more, though the client has not noticed."""
    has_server_written: bool = False
    """Whether the server has written anything there."""
    is_confirmed: bool = False
    """Whether the client has written anything there after its ``open`` (ATT-3)."""
    server_received: int | None = None
    """The uplink mark of the ``opened``; None before it, and after the first data."""
    last_written: int | None = None
    """The number of the last downlink message that the server wrote there."""


@dataclass(eq=False)
class PendingRequest:
    """A request on its way. It may arrive late, and twice."""

    kind: Request
    frames: list[Any]
    connection: ClientConnection
    is_awaited: bool = True
    """Whether the client still waits for the answer."""
    arrivals: int = 0


@dataclass(eq=False)
class ClientState:
    """One client instance, and what its application knows."""

    core: ClientCore
    connections: list[ClientConnection] = field(default_factory=list)
    session: str = ""
    """The id of its session; empty before the first, and after a reset."""
    received: int = 0
    """How many messages of the session it has received."""
    confirmed: int = 0
    """The newest attach of the session on which it has written anything after ``open``."""
    nonces: int = 0
    is_over: bool = False
    """Whether its channel has ended."""
    has_left: bool = False
    """Whether it has said that it goes away for good (LIV-6)."""
    has_vanished: bool = False
    """Whether it has gone without a word, so that its sends are never settled."""
    sends: dict[int, str] = field(default_factory=dict)
    """The message of each send."""
    numbers: dict[str, int] = field(default_factory=dict)
    """The reverse of `sends`."""
    fates: dict[int, Fate | None] = field(default_factory=dict)
    """The fate of each send that is settled; None if it was refused by its number."""
    last_taken: dict[str, int] = field(default_factory=dict)
    """The last of its sends that the handler of each session took."""
    written: dict[tuple[str, int], str] = field(default_factory=dict)
    """The message that it wrote under each number of a session."""

    @property
    def name(self) -> str:
        """Return the client id (OPN-1)."""
        return self.core.name

    def clone(self, core: ClientCore) -> ClientState:
        """Return a client with this core, which knows what this one knows."""
        return replace(
            self,
            core=core,
            connections=[],
            confirmed=0,
            sends=dict(self.sends),
            numbers=dict(self.numbers),
            fates=dict(self.fates),
            last_taken=dict(self.last_taken),
            written=dict(self.written),
        )


@dataclass(eq=False)
class HandlerRecord:
    """What the handler of one session did."""

    sent: int = 0
    in_hand: str | None = None
    """The message that it has taken and not finished with."""
    finished: int = 0
    skipped: set[int] = field(default_factory=set)
    """The numbers that a ``skip`` took (DAT-5)."""
    has_waited: bool = False
    """Whether it has waited for the end, so that messages were refused (DAT-7)."""
    closed_at: float = 0.0
    confirmed: int = 0
    """The newest attach that the server has seen confirmed."""


def frame_type(frame: Any) -> str:
    """Return the type of a frame in the form of a vector."""
    return "data" if frame.__class__ is list else str(frame["type"])
