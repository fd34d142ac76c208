"""`StoredHomes`: which process has a session, when a store says so."""

from __future__ import annotations

from collections import OrderedDict

from transport import codes
from transport.errors import ProtocolError, StoreUnavailable
from transport.protocol.server.tombstone import decode_tombstone
from transport.server.registry import Registry
from transport.server.relay.asking import RETRY_IN, not_attached, unavailable
from transport.stores.journaled import JournaledStore, Located
from transport.stores.memory import WorkerStore
from transport.stores.records import Record

MAX_HINTS = 100_000
"""Sessions of other processes whose homes are remembered."""

KEPT_FOR = 5.0
"""Seconds that this process keeps how a session of the store has ended: for the answer."""


class StoredHomes:
    """Finds the home of a session, as `Homes` does.

    Args:
        store: of the sessions.
        hub: the name of the hub.
        registry: the sessions of this process.
    """

    def __init__(self, store: JournaledStore, hub: str, registry: Registry) -> None:
        self._store = store
        self._hub = hub
        self._registry = registry
        self._hints: OrderedDict[str, str] = OrderedDict()
        """Names of homes. One may be wrong: its process is then asked in vain, and forgotten."""

    def learn(self, session_id: str, home: str) -> None:
        """Remember the home of a session."""
        self._hints[session_id] = home
        self._hints.move_to_end(session_id)
        while len(self._hints) > MAX_HINTS:
            self._hints.popitem(last=False)

    async def has_moved(self, session_id: str, home: str) -> bool:
        """See `Homes.has_moved`: what this process remembered may be wrong."""
        located = await self.locate(session_id)
        if located is not None and not located.tombstone and located.home == home:
            self.learn(session_id, home)
            return False
        self._hints.pop(session_id, None)
        return True

    def is_wrong(self, session_id: str) -> bool:
        """See `Homes.is_wrong`: the session may have moved since this process has looked."""
        self._hints.pop(session_id, None)
        return True

    async def find(self, session_id: str) -> str | None:
        """Return the name of the home of a session; None if it is here, or unknown, or has ended.

        Raises:
            ProtocolError: ``not_attached``: it has no home until the client opens it again;
                ``unavailable``.
        """
        if self._registry.get(session_id) is not None:
            return None
        hint = self._hints.get(session_id)
        if hint is not None:
            return hint
        located = await self.locate(session_id)
        if located is None:
            return None
        if located.tombstone:
            await self.keep_tombstone(session_id, located)
            return None
        if located.home in ("", self._store.name):
            raise not_attached()
        self.learn(session_id, located.home)
        return located.home

    async def is_gone(self, session_id: str) -> bool:
        """Look for the home of a session, which could not be reached; see `Homes.is_gone`.

        Raises:
            ProtocolError: ``not_attached``: it is gone, and the session gets another home.
        """
        located = await self.locate(session_id)
        self._hints.pop(session_id, None)
        if located is None or located.tombstone:
            return True
        if located.home != "" and not await self.is_dead(located.home):
            return False
        raise not_attached()

    async def home_of(self, session_id: str) -> str | None:
        """See `Homes.home_of`."""
        located = await self._store.locate(session_id)
        is_ours = located is not None and located.hub == self._hub and not located.tombstone
        return located.home if located is not None and is_ours else None

    async def check_answering(self, session_id: str) -> None:
        """See `Homes.check_answering`."""
        home = self._hints.get(session_id)
        if home is not None and await self.is_dead(home):
            self._hints.pop(session_id, None)
            raise not_attached()

    async def locate(self, session_id: str) -> Located | None:
        """Return what the store has of a session of this hub.

        Raises:
            ProtocolError: ``unavailable``: the store does not answer, or has just lost data.
        """
        try:
            located = await self._store.locate(session_id)
        except StoreUnavailable:
            raise store_unavailable() from None
        if located is None and self._store.in_grace:
            raise unavailable()
        return located if located is not None and located.hub == self._hub else None

    async def is_dead(self, home: str) -> bool:
        """Return whether a process is gone.

        Raises:
            ProtocolError: ``unavailable``: the store does not answer.
        """
        try:
            return await self._store.is_dead(home)
        except StoreUnavailable:
            raise store_unavailable() from None

    async def keep_tombstone(
        self, session_id: str, located: Located, subject: str | None = None
    ) -> None:
        """Let this process tell how a session has ended.

        Args:
            session_id: its public id.
            located: what the store has of it.
            subject: the subject that asks; by default as the store has it, perhaps shortened.
        """
        records = self._registry.store
        assert isinstance(records, WorkerStore)
        record = Record(session_id, subject or located.subject, located.token, begun=True)
        until = self._registry.now() + KEPT_FOR
        await records.inherit(record, decode_tombstone(located.tombstone), until)


def store_unavailable() -> ProtocolError:
    """Return the error for a client while the store does not answer."""
    return ProtocolError(codes.UNAVAILABLE, "the server's store does not answer", retry_in=RETRY_IN)
