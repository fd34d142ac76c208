"""`StoredOpenings`: which process an ``open`` goes to, when a store keeps the sessions.

Only an ``open`` takes a session over, and only once its user and its token are known to be right:
the public id alone starts no handler.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import NamedTuple, TypeAlias

from transport import codes
from transport.bus.calls import ANSWER_WITHIN
from transport.bus.interface import Bus, NotReached
from transport.errors import ProtocolError, StoreUnavailable
from transport.protocol.frames import Open, Reset, TransportKind
from transport.protocol.journal import ClaimRefusal, Image
from transport.protocol.server.opening import Begin, FinalAnswer
from transport.server.authentication import dismissed_error
from transport.server.elsewhere import NewSession, Visitor
from transport.server.registry import Registry
from transport.server.relay.asking import unavailable
from transport.server.relay.edge import Edge
from transport.server.relay.edge_link import EdgeLink
from transport.server.relay.reservations import opening_key
from transport.server.relay.stored_homes import StoredHomes, store_unavailable
from transport.server.sessions import Sessions
from transport.server.topics.stored.dismissals import Dismissals
from transport.server.topics.stored.stored_topics import StoredTopics
from transport.stores.journaled import GRACE, Ended, Found, JournaledStore, Located, Made
from transport.stores.names import shorten
from transport.stores.records import Record
from transport.stores.tokens import Credential, derive_secret, hash_secret, make_token
from transport.telemetry.log import INFO, log_event

MAX_PLACES = 3
"""Processes that may be tried for one opening, each of which turns out not to have its session."""


Opened: TypeAlias = EdgeLink | FinalAnswer | Begin
"""What a home answers to an ``open``."""


class _Place(NamedTuple):
    """A session, and the home and the fence that the store has of it."""

    session_id: str
    home: str
    fence: int


@dataclass(frozen=True, slots=True)
class Stored:
    """The sessions of a hub, in a store that its processes share.

    Attributes:
        store: of this process.
        topics: of the store.
        dismissals: of the users.
        hub: the name of the hub.
        wraps: whether its sessions are those of a WebSocket application.
    """

    store: JournaledStore
    topics: StoredTopics
    dismissals: Dismissals
    hub: str
    wraps: bool


class StoredOpenings:
    """Implements `OpeningElsewhere`.

    Args:
        stored: the sessions of the hub.
        bus: to the other processes.
        edge: opens the sessions of other processes.
        homes: finds the home of a session.
        registry: the sessions of this process.
        sessions: makes them.
        until_joined: waits until this process has joined the others.
        is_held: see `LostRecords.is_held`.
    """

    def __init__(
        self,
        stored: Stored,
        bus: Bus,
        edge: Edge,
        homes: StoredHomes,
        registry: Registry,
        sessions: Sessions,
        until_joined: Callable[[], Awaitable[None]],
        is_held: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._store = stored.store
        self._dismissals = stored.dismissals
        self._hub = stored.hub
        self._wraps = stored.wraps
        self._bus = bus
        self._edge = edge
        self._homes = homes
        self._registry = registry
        self._sessions = sessions
        self._until_joined = until_joined
        self._is_held = is_held
        self._arriving: dict[str, asyncio.Future[None]] = {}
        """The openings and the sessions for which the store is asked now."""

    async def held_session(self, credential: Credential) -> str:
        """See `OpeningElsewhere.held_session`."""
        await self._until_joined()
        located = await self._homes.locate(credential.id)
        if located is None or located.tombstone or not _opens(located, credential, None):
            return ""
        return credential.id

    async def resume(
        self, frame: Open, visitor: Visitor, transport: TransportKind
    ) -> EdgeLink | FinalAnswer | Begin | None:
        """See `OpeningElsewhere.resume`."""
        await self._until_joined()
        credential = visitor.credential
        assert credential is not None
        session_id = credential.id
        for _ in range(MAX_PLACES):
            await self.until_begun(session_id)
            if self._registry.get(session_id) is not None:
                return None
            located = await self._homes.locate(session_id)
            if located is None and await self._is_held(session_id):
                continue
            if located is None or not _opens(located, credential, visitor.identity.subject):
                return None
            if located.tombstone:
                await self._homes.keep_tombstone(session_id, located, visitor.identity.subject)
                return None
            answer = await self._reach(
                _Place(session_id, located.home, located.fence),
                visitor,
                partial(self._edge.open, located.home, frame, visitor, credential, transport),
            )
            if answer is not None:
                return answer
        raise unavailable()

    async def begin(
        self, frame: Open, visitor: Visitor, transport: TransportKind, reset: Reset | None
    ) -> EdgeLink | FinalAnswer | NewSession:
        """See `OpeningElsewhere.begin`."""
        await self._until_joined()
        subject = visitor.identity.subject
        key = self._store.secret  # it may be another when the store has answered
        # With another secret it is another opening: the token of the session could not be made.
        opening = opening_key(subject, frame.client, f"{frame.nonce} {sha256(key).hexdigest()}")
        await self.until_begun(opening)
        async with self._arrives(opening):
            for _ in range(MAX_PLACES):
                mine = secrets.token_urlsafe(9)
                async with self._arrives(mine):
                    found = await self._ask_store(opening, mine, key, frame, subject)
                    if isinstance(found, Made):
                        if await self._was_dismissed(mine, subject, found.image):
                            self._registry.give_up(mine, found.image)
                            raise dismissed_error()
                        # The session is created before anything else runs.
                        return NewSession(mine, key, found.image)
                if isinstance(found, Ended):
                    located = await self._homes.locate(found.session_id)
                    if located is not None and located.tombstone:
                        await self._homes.keep_tombstone(found.session_id, located, subject)
                        return NewSession(found.session_id, key)
                    continue
                answer = await self._attach(found, key, frame, visitor, transport, reset)
                if answer is not None:
                    return answer
        raise unavailable()

    async def _ask_store(
        self, opening: str, session_id: str, key: bytes, frame: Open, subject: str
    ) -> Made | Found | Ended:
        store = self._store
        secret = derive_secret(key, session_id, subject, frame.client, frame.nonce)
        image = Image(
            home=store.name,
            subject=subject,
            token=hash_secret(secret),
            hub=self._hub,
            born=0,
            seen=0,
            run=store.run,
            epoch=store.run,
            wraps=self._wraps,
            holder=frame.client,
        )
        try:
            return await store.open(opening, session_id, image)
        except StoreUnavailable:
            raise store_unavailable() from None

    async def _attach(
        self,
        found: Found,
        key: bytes,
        frame: Open,
        visitor: Visitor,
        transport: TransportKind,
        reset: Reset | None,
    ) -> EdgeLink | FinalAnswer | NewSession | None:
        """Attach to the session that the same ``open`` began before; None to ask again."""
        session_id, subject = found.session_id, visitor.identity.subject
        await self.until_begun(session_id)
        if self._registry.get(session_id) is None:
            secret = derive_secret(key, session_id, subject, frame.client, frame.nonce)
            attach = partial(
                self._edge.open,
                found.home,
                frame,
                visitor,
                Credential(session_id, hash_secret(secret)),
                transport,
                token=make_token(session_id, secret),
                reset=reset,
            )
            answer = await self._reach(_Place(session_id, found.home, found.fence), visitor, attach)
            if answer is not None:
                assert not isinstance(answer, Begin)
                return answer
        is_here = self._registry.get(session_id) is not None
        return NewSession(session_id, key) if is_here else None

    async def _reach(
        self,
        place: _Place,
        visitor: Visitor,
        attach: Callable[[], Awaitable[Opened | None]],
    ) -> Opened | None:
        """Attach to a session at its home, or take it over if that is gone.

        Args:
            place: where the session is.
            visitor: who opens it.
            attach: asks the home.

        Returns:
            None if it is not there, or is here now.
        """
        session_id, home = place.session_id, place.home
        # This process may be the home and not know it: what it asked the store was not answered.
        if home not in ("", self._store.name):
            try:
                await self._bus.look_for(home)
                answer = await attach()
            except (NotReached, ProtocolError) as error:
                if isinstance(error, ProtocolError) and error.code is not codes.UNAVAILABLE:
                    raise
                # It may stand still, and not be gone, until its lease has ended.
                if not await self._homes.is_dead(home):
                    raise unavailable() from None
                self._homes.is_wrong(session_id)
            else:
                if answer is not None:
                    self._homes.learn(session_id, home)
                    return answer
                # It denies that it has it: what it has asked the store was not answered. If the
                # session has moved since, the claim is refused.
                self._homes.is_wrong(session_id)
        await self._take_over(place, visitor)
        return None

    async def _take_over(self, place: _Place, visitor: Visitor) -> None:
        """Claim a session, and go on with it here; no effect if another process was faster.

        Raises:
            ProtocolError: refused.
        """
        request, session_id = visitor.request, place.session_id
        assert request is not None
        registry = self._registry
        if registry.draining:
            raise unavailable()
        self._sessions.check_room(request)
        await self.until_begun(session_id)
        if registry.get(session_id) is not None:
            return
        async with self._arrives(session_id):
            try:
                image = await self._store.claim(session_id, place.home, place.fence)
            except StoreUnavailable:
                raise store_unavailable() from None
            if image is GRACE:
                raise unavailable()
            if isinstance(image, ClaimRefusal):
                return
            subject = visitor.identity.subject
            is_dismissed = await self._was_dismissed(session_id, subject, image)
            record = Record(session_id, subject, image.token)
            await registry.store.open(f"claimed {session_id}", record, registry.now(), 0.0)
            try:
                self._sessions.take_over(
                    record,
                    request,
                    image,
                    visitor.identity.user,
                    trial=bool(place.home),
                    is_dismissed=is_dismissed,
                )
            except ProtocolError:
                registry.give_up(session_id, image)
                await registry.store.forget(session_id)
                raise
            log_event(INFO, "took_over", channel=session_id, home=place.home)

    async def _was_dismissed(self, session_id: str, subject: str, image: Image) -> bool:
        """Return whether a user was dismissed since a session was opened, which is held now.

        Raises:
            ProtocolError: ``unavailable``: the store does not answer, and the session is given up.
        """
        try:
            return await self._dismissals.was_dismissed(subject, image.born)
        except StoreUnavailable:
            self._registry.give_up(session_id, image)
            raise store_unavailable() from None

    @asynccontextmanager
    async def _arrives(self, name: str) -> AsyncIterator[None]:
        """Let others wait while the store is asked for a session or an opening."""
        arrived = self._arriving[name] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            if self._arriving.get(name) is arrived:
                del self._arriving[name]
            arrived.set_result(None)

    async def until_begun(self, name: str) -> None:
        """Wait while the store is asked for a session, or for what an opening has begun.

        Args:
            name: the id of the session, or the key of the opening.
        """
        while (arrived := self._arriving.get(name)) is not None:
            done, _ = await asyncio.wait([arrived], timeout=ANSWER_WITHIN)
            if not done:
                raise unavailable()


def _opens(located: Located, credential: Credential, subject: str | None) -> bool:
    """Whether a token is that of a session, and the user the one who opened it."""
    record = Record("", located.subject, located.token)
    is_users = subject is None or shorten(subject) == located.subject
    return record.opens_to(credential) and is_users
