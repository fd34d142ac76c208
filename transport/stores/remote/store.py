"""`RemoteStore`: a `JournaledStore` whose data is in a server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, TypeVar

from transport.errors import StoreUnavailable
from transport.protocol.journal import ClaimRefusal, Image
from transport.stores.journaled import (
    Ended,
    Found,
    Grace,
    Located,
    Made,
    Owner,
    Source,
    StoreStatistics,
)
from transport.stores.remote.calls import Calls
from transport.stores.remote.flights import Flights
from transport.stores.remote.lease import Lease, read_clock
from transport.stores.remote.line import Line
from transport.stores.remote.server import Server
from transport.stores.remote.silences import Silences
from transport.stores.remote.times import Times
from transport.stores.remote.wire import (
    Begin,
    Locate,
    Look,
    Question,
    ReadBirth,
    Take,
    Unanswered,
    Unwilling,
    Wire,
)

T = TypeVar("T")

NAME_BYTES = 4
"""Random bytes in the name of a claim, which only has to differ from those of the same session."""


class RemoteStore:
    """Implements `JournaledStore` over two connections to a server.

    Args:
        name: of this process.
        journal: for the writes of sessions.
        calls: for everything else.
        secret: the key of the tokens; by default one that the server keeps.
        clock: returns seconds; see `read_clock`.
        times: how long the server is waited for, and trusted.
    """

    def __init__(
        self,
        name: str,
        journal: Wire,
        calls: Wire,
        *,
        secret: bytes | None = None,
        clock: Callable[[], float] = read_clock,
        times: Times = Times(),
    ) -> None:
        self._times = times
        self._clock = clock
        self._name = name
        self._server = Server(clock, self._lost, secret, times)
        self._journal_line = Line(journal, self._server.greeted, times)
        self._calls_line = Line(calls, self._server.greeted, times)
        self._server.lines = (self._journal_line, self._calls_line)
        self._flights = Flights(self._journal_line, clock)
        self._calls = Calls(self._calls_line)
        self._lease = Lease(self._calls, self._server, clock, times)
        self._silences = Silences(times.look)
        self.is_lapsed = self._lease.is_lapsed
        """See `JournaledStore.is_lapsed`. It is asked for each message."""
        self._owner: Owner | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._is_closed = False
        self._takeovers = 0

    # `JournaledStore`

    @property
    def name(self) -> str:
        """See `JournaledStore`."""
        return self._name

    @property
    def is_running(self) -> bool:
        """Whether it is in use, or may be soon: it was not stopped, nor was its event loop."""
        return not self._is_closed and (self._loop is None or self._loop.is_running())

    @property
    def secret(self) -> bytes:
        """See `JournaledStore`."""
        return self._server.secret

    @property
    def run(self) -> str:
        """See `JournaledStore`."""
        return self._server.run

    @property
    def in_grace(self) -> bool:
        """See `JournaledStore.in_grace`."""
        return self.grace_left > 0.0

    @property
    def grace_left(self) -> float:
        """See `JournaledStore.grace_left`."""
        return self._server.grace_left

    @property
    def statistics(self) -> StoreStatistics:
        """See `JournaledStore`."""
        return StoreStatistics(
            state="gone" if self.is_lapsed() else "slow" if self._flights.is_slow else "ok",
            flight=self._flights.median_time,
            takeovers=self._takeovers,
            fenced=self._flights.fenced,
            healed=self._flights.healed,
        )

    async def start(self, owner: Owner) -> None:
        """See `JournaledStore.start`."""
        if self._tasks:
            return
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        try:
            for line in (self._calls_line, self._journal_line):
                await _connect(line)
            self._tasks = [
                asyncio.create_task(work) for work in (self._calls.run(), self._flights.run())
            ]
            await self._lease.start(owner)
        except BaseException:
            self._disconnect()
            raise
        self._tasks.append(asyncio.create_task(self._lease.run()))

    async def stop(self) -> None:
        """See `JournaledStore.stop`."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._times.answer):
                    await self._flights.wait_idle()
            if self._tasks:
                self._tasks.pop().cancel()  # the renewals
                with suppress(StoreUnavailable):
                    await self._lease.give_up()
        finally:
            self.close()

    def close(self) -> None:
        """See `JournaledStore.close`."""
        self._is_closed = True
        self._disconnect()

    def _disconnect(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._lease.stop_timers()
            for task in self._tasks:
                task.cancel()
        self._tasks.clear()
        self._journal_line.drop()
        self._calls_line.drop()

    def wrote(self, source: Source) -> None:
        """See `JournaledStore.wrote`."""
        self._flights.wrote(source)

    async def locate(self, session_id: str) -> Located | None:
        """See `JournaledStore.locate`."""
        located = await self._ask(Locate(session_id))
        if located is None:
            self._server.observe(await self._ask(ReadBirth()))
        return located

    async def open(self, opening: str, session_id: str, image: Image) -> Made | Found | Ended:
        """See `JournaledStore.open`."""
        return await self._ask(Begin(opening, session_id, image))

    async def claim(
        self, session_id: str, home: str, fence: int
    ) -> Image | ClaimRefusal | Literal[Grace.GRACE]:
        """See `JournaledStore.claim`."""
        name = os.urandom(NAME_BYTES).hex()
        answer = await self._ask(Take(session_id, home, fence, name))
        if isinstance(answer, Image):
            self._takeovers += 1
        return answer

    async def is_dead(self, home: str) -> bool:
        """See `JournaledStore.is_dead`."""
        if home == self.name:
            return False
        while remaining := await self._look(home):  # noqa: ASYNC110 - nothing announces a death
            await asyncio.sleep(remaining)
        if remaining is None:
            return False
        # Read after the signs: a store that was lost since has none either.
        self._server.observe(await self._ask(ReadBirth()))
        return not self.in_grace

    async def _look(self, home: str) -> float | None:
        """See `Silences.remaining`."""
        began = self._clock()
        sign = await self._ask(Look(home))
        return self._silences.remaining(home, sign, began, self._clock())

    async def begin_grace(self) -> None:
        """See `JournaledStore.begin_grace`."""
        await self._server.begin_grace(self._calls)

    async def _ask(self, question: Question[T]) -> T:
        if self._lease.is_gone:
            raise StoreUnavailable("the store is gone: its server has not answered for seconds")
        return await self._calls.ask(question)

    def _lost(self) -> None:
        assert self._owner is not None
        self._owner.lost()


async def _connect(line: Line) -> None:
    """Connect for the first time.

    Raises:
        StoreUnavailable: it did not succeed; the text says why.
    """
    try:
        async with asyncio.timeout(line.times.answer):
            wire = await line.connected()
            await wire.check()
    except Unwilling as error:
        line.failed(error)
        raise StoreUnavailable(f"the store cannot be used: {line.reason}") from None
    except (TimeoutError, Unanswered) as error:
        line.failed(error)
        raise StoreUnavailable(f"the store cannot be reached: {line.reason}") from None
