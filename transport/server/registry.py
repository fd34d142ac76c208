"""`Registry`: the sessions that live in this process: found, swept, drained."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.protocol.journal import Image
from transport.protocol.server.counters import Counters, counters_of
from transport.protocol.server.opening import Found
from transport.server.admission import Admission
from transport.server.clock import Clock
from transport.server.deadlines import Deadlines
from transport.server.departure import Departure
from transport.server.given_up import GivenUp
from transport.server.memory import Memory
from transport.server.runner import Runner
from transport.stores.interface import Store
from transport.stores.journaled import JournaledStore
from transport.stores.records import Record
from transport.stores.tokens import Credential
from transport.telemetry.log import ERROR, INFO, WARNING, log_event

SWEEP_INTERVAL = 0.25
"""Seconds between sweeps, and so the resolution of deadlines."""

RETRY_IN = 1.0
"""Seconds after which a client asks again for a session about which nothing can be said now."""

RELEASE_WITHIN = 3.0
"""Seconds that a process which stops waits for its store to take the sessions."""

RETURNS_PER_SECOND = 1000.0
"""Clients that come back to other processes from one that has released their sessions. Each of
several processes takes about 400 sessions a second over, by measurement; after a kill, all clients
come back at once."""

LOG_INTERVAL = 60.0
"""Seconds between two log lines about a store that cannot sweep."""


@dataclass(slots=True)
class TotalCounters:
    """Messages of many sessions."""

    sent: int = 0
    received: int = 0
    replayed: int = 0

    def add(self, counters: Counters) -> None:
        """Count those of one more session."""
        self.sent += counters.sent
        self.received += counters.received
        self.replayed += counters.replayed

    def copy(self) -> TotalCounters:
        """Return a copy."""
        return replace(self)


class Registry:
    """The sessions of one hub in one event loop, and the timer that moves their deadlines.

    A session stays here until its handler has returned and the store has its tombstone, or has
    failed to save it: between its end and that step an ``open`` would otherwise find neither.

    Args:
        store: where records are kept.
        limits: bounds and times.
        admission: stops counting the sessions that have left.
        memory: stops charging them.
        clock: the process's.
        deadlines: of requests; swept with the sessions.

    Attributes:
        epoch: that of the sessions that begin now, and of those that are unknown (EPO-1).
        draining: whether new sessions are refused (DRN-1).
        return_window: seconds in which clients then come back, perhaps to another process. While
            the store has their sessions and nobody serves them, no longer than they need to.
        is_relayed: whether clients reach these sessions through other processes too, until this one
            is gone. They then stay connected while it drains.
        journals: where the sessions are kept so that other processes can go on with them; None if
            they end with this process.
        on_drain: called when the server is told to stop, or the hub stops. Idempotent.
        on_removed: called with the id of a session that is not here any longer, if other processes
            may have it.
        opened: how many sessions ever began here.
        resets: how many sessions were reset or could not be resumed, by reason.
        totals: messages of the sessions that have left.
    """

    def __init__(
        self,
        store: Store,
        limits: Limits,
        admission: Admission,
        memory: Memory,
        clock: Clock,
        deadlines: Deadlines,
    ) -> None:
        self.store = store
        self.epoch = store.epoch
        self.clock = clock
        self.now = clock.now
        self.draining = False
        self.return_window = limits.drain_window
        self.is_relayed = False
        self.journals: JournaledStore | None = None
        self.on_drain: Callable[[], None] = lambda: None
        self.on_removed: Callable[[str], None] = lambda session_id: None
        self.opened = 0
        self.resets: Counter[str] = Counter()
        self.totals = TotalCounters()
        self._limits = limits
        self._admission = admission
        self._memory = memory
        self._deadlines = deadlines
        self._runners: dict[str, Runner] = {}
        self._closing: list[Runner] = []
        """Sessions that have left, but whose connections are still writing their last frames."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_sweeping_store = False
        self._sweep_failed_at = float("-inf")
        self._failing: set[str] = set()
        """Sessions whose deadlines cannot be handled; each was logged."""
        self._has_warned = False
        self._should_exit: Callable[[], bool] | None = None
        self._departure: Departure | None = None
        self._timer = clock.loop.call_later(SWEEP_INTERVAL, self._sweep)

    # Sessions

    @property
    def runners(self) -> Iterator[Runner]:
        """The sessions that live in this process."""
        return iter(list(self._runners.values()))

    def get(self, session_id: str) -> Runner | None:
        """Return a session of this process by its public id."""
        return self._runners.get(session_id)

    async def find_record(
        self, credential: Credential | None, subject: str | None = None
    ) -> Record | None:
        """Return the record of the session that ``credential`` opens.

        Args:
            credential: what the client's token proves; None if it is malformed.
            subject: the only subject whose session it may be; any if None.

        Returns:
            None if the credential is not valid, or the session is another subject's.
        """
        if credential is None:
            return None
        record = await self.store.find(credential.id, self.now())
        if record is None or not record.opens_to(credential):
            return None
        return record if subject is None or record.subject == subject else None

    def known(self, record: Record) -> Found:
        """Return what this process and the store know of a session."""
        runner = self.get(record.id)
        session = runner.session if runner is not None else None
        return Found(session, record.tombstone, begun=record.begun)

    def check_held(self, runner: Runner) -> None:
        """Check that this process is certain to have a session that other processes may claim.

        Raises:
            ProtocolError: ``unavailable``: another process may have claimed it meanwhile.
        """
        journal = runner.driver.journal
        if journal is not None and not (journal.is_held or runner.session.end_shown):
            raise ProtocolError(
                codes.UNAVAILABLE,
                "the server cannot tell yet whether it still has this session: its store does not "
                "answer",
                retry_in=RETRY_IN,
            )

    async def held_session(self, credential: Credential | None) -> str:
        """Return the id of the live session that ``credential`` opens, or ``""``."""
        record = await self.find_record(credential)
        return record.id if record is not None and record.tombstone is None else ""

    def __len__(self) -> int:
        return len(self._runners)

    def add(self, runner: Runner) -> None:
        """Keep a session that begins."""
        self._runners[runner.session.id] = runner
        self.opened += 1

    def give_up(self, session_id: str, image: Image) -> None:
        """Let others have a session that was opened or claimed, but cannot run here."""
        assert self.journals is not None
        self.journals.wrote(GivenUp(session_id, image))

    def dismiss(self, subject: str, until: int | None = None) -> None:
        """End the sessions of a user (IDN-2).

        Args:
            subject: the user.
            until: only those that were opened until then, by the store's clock in microseconds.
        """
        for runner in self.runners:
            journal = runner.driver.journal
            is_later = until is not None and journal is not None and journal.born > until
            if runner.credentials.subject == subject and not is_later:
                runner.dismiss()

    def subjects(self) -> set[str]:
        """Return the users that have sessions here."""
        return {runner.credentials.subject for runner in self.runners}

    def warn_of_other_process(self, epoch: str) -> None:
        """Warn once that a client presented a session of another running process.

        An epoch that began before this process's may be its predecessor's, whose clients return
        after a restart; one that began later belongs to another worker.
        """
        if epoch > self.epoch and not self._has_warned and not self.store.shared:
            self._has_warned = True
            log_event(
                WARNING,
                "wrong_process",
                "a client presented a session of another process, which started after this one: "
                "several run at the same time. Let the workers of the server share their sessions: "
                "Hub(..., store=Workers()), or start one worker",
            )

    # `runner.Owner`

    def session_ended(self, runner: Runner) -> None:
        """Count a session that was reset, and save its tombstone."""
        ending = runner.session.ending
        if ending is not None and ending.reset is not None:
            self.resets[ending.reset.value] += 1
        self.tombstone_changed(runner)

    def tombstone_changed(self, runner: Runner) -> None:
        """Save the tombstone of a session that has ended."""
        runner.pending_tombstones += 1
        self._spawn(self._save_tombstone(runner))

    def handler_ended(self, runner: Runner) -> None:
        """Remove the session if nothing of it is left to do, once its task is over."""
        self.clock.loop.call_soon(self._remove_if_finished, runner)
        if runner.gives_up and self._runners.get(runner.session.id) is runner:
            self._spawn(self._release(runner))

    def begun(self, runner: Runner) -> None:
        """Hand over a session that has begun while this process was already draining."""
        if self.draining and self.journals is not None:
            self._hand_over(runner)

    def _hand_over(self, runner: Runner) -> None:
        runner.give_up(self._limits.drain_grace)
        if runner.has_returned:
            self._spawn(self._release(runner))

    async def _release(self, runner: Runner) -> None:
        """Let another process have a session whose handler has ended; its clients go there."""
        assert runner.driver.journal is not None
        await runner.driver.journal.release()
        has_turn = self._departure is not None and not self._departure.is_hurried
        self.lost(runner, 0.0 if has_turn else self.return_window)

    def lost(self, runner: Runner, retry_in: float = 0.0) -> None:
        """Forget a session that another process has, or may have; its clients look for it there.

        Args:
            runner: of the session.
            retry_in: seconds within which they connect again.
        """
        if self._runners.get(runner.session.id) is runner and not runner.driver.ended:
            runner.lose(retry_in)
            self._remove(runner)
            self._spawn(self.store.forget(runner.session.id))

    async def _save_tombstone(self, runner: Runner) -> None:
        session = runner.session
        until = self.now() + self._limits.tombstone
        try:
            await self.store.save_tombstone(session.id, session.tombstone(), until)
        except Exception:  # noqa: BLE001 - logged with its traceback
            log_event(
                ERROR,
                "store_failed",
                "the store did not save how this session ended, so its client will be told that "
                "the session is unknown",
                call="save_tombstone",
                channel=session.id,
                exc_info=True,
            )
        finally:
            runner.pending_tombstones -= 1
            self._remove_if_finished(runner)

    def _remove_if_finished(self, runner: Runner) -> None:
        if runner.finished and self._runners.get(runner.session.id) is runner:
            self._remove(runner)

    def _remove(self, runner: Runner) -> None:
        del self._runners[runner.session.id]
        if self.journals is not None:
            self.on_removed(runner.session.id)
        runner.release()
        self._failing.discard(runner.session.id)
        self.totals.add(counters_of(runner.session))
        self._admission.release_session(runner.credentials.subject, runner.address)
        self._memory.remove(runner.driver, runner.cost)
        self._closing.append(runner)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in a task that is kept: the loop itself holds only weak references."""
        task = self.clock.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Time and ends

    def _sweep(self) -> None:
        self.clock.tick(SWEEP_INTERVAL)
        self._timer = self.clock.loop.call_later(SWEEP_INTERVAL, self._sweep)
        if self._should_exit is not None and self._should_exit():
            self.begin_drain()
        self._admission.sweep(self.now())
        self._memory.sweep()
        self._deadlines.sweep()
        for runner in (*self.runners, *self._closing):
            try:
                runner.tick(self.now())
            except Exception:  # noqa: BLE001 - a defect of one session; the others go on
                self._log_failing(runner)
        self._closing = [runner for runner in self._closing if runner.driver.links]
        if not self._is_sweeping_store:
            self._is_sweeping_store = True
            self._spawn(self._sweep_store())

    def _log_failing(self, runner: Runner) -> None:
        if runner.session.id in self._failing:
            return
        self._failing.add(runner.session.id)
        log_event(
            ERROR,
            "tick_failed",
            "a deadline of this session could not be handled: please report the exception below",
            channel=runner.session.id,
            exc_info=True,
        )

    async def _sweep_store(self) -> None:
        try:
            await self.store.sweep(self.now())
        except Exception:  # noqa: BLE001 - logged with its traceback
            if self.now() - self._sweep_failed_at < LOG_INTERVAL:
                return
            self._sweep_failed_at = self.now()
            log_event(
                ERROR,
                "store_failed",
                "the store did not remove what has expired, so it grows",
                call="sweep",
                exc_info=True,
            )
        finally:
            self._is_sweeping_store = False

    def watch_exit(self, should_exit: Callable[[], bool]) -> None:
        """Drain as soon as ``should_exit``, the server's own flag, says so."""
        self._should_exit = should_exit

    def depart(self, others: Iterable[Callable[[], None]]) -> float:
        """Refuse new sessions, and hand over those that are here, one after the other.

        Args:
            others: each sends away a client whose session is in another process.

        Returns:
            The seconds until the last one.
        """
        if self.draining:
            return 0.0
        self._begin_draining()
        ours = (partial(self._take_turn, runner) for runner in self.runners)
        self._departure = Departure(
            self.clock.loop, [*ours, *others], self._limits.drain_window, self.on_drain
        )
        return self._departure.seconds

    def _take_turn(self, runner: Runner) -> None:
        if self._runners.get(runner.session.id) is runner:
            self._hand_over(runner)

    def _begin_draining(self) -> None:
        self.draining = True
        if self.journals is not None:
            returns = len(self._runners) / RETURNS_PER_SECOND
            self.return_window = min(self._limits.drain_window, returns)
        log_event(INFO, "draining", channels=len(self._runners))

    def begin_drain(self) -> None:
        """Refuse new sessions, tell every client to reconnect, and let handlers end (DRN-1)."""
        if self._departure is not None:
            self._departure.hurry()
        if self.draining:
            return
        self._begin_draining()
        self.on_drain()
        for runner in self.runners:
            if self.journals is not None:
                self._hand_over(runner)
            elif self.is_relayed:
                runner.shut_down(self._limits.drain_grace)
            else:
                runner.drain(self._limits.drain_window)

    async def drain(self) -> None:
        """Begin to drain, and wait for the handlers, at most ``limits.drain_grace`` seconds."""
        self.begin_drain()
        if self._runners:
            await asyncio.gather(
                *(runner.drained(self._limits.drain_grace) for runner in self.runners)
            )
        if self.journals is not None and self._tasks:
            await asyncio.wait(self._tasks, timeout=RELEASE_WITHIN)

    def stop(self) -> None:
        """Stop the timer. Handlers that still run are cancelled."""
        self._timer.cancel()
        if self._departure is not None:
            self._departure.cancel()
        self.on_drain()
        if not self.clock.loop.is_closed():
            self._deadlines.stop()
            for runner in self.runners:
                runner.stop()
