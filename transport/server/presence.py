"""`Presence`: a handler's waits for its client to come, go and acknowledge, and for the end.

While a handler waits for the end, or for its page to go, somebody else may receive, or nobody.
If nobody does, a page's message would wait for ever, and its ``send()`` with it. So the session
then refuses messages by their number (PROTOCOL.md DAT-7), until somebody receives again.

Made at the first wait: most sessions have none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from transport.errors import ChannelClosed
from transport.protocol.server.session import ServerSession
from transport.protocol.states import SessionState
from transport.server.driven_link import DrivenLink
from transport.server.reception import Reception
from transport.waiting import resolve

RECEIVER_TIMEOUT = 1.0
"""Seconds in which a task that the handler has just started can begin to receive."""

TAKEOVER_TIMEOUT = 60.0
"""Seconds in which a task that received and has ended can be followed by the next.

A worker may receive in a task for each message: `asyncio.wait_for` makes one on Python 3.11. While
the worker is busy with the message, only that task is known, and it has ended.
"""


class Presenter(Protocol):
    """The driver of the session, as its presence sees it."""

    @property
    def session(self) -> ServerSession: ...
    @property
    def links(self) -> Sequence[DrivenLink]: ...
    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...
    @property
    def now(self) -> Callable[[], float]: ...
    @property
    def is_connected(self) -> bool: ...
    @property
    def is_over(self) -> bool: ...
    @property
    def draining(self) -> bool: ...
    @property
    def reception(self) -> Reception: ...
    def handed_over(self) -> ChannelClosed:
        """Return the error for what this process no longer does."""
        ...

    def stop_receiving(self) -> None:
        """Refuse messages until a task receives."""
        ...


class Presence:
    """The waits of one session's handler.

    Args:
        driver: of the session.
    """

    __slots__ = ("_driver", "_idle_since", "_waiters", "_waiting")

    def __init__(self, driver: Presenter) -> None:
        self._driver = driver
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._waiting: list[asyncio.Task[None] | None] = []
        """The tasks in a wait in which they do not receive."""
        self._idle_since: float | None = None
        """Since when a task is in such a wait, or when one last received after that."""

    # The waits

    async def connected(self) -> None:
        """Wait until a connection is attached, or the handler should end."""
        await self.until(lambda: self._driver.is_connected or self._is_closed())

    async def disconnected(self) -> None:
        """Wait until no connection is attached, or the handler should end."""
        await self._idle_until(lambda: not self._driver.is_connected or self._is_closed())

    async def closed(self) -> None:
        """Wait until the handler should end; see `Channel.wait_closed`."""
        await self._idle_until(self._is_closed)

    async def acknowledged(self, number: int) -> None:
        """Wait until the client has acknowledged the message of that number.

        Raises:
            ValueError: no message has that number yet.
            ChannelClosed: the session ended first, or is handed over.
        """
        driver = self._driver
        session, outgoing = driver.session, driver.session.outgoing
        if number > outgoing.last:
            raise ValueError(f"no message has the number {number} yet")

        def is_over() -> bool:
            return outgoing.acked >= number or session.ending is not None or driver.draining

        if not is_over():
            with self.awaiting_ack():
                await self.until(is_over)
        if outgoing.acked < number:
            raise driver.handed_over() if session.ending is None else session.closed_error()

    @contextmanager
    def awaiting_ack(self) -> Iterator[None]:
        """Ask the client for an ack while a task waits for one, or for room (MRK-8)."""
        downlink = self._driver.session.downlink
        downlink.ack_waiters += 1
        try:
            for link in self._driver.links:
                link.wake_writer_if_due()
            yield
        finally:
            downlink.ack_waiters -= 1

    def _is_closed(self) -> bool:
        driver = self._driver
        return driver.session.state is not SessionState.OPEN or driver.is_over

    async def _idle_until(self, condition: Callable[[], bool]) -> None:
        """As `until`, in a wait in which the page is there and the task does not receive."""
        if condition():
            return
        if self._idle_since is None:
            self._idle_since = self._driver.now()
        task = asyncio.current_task()
        self._waiting.append(task)
        self._driver.reception.watch()
        try:
            await self.until(condition)
        finally:
            self._waiting.remove(task)
            if not self._waiting:
                self._driver.reception.unwatch()
                self._driver.session.start_reading()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` has held, however briefly."""
        if condition():
            return
        entry = (condition, self._driver.loop.create_future())
        self._waiters.append(entry)
        try:
            await entry[1]
        finally:
            self._waiters.remove(entry)

    # What the driver reports

    def changed(self) -> None:
        """Wake the tasks whose condition holds now."""
        for condition, waiter in self._waiters:
            if condition():
                resolve(waiter)

    def received(self) -> None:
        """Record that a task begins to receive: messages are taken again."""
        self._driver.session.start_reading()
        self._idle_since = self._driver.now() if self._waiting else None

    def tick(self, now: float) -> None:
        """Wake the tasks whose condition holds, and refuse messages if nobody receives them."""
        self.changed()
        since = self._idle_since
        if not self._waiting or since is None or now - since < RECEIVER_TIMEOUT:
            return
        driver = self._driver
        if driver.session.is_unread or driver.reception.is_waiting:
            return
        receiver = driver.reception.receiver
        has_ended = receiver is not None and receiver.done()
        if now - since >= TAKEOVER_TIMEOUT if has_ended else receiver in (None, *self._waiting):
            driver.stop_receiving()
