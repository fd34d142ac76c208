"""The other processes of a hub, as those ask them that find no session here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct
from starlette.types import Scope

from transport.protocol.frames import EncodedFrame, Open, Poll, Reset, TransportKind
from transport.protocol.journal import Image
from transport.protocol.server.opening import Begin, FinalAnswer
from transport.server.adapters.ports import Link
from transport.server.authentication import Identity
from transport.server.opening_request import OpeningRequest
from transport.stores.tokens import Credential


@dataclass(frozen=True, slots=True, eq=False)
class Visitor:
    """Who sent an ``open``.

    Attributes:
        identity: what ``authenticate`` returned.
        credential: what the token proves; None if it names no session, or is malformed.
        request: that carried it; None if another process has it.
    """

    identity: Identity
    credential: Credential | None
    request: OpeningRequest | None = None


class NewSession(Struct, frozen=True):
    """A session that begins in this process, or has begun here by the same ``open``.

    Attributes:
        id: its public id.
        key: the secret from which its token is derived, if the processes share one.
        image: the session, as the store that other processes share has it; None without
            such a store, or if the session has begun.
    """

    id: str
    key: bytes | None = None
    image: Image | None = None


class OpeningElsewhere(Protocol):
    """The other processes of a hub, for what is opened here."""

    async def held_session(self, credential: Credential) -> str:
        """Do as `Registry.held_session`, for a session of another process.

        Raises:
            ProtocolError: that process does not answer.
        """
        ...

    async def resume(
        self, frame: Open, visitor: Visitor, transport: TransportKind
    ) -> Link | FinalAnswer | Begin | None:
        """Resume a session of another process; return None if it is to be looked for here.

        Raises:
            ProtocolError: refused.
        """
        ...

    async def begin(
        self, frame: Open, visitor: Visitor, transport: TransportKind, reset: Reset | None
    ) -> Link | FinalAnswer | NewSession:
        """Return the session to begin here, or attach to one of another process (OPN-4).

        Raises:
            ProtocolError: refused.
        """
        ...


class UplinkElsewhere(Protocol):
    """The other processes of a hub, for what arrives here."""

    async def poll(self, frame: Poll, credential: Credential) -> list[EncodedFrame] | None:
        """Do as `Entrance.poll`; return None if the session is to be looked for here."""
        ...

    async def send(self, body: bytes, scope: Scope) -> list[EncodedFrame] | None:
        """Do as `Entrance.send`; return None if the session is to be looked for here."""
        ...
