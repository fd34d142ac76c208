"""`Openings`: which process an ``open`` goes to, when the id of a session names its home."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable

from transport.bus.calls import ANSWER_WITHIN
from transport.bus.interface import Bus, NotReached
from transport.protocol.frames import Open, Reset, TransportKind
from transport.protocol.server.opening import Begin, FinalAnswer
from transport.server.elsewhere import NewSession, Visitor
from transport.server.relay.asking import Asking, unavailable
from transport.server.relay.edge import Edge
from transport.server.relay.edge_link import EdgeLink
from transport.server.relay.homes import Homes
from transport.server.relay.reservations import Reservations, opening_key
from transport.stores.tokens import Credential, derive_secret, hash_secret, make_token

MAX_PLACES = 3
"""Processes that may be tried for one opening, each of which turns out not to have its session."""


class Openings:
    """Implements `OpeningElsewhere`.

    Args:
        bus: to the other processes.
        edge: opens their sessions.
        asking: asks the homes.
        reservations: of openings.
        homes: finds that of a session.
        until_joined: waits until the other processes are known.
    """

    def __init__(
        self,
        bus: Bus,
        edge: Edge,
        asking: Asking,
        reservations: Reservations,
        homes: Homes,
        until_joined: Callable[[], Awaitable[None]],
    ) -> None:
        self._bus = bus
        self._edge = edge
        self._asking = asking
        self._reservations = reservations
        self._homes = homes
        self._until_joined = until_joined
        self._beginning: dict[str, asyncio.Future[None]] = {}

    async def held_session(self, credential: Credential) -> str:
        """See `OpeningElsewhere.held_session`."""
        await self._until_joined()
        return await self._asking.held_session(credential)

    async def resume(
        self, frame: Open, visitor: Visitor, transport: TransportKind
    ) -> EdgeLink | FinalAnswer | Begin | None:
        """See `OpeningElsewhere.resume`."""
        await self._until_joined()
        assert visitor.credential is not None
        home = await self._homes.find(visitor.credential.id)
        if home is None:
            return None
        try:
            return await self._edge.open(home, frame, visitor, visitor.credential, transport)
        except NotReached:
            await self._asking.check_gone(visitor.credential.id)
            return None

    async def begin(
        self, frame: Open, visitor: Visitor, transport: TransportKind, reset: Reset | None
    ) -> EdgeLink | FinalAnswer | NewSession:
        """See `OpeningElsewhere.begin`."""
        await self._until_joined()
        subject = visitor.identity.subject
        opening = opening_key(subject, frame.client, frame.nonce)
        mine = self._bus.name + secrets.token_urlsafe(9)
        begun = self._beginning[mine] = asyncio.get_running_loop().create_future()
        instead = ""
        try:
            for _ in range(MAX_PLACES):
                session_id = await self._reservations.reserve(opening, mine, instead)
                home = await self._homes.find(session_id)
                if home is None and session_id.startswith(self._bus.name):
                    return NewSession(session_id, self._bus.secret)
                if home is not None:
                    secret = derive_secret(
                        self._bus.secret, session_id, subject, frame.client, frame.nonce
                    )
                    credential = Credential(session_id, hash_secret(secret))
                    token = make_token(session_id, secret)
                    try:
                        answer = await self._edge.open(
                            home, frame, visitor, credential, transport, token=token, reset=reset
                        )
                    except NotReached:
                        await self._asking.check_gone(session_id)
                        answer = None
                    if answer is not None:
                        assert not isinstance(answer, Begin)
                        return answer
                instead = session_id
        finally:
            # The session is created before anything else runs.
            begun.set_result(None)
            del self._beginning[mine]
        raise unavailable()

    async def until_begun(self, session_id: str) -> None:
        """Wait while this process is about to begin a session whose id it has proposed."""
        begun = self._beginning.get(session_id)
        if begun is not None:
            await asyncio.wait([begun], timeout=ANSWER_WITHIN)
