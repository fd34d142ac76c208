"""`Flights`: carries what the sessions of a process write to the server, many at a time.

One flight is under way; what is written meanwhile goes with the next. All writes of a session go
this way, so they arrive in their order. A flight that is not answered in time is repeated *exactly
as it was* over another connection: what the first connection still carries may be applied after
that, and then changes nothing, because the same version stands for the same change.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from statistics import median

from transport.protocol.codec import Payload
from transport.protocol.journal import Heal, Refusal, Step, Write
from transport.stores.journaled import Failed, Outcome, Source
from transport.stores.remote.line import Line
from transport.stores.remote.wire import Unanswered, Unwilling
from transport.telemetry.log import ERROR, INFO, WARNING, log_event

MAX_SESSIONS = 64
"""Sessions in a flight: about a millisecond of the server, which serves nobody else meanwhile."""
MAX_BYTES = 512 * 1024
"""Bytes after which a flight takes no further session; the last one may bring a whole window."""
MAX_PAYLOADS = 3000
"""The same for messages."""

_KEPT_TIMES = 101


class Flights:
    """The writes of all sessions of a process.

    Args:
        line: the connection; nobody else uses it.
        clock: returns seconds, finer than an event loop's may be.

    Attributes:
        fenced: writes that were refused because another process has claimed the session.
        healed: sessions that were restored.
    """

    def __init__(self, line: Line, clock: Callable[[], float]) -> None:
        self.fenced = 0
        self.healed = 0
        self._line = line
        self._clock = clock
        # A dict would look at all that were taken from its beginning, each time.
        self._dirty: OrderedDict[Source, None] = OrderedDict()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._is_slow = False
        self._times: deque[float] = deque(maxlen=_KEPT_TIMES)
        line.reconnecting = self._wake.set

    def wrote(self, source: Source) -> None:
        """See `JournaledStore.wrote`."""
        self._dirty[source] = None
        self._wake.set()
        self._idle.clear()

    async def wait_idle(self) -> None:
        """Wait until everything is written."""
        await self._idle.wait()

    @property
    def is_slow(self) -> bool:
        """Whether the flight that is under way is slow."""
        return self._is_slow

    @property
    def median_time(self) -> float:
        """The median time of the last flights, in seconds; 0 before the first."""
        return median(self._times) if self._times else 0.0

    async def run(self) -> None:
        """Carry what is written, until the task is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            flight = self._gather()
            if not flight and not self._line.is_stale:
                self._wake.clear()
                self._idle.set()
                continue
            began = self._clock()
            slow = loop.call_later(self._line.times.slow, self._note_slow)
            try:
                outcomes = await self._carry(flight)
            finally:
                slow.cancel()
            self._times.append(self._clock() - began)
            self._note_quick()
            for (source, write), outcome in zip(flight, outcomes, strict=True):
                self._deliver(source, write, outcome)

    def _gather(self) -> list[tuple[Source, Write]]:
        """Take what goes with the next flight."""
        flight: dict[str, tuple[Source, Write]] = {}
        others: list[Source] = []
        size = count = 0
        while self._dirty and len(flight) < MAX_SESSIONS:
            source, _ = self._dirty.popitem(last=False)
            if source.id in flight:  # it was given up here, and claimed again
                others.append(source)
                continue
            write = self._next_write(source)
            if write is None:
                continue
            flight[source.id] = source, write
            payloads = _payloads(write)
            count += len(payloads)
            size += sum(map(len, payloads))
            if size >= MAX_BYTES or count >= MAX_PAYLOADS:
                break
        self._dirty.update(dict.fromkeys(others))
        return list(flight.values())

    def _next_write(self, source: Source) -> Write | None:
        try:
            return source.next_write()
        except Exception as error:  # noqa: BLE001 - a defect of one session must not stop the others
            _log_defect(source, error)
            return None

    async def _carry(self, flight: list[tuple[Source, Write]]) -> list[Outcome]:
        """Write a flight as often as it takes until the server answers."""
        writes = [(source.id, write) for source, write in flight]
        while True:
            try:
                async with asyncio.timeout(self._line.times.answer):
                    wire = await self._line.connected()
                    outcomes = await wire.write(writes) if writes else []
            except (TimeoutError, Unanswered, Unwilling) as error:
                self._line.failed(error)
            except Exception as error:  # noqa: BLE001 - one session must not stop the others
                return await self._carry_alone(flight, error)
            else:
                self._line.answered()
                return list(outcomes)
            await self._line.wait_to_retry()

    async def _carry_alone(
        self, flight: list[tuple[Source, Write]], error: Exception
    ) -> list[Outcome]:
        """Write each by itself, because a defect of this package kept the flight from leaving."""
        self._line.drop()
        if len(flight) > 1:
            return [outcome for each in flight for outcome in await self._carry([each])]
        log_event(ERROR, "store_failed", "a defect of this package", call="write", exc_info=error)
        return [Failed(f"{type(error).__name__} in this package")]

    def _deliver(self, source: Source, write: Write, outcome: Outcome) -> None:
        if outcome is Refusal.FENCED:
            self.fenced += 1
        elif outcome is None and isinstance(write.change, Heal):
            self.healed += 1
        try:
            source.written(write, outcome)
        except Exception as error:  # noqa: BLE001 - a defect of one session must not stop the others
            _log_defect(source, error)

    def _note_slow(self) -> None:
        if not self._is_slow:
            self._is_slow = True
            log_event(
                WARNING,
                "store_slow",
                f"it has not stored within {self._line.times.slow:g} s what the sessions wrote, "
                "which their clients do not see before: look at the load of its server, and at the "
                "network to it",
            )

    def _note_quick(self) -> None:
        if self._is_slow:
            self._is_slow = False
            log_event(INFO, "store_quick", seconds=round(self._times[-1], 3))


def _log_defect(source: Source, error: Exception) -> None:
    log_event(
        ERROR, "written_failed", "a defect of this package", channel=source.id, exc_info=error
    )


def _payloads(write: Write) -> tuple[Payload, ...]:
    change = write.change
    if isinstance(change, Step):
        return change.payloads
    return change.image.payloads if isinstance(change, Heal) else ()
