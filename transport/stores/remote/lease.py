"""`Lease`: the sign that a process lives, renewed all the time.

The process counts from the *sending* of the last renewal that was answered: the server ends the
lease that long after it has arrived there. So by its own clock the process always stops before
another may claim its sessions. That clock must not stand still with the process or its machine.

A lease that is absent, though it cannot have ended, proves that the server has lost its data.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from transport.errors import StoreUnavailable
from transport.stores.journaled import Owner
from transport.stores.remote.calls import Calls
from transport.stores.remote.server import Server
from transport.stores.remote.times import Times
from transport.stores.remote.wire import GiveUp, Renew
from transport.telemetry.log import ERROR, INFO, WARNING, log_event

_SUSPENDED = "this process was stopped, or a handler blocks its event loop"
_CLOCK: int | None = getattr(time, "CLOCK_BOOTTIME", None)

read_clock: Callable[[], float] = (
    time.monotonic if _CLOCK is None else partial(time.clock_gettime, _CLOCK)
)
"""Returns seconds of a clock that goes on while the process or its machine is suspended."""


class Lease:
    """The lease of a process.

    Args:
        calls: asks the server.
        server: learns what renewals show of the server.
        clock: returns seconds; see `read_clock`.
        times: of the lease.

    Attributes:
        is_gone: whether a renewal has failed since the lease lapsed.
    """

    def __init__(
        self, calls: Calls, server: Server, clock: Callable[[], float], times: Times
    ) -> None:
        self._times = times
        self.is_gone = False
        self._calls = calls
        self._server = server
        self._clock = clock
        self._owner: Owner | None = None
        self._count = 0
        self._losses = 0
        self._until: float | None = None
        self._has_told_lapse = False
        self._has_told_unreachable = False
        self._reason = ""
        self._timers: list[asyncio.TimerHandle] = []

    def is_lapsed(self) -> bool:
        """See `JournaledStore.is_lapsed`."""
        return self._until is None or self._clock() >= self._until

    async def start(self, owner: Owner) -> None:
        """Take the lease.

        Raises:
            StoreUnavailable: the server does not answer.
        """
        self._owner = owner
        await self._renew()
        if self.is_lapsed():
            raise StoreUnavailable(self._reason)

    async def run(self) -> None:
        """Renew the lease, until the task is cancelled."""
        while True:
            await asyncio.sleep(self._times.renewal)
            try:
                await self._renew()
            except Exception as error:  # noqa: BLE001 - without renewals all sessions would be lost
                log_event(
                    ERROR, "store_failed", "a defect of this package", call="renew", exc_info=error
                )

    async def give_up(self) -> None:
        """End the lease, so that others need not wait for its end.

        Raises:
            StoreUnavailable: the server does not answer.
        """
        await self._calls.ask(GiveUp())

    def stop_timers(self) -> None:
        """Watch the lease no longer."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()

    async def _renew(self) -> None:
        sent = self._clock()
        self._check_lapse()
        self._count += 1
        try:
            renewal = await self._calls.ask(Renew(self._count))
        except StoreUnavailable as error:
            self._reason = str(error)
            self._check_lapse()
            self.is_gone = self._has_told_lapse
            return
        self._check_lapse()
        if self._clock() >= sent + self._times.lease:
            self._reason = _SUSPENDED  # this renewal may have ended already, too
            return
        is_first, was_lapsed = self._until is None, self._has_told_lapse
        self._until = sent + self._times.lease
        self.is_gone = self._has_told_lapse = False
        self._reason = ""
        self._set_timers()
        is_explained = is_first or was_lapsed or self._losses != self._server.losses
        self._losses = self._server.losses
        assert self._owner is not None
        if was_lapsed:
            log_event(INFO, "store_back")
            self._owner.renewed()
        if self._has_told_unreachable:
            self._has_told_unreachable = False
            self._owner.reachable()
        if renewal.birth.age is None or not (renewal.had_lease or is_explained):
            await self._server.lost(self._calls, renewal.birth)
        else:
            self._server.observe(renewal.birth)

    def _set_timers(self) -> None:
        """Watch for the end of the lease, which may come while an answer is awaited."""
        self.stop_timers()
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(self._times.lease, self._check_lapse))
        self._watch_reach(self._times.unreachable)

    def _watch_reach(self, delay: float) -> None:
        loop = asyncio.get_running_loop()
        self._timers.append(loop.call_later(delay, self._tell_unreachable))

    def _check_lapse(self) -> None:
        if self._has_told_lapse or self._until is None or self._clock() < self._until:
            return
        self._has_told_lapse = True
        self.is_gone = bool(self._reason)
        log_event(
            WARNING,
            "store_gone",
            f"the store has not renewed the lease of this process for {self._times.lease:g} s, so "
            "that others may claim its sessions; its handlers get no message until then: "
            f"{self._reason or _SUSPENDED}",
        )
        assert self._owner is not None
        self._owner.lapsed()

    def _tell_unreachable(self) -> None:
        if not self._reason:  # no renewal has failed: this process stood still, and asks only now
            self._watch_reach(self._times.answer)
            return
        self._has_told_unreachable = True
        log_event(
            ERROR,
            "store_unreachable",
            f"for {self._times.unreachable:g} s now: the clients are told to connect again, "
            f"in case another process reaches the server of the store: {self._reason}",
        )
        assert self._owner is not None
        self._owner.unreachable()
