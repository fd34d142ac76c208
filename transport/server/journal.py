"""`Journal`: what a session writes to a store that other processes share, and what that answers.

The session decides what there is to store; the store decides when it is gathered. In between, this
numbers the writes, repairs a store that has lost some, and gives the session up when another
process has claimed it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from typing import assert_never

from msgspec.structs import replace

from transport.errors import StoreUnavailable
from transport.protocol.frames import ResetReason
from transport.protocol.journal import (
    Change,
    End,
    Heal,
    Image,
    Refusal,
    Release,
    Step,
    Touch,
    Write,
)
from transport.protocol.server.tombstone import encode_tombstone
from transport.server.driver import SessionDriver
from transport.stores.journaled import TOUCH, Failed, JournaledStore, Outcome
from transport.telemetry.log import ERROR, INFO, log_event
from transport.waiting import resolve

HEAL_WITHIN = 600.0
"""Seconds since the last proof within which a store that does not have the session is repaired: by
then it would have forgotten the tombstone, too."""

SAVED_WITHIN = 15.0
"""Seconds for which an application waits until something is stored: as for a publication."""

GRACE_LOOK = 2.0
"""Seconds after which a session looks whether a grace has ended early. All sessions of a process
may wait for that."""


class _State(Enum):
    HELD = auto()
    """This process is the home."""
    DOUBTFUL = auto()
    """It may have lost the session, until a write proves the contrary."""
    OVER = auto()
    """The session has ended, was released or is lost: nothing more is written."""


class Journal:
    """Implements `Source` for one session.

    Args:
        driver: of the session.
        store: to which it is written.
        image: the session, as this process has opened or claimed it.
        on_lost: called once if another process has the session.

    Attributes:
        id: the public id of the session.
        epoch, born, is_busy: see `DrivenJournal`.
    """

    __slots__ = (
        "_driver",
        "_forced",
        "_healing",
        "_image",
        "_may_differ",
        "_must_heal",
        "_must_prove",
        "_on_lost",
        "_partial_timer",
        "_proved_at",
        "_proves_from",
        "_release",
        "_state",
        "_store",
        "_stored_version",
        "_stored_waiters",
        "_touched_at",
        "_under_way",
        "_version",
        "born",
        "epoch",
        "id",
        "is_busy",
    )

    def __init__(
        self,
        driver: SessionDriver,
        store: JournaledStore,
        image: Image,
        on_lost: Callable[[], None],
    ) -> None:
        self.id = driver.session.id
        self.epoch = image.epoch
        self.born = image.born
        self._driver = driver
        self._store = store
        self._image = image
        self._on_lost = on_lost
        self._version = self._stored_version = image.version
        self._state = _State.HELD
        self._under_way: Write | None = None
        self.is_busy = False
        self._must_heal = False
        self._may_differ = False
        """Whether the store may have lost what another home has written while this one lapsed."""
        self._must_prove = False
        self._forced = -1
        """The message in the handler's hand for which the next step is forced."""
        self._proved_at = self._touched_at = driver.loop.time()
        # By a clock that goes on while the process is stopped.
        self._proves_from = 0
        """The first version that shows that this process still has the session."""
        self._partial_timer: asyncio.TimerHandle | None = None
        self._healing: asyncio.Task[None] | None = None
        self._release: asyncio.Future[None] | None = None
        self._stored_waiters: list[asyncio.Future[None]] = []
        if store.is_lapsed():
            self.doubt()

    # What the driver reports

    def changed(self) -> None:
        """Tell the store if there is something to write now."""
        if self.is_busy or self._state is _State.OVER:
            return
        session = self._driver.session
        if (
            session.has_step
            or self._must_heal
            or self._must_prove
            or self._release is not None
            or session.ending is not None
        ):
            self.is_busy = True
            self._store.wrote(self)
        elif self._partial_timer is None and session.has_partial:
            delay, number = session.limits.step, session.incoming.delivered
            self._partial_timer = self._driver.loop.call_later(delay, self._took_long, number)

    def _took_long(self, number: int) -> None:
        """Store what the handler has sent for this message, if it is still in its hand."""
        self._partial_timer = None
        if self._driver.session.incoming.delivered == number:
            self._force()
        else:
            self.changed()

    def _force(self) -> None:
        """Store what the handler has sent for the message in its hand, apart from the message."""
        if self._state is not _State.OVER:
            self._forced = self._driver.session.incoming.delivered
            if not self.is_busy:
                self.is_busy = True
                self._store.wrote(self)

    def tick(self) -> None:
        """Let the session prove that it lives, if it has written nothing for a while."""
        if self._driver.loop.time() - self._touched_at >= TOUCH:
            self.prove()

    # Calls of the process

    def doubt(self) -> None:
        """Hand nothing out: another process may claim the session, as the lease may have ended."""
        if self._state is _State.HELD:
            self._state = _State.DOUBTFUL
            self._proves_from = self._version + 1_000_000_000
            self._driver.session.paused = True

    def check_lease(self) -> None:
        """Do as `doubt` if the lease may have ended.

        A process that was stopped finds messages for its handlers before it is told.
        """
        if self._state is _State.HELD and self._store.is_lapsed():
            self.doubt()

    def lost(self) -> None:
        """Learn that the store has lost data: see whether it still has this session."""
        self.check_lease()
        if self._state is _State.DOUBTFUL:
            self._must_heal = self._may_differ = True
        self.prove()

    def prove(self) -> None:
        """Show by a write of its own that this process still has the session."""
        if self._state is not _State.OVER:
            self._must_prove = True
            self._proves_from = self._version + 1
            self.changed()

    async def flush(self) -> None:
        """Wait until everything that was sent is stored.

        Raises:
            ChannelClosed: the session was lost or has ended first.
        """
        outgoing = self._driver.session.outgoing
        number = outgoing.last
        while outgoing.shown < number:
            if self._state is _State.OVER:
                raise self._driver.handed_over()
            self._force()
            await self._next_stored()

    async def saved(self) -> None:
        """Wait until what there is to store now is stored, or the session has gone.

        Raises:
            StoreUnavailable: the store has not stored it in time; it does so later.
        """
        session = self._driver.session
        version = self._version
        is_waiting = self.is_busy and self._under_way is None
        if is_waiting or session.has_step or session.has_partial:
            version += 1  # that of the next write
        try:
            async with asyncio.timeout(SAVED_WITHIN):
                while self._stored_version < version and self._state is not _State.OVER:
                    self.changed()
                    await self._next_stored()
        except TimeoutError:
            raise StoreUnavailable(
                f"the store has not stored within {SAVED_WITHIN:g} s what this channel has done; "
                "it does once it can, and the log says why it cannot"
            ) from None

    async def _next_stored(self) -> None:
        waiter = self._driver.loop.create_future()
        self._stored_waiters.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._stored_waiters:
                self._stored_waiters.remove(waiter)

    async def release(self) -> None:
        """Store what there is, and give the session up, so that any process may claim it.

        Returns also if that cannot be done, as after its end.
        """
        if self._state is _State.OVER:
            return
        if self._release is None:
            self._release = self._driver.loop.create_future()
        self._driver.session.paused = True
        self.changed()
        await asyncio.shield(self._release)

    @property
    def is_held(self) -> bool:
        """Whether this process is certain to be the home."""
        return self._state is _State.HELD

    # `Source`

    def next_write(self) -> Write | None:
        """See `Source.next_write`."""
        if self._under_way is not None:
            return None
        self.is_busy = False
        if self._state is _State.OVER:
            return None
        if self._state is _State.DOUBTFUL and self._store.in_grace:
            # The store may be an older copy, which does not know yet who has claimed the session.
            self._write_after_grace(begins=False)
            return None
        change = self._next_change()
        if change is None:
            return None
        self.is_busy = True
        self._version += 1
        image = self._image
        self._under_way = Write(image.home, image.fence, self._version, change)
        return self._under_way

    def _next_change(self) -> Change | None:
        session = self._driver.session
        if self._must_heal:
            return self._heal()
        if session.ending is not None:
            return End(encode_tombstone(session.tombstone()))
        touch = None
        if self._must_prove:
            self._must_prove = False
            touch = Touch(self._idle(), self._store.run)
        forced, self._forced = self._forced == session.incoming.delivered, -1
        step = session.step(force=forced, touch=touch)
        if step is None and self._release is not None:
            return Release()
        return step

    def _heal(self) -> Heal:
        """Return the session as it is; also one that has ended, of which the rest is gone."""
        self._must_heal = self._must_prove = False
        session = self._driver.session
        if self._may_differ:
            self._may_differ = False
            session.diverge()
        image = replace(self._image, version=self._version + 1, run=self._store.run)
        return Heal(session.image(image), self._idle())

    def _idle(self) -> int:
        """Return for how many milliseconds the client has sent no frame; the store is told now."""
        self._touched_at = self._driver.loop.time()
        return max(0, round((self._driver.now() - self._driver.session.received_at) * 1000))

    def written(self, write: Write, outcome: Outcome) -> None:
        """See `Source.written`."""
        self._under_way = None
        self.is_busy = False
        if self._state is _State.OVER:
            return
        self.check_lease()  # what was answered before the lease has ended, perhaps, proves nothing
        match outcome:
            case None if self._state is _State.DOUBTFUL and write.version < self._proves_from:
                self._must_heal = True  # the store may have been replaced since it answered
                if self._proves_from > self._version + 1:
                    return  # there is no lease yet: `prove` has it written
            case None:
                self._stored(write)
            case Refusal.FENCED | Refusal.ENDED:
                self._lose()
                return
            case Refusal.GONE if self._driver.loop.time() - self._proved_at > HEAL_WITHIN:
                self._lose()
                return
            case Refusal.GONE | Refusal.BEHIND:
                self._must_heal = True
                if self._state is _State.DOUBTFUL:
                    self._may_differ = True
                    self._write_after_grace(begins=True)
                    return
            case Failed(text):
                self._fail(text)
            case _:
                assert_never(outcome)
        self.changed()

    def _stored(self, write: Write) -> None:
        session = self._driver.session
        self._stored_version = write.version
        if write.version >= self._proves_from:
            self._proved_at = self._driver.loop.time()
            if self._state is _State.DOUBTFUL and not self._store.is_lapsed():
                self._state = _State.HELD
                session.paused = self._release is not None
        match write.change:
            case Step():
                session.stored(write.change)
            case Heal(image) if image.tombstone:
                self._end()
            case Heal(image):
                session.healed(image)
            case End():
                self._end()
            case Release():
                self._close()
        self._driver.stored()
        waiters, self._stored_waiters = self._stored_waiters, []
        for waiter in waiters:
            resolve(waiter)

    def _write_after_grace(self, *, begins: bool) -> None:
        """Write nothing until the grace is over; a process that has claimed the session in what the
        store has lost writes first, with its higher fence.

        Args:
            begins: whether a grace is to begin.
        """
        self.is_busy = True
        self._healing = self._driver.loop.create_task(self._until_after_grace(begins))

    async def _until_after_grace(self, begins: bool) -> None:
        if begins:
            with suppress(StoreUnavailable):
                await self._store.begin_grace()
        while (seconds := self._store.grace_left) > 0.0:  # noqa: ASYNC110 - no event announces it
            await asyncio.sleep(min(seconds, GRACE_LOOK))
        self.is_busy = False
        self.changed()

    def _end(self) -> None:
        self._close()
        self._driver.session.show_end()

    def _fail(self, text: str) -> None:
        """Reset the session: the store cannot keep it."""
        log_event(
            ERROR,
            "store_refused",
            "the store answered a write of this session with an error, so it is reset: see the "
            "text of the store",
            channel=self.id,
            error=text,
        )
        session = self._driver.session
        if session.ending is None:
            session.reset(ResetReason.STORE_LOST)
        else:
            self._end()

    def _lose(self) -> None:
        log_event(
            INFO,
            "taken_over",
            "another process has claimed this session, as this one seemed to be gone: its handler "
            "is cancelled here, and goes on there",
            channel=self.id,
        )
        self._close()
        self._on_lost()

    def _close(self) -> None:
        """Write nothing more."""
        self._state = _State.OVER
        if self._partial_timer is not None:
            self._partial_timer.cancel()
            self._partial_timer = None
        if self._healing is not None:
            self._healing.cancel()
            self._healing = None
        for waiter in (self._release, *self._stored_waiters):
            if waiter is not None:
                resolve(waiter)
        self._stored_waiters.clear()
