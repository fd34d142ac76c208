"""`StoredState`: the processes, the store and the clients, and what those may be told."""

from __future__ import annotations

from random import Random
from typing import Any

from starlette.requests import HTTPConnection

from tests.properties.processes.client import ModelClient
from tests.properties.processes.state import LIMITS, State
from tests.properties.shared.application import StoredJournal
from tests.properties.shared.client import StoredClient
from transport import Channel, Hub, Identity
from transport.limits import Limits
from transport.protocol.client.events import Closed, WasReset
from transport.protocol.frames import ResetReason
from transport.protocol.journal import Write
from transport.protocol.server.unstored import MAX_TRIALS
from transport.stores.journaled import Outcome
from transport.testing.store_data import TIMES, Data
from transport.testing.store_model import ModelStore, StoreModel

AFTER_FAULT = TIMES.lease + TIMES.grace + 4.0
"""Seconds after a fault in which a client may be told ``unavailable``: until the lease has lapsed,
the grace is over, and a process has looked for the home of the session."""

LOSSES = frozenset(
    (ResetReason.STORE_LOST, ResetReason.REWOUND, ResetReason.RESTARTED, ResetReason.UNKNOWN)
)
"""The reasons of a reset that a loss of data may have."""


class WatchedStore(StoreModel):
    """A store that remembers what it had.

    Args:
        journal: learns which marks of a session were stored.
    """

    def __init__(self, journal: StoredJournal) -> None:
        super().__init__()
        self._journal = journal

    def write(self, session_id: str, write: Write, limits: Limits) -> Outcome:
        """See `StoreModel.write`."""
        outcome = super().write(session_id, write, limits)
        image, session = self.image(session_id), self._journal.sessions.get(session_id)
        if outcome is None and image is not None and session is not None and not image.tombstone:
            session.stored = max(session.stored, image.last)
            session.handled = max(session.handled, image.handled)
        return outcome


class StoredState(State):
    """Processes, a store and clients.

    Args:
        source: of everything random.

    Attributes:
        store: what the processes share.
        saved: what the store had some time ago.
        is_paused: whether the store executes nothing.
        has_lost: whether the store has ever lost data.
    """

    journal: StoredJournal  # type: ignore[assignment]
    clients: list[StoredClient]  # type: ignore[assignment]

    def __init__(self, source: Random) -> None:
        super().__init__(source)
        self.journal = StoredJournal(self.store_of, LIMITS.unstored)
        self.store = WatchedStore(self.journal)
        self.saved = Data()
        self.is_paused = False
        self.has_lost = False

    def make_hub(self, store: Any) -> Hub:
        """Make the hub of the next process."""
        home, self._made = self._made, self._made + 1

        async def handle(channel: Channel) -> None:
            with self.noting_failures():
                await self.journal.handle(channel, home)

        async def authenticate(_: HTTPConnection, credentials: Any) -> Identity:
            return Identity(credentials, user=credentials)

        return Hub(handle, store=store, limits=LIMITS, name="model", authenticate=authenticate)

    def store_of(self, index: int) -> ModelStore:
        """Return the store of a process."""
        [store] = self.processes[index].stores
        return store

    @property
    def aftermath(self) -> float:
        """See `State.aftermath`."""
        return AFTER_FAULT

    @property
    def is_disturbed(self) -> bool:
        """Whether a fault happened just now, or goes on."""
        return (
            super().is_disturbed
            or self.is_paused
            or bool(self.store.refusal)
            or bool(self.store.deaf)
        )

    # Losses of data

    def note_losses(self) -> None:
        """Note the sessions of which the store has not everything, and that nobody can repair."""
        for session in self.journal.sessions.values():
            if self._has_lost(session.id) and not self._is_home_well(session.parts[-1].home):
                session.is_damaged = True

    def _has_lost(self, session_id: str) -> bool:
        session, image = self.journal.sessions[session_id], self.store.image(session_id)
        if image is None:
            return True
        return not image.tombstone and (
            image.last < session.stored or image.handled < session.handled
        )

    def _is_home_well(self, index: int) -> bool:
        """Whether a process runs, and has its lease."""
        process = self.processes[index]
        return (
            process.is_alive
            and not process.is_stopped
            and index not in self.ending
            and not self.store_of(index).is_lapsed()
        )

    # What clients are told

    def check_reset(self, client: ModelClient, event: WasReset) -> None:
        """Check the reason of a reset: only what was lost with its home is."""
        session = self.journal.sessions.get(client.session)
        what = f"client {client.index} is told {event.reason} of {session}"
        if event.reason is ResetReason.OVERFLOW:
            assert self.is_disturbed, what  # a process that stood still may miss what is for many
            return
        assert event.reason in LOSSES, what
        self.note_losses()
        if session is None:  # its process was killed before its handler began
            assert self.has_lost, what
        else:
            assert session.is_damaged, what

    def check_closed(self, client: ModelClient, event: Closed) -> None:
        """Check why a channel ended: only as processes have died at a message."""
        session = self.journal.sessions[client.session]
        what = f"client {client.index} was closed: {event}, of {session}"
        assert event.code == 1011, what
        assert session.deaths > MAX_TRIALS, what
