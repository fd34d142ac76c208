"""`PageDriver`: the client session of a `Page`, driven over calls of an application.

It is to the page what `transport.client` is to a program: it feeds the client session with what
the connections report, acts on the events that it returns, writes what is due, and keeps one timer.
It connects again by itself, with a growing delay, until it is told to stay away.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

from starlette.types import ASGIApp

from transport.errors import (
    ChannelClosed,
    ChannelError,
    Fate,
    SessionReset,
    Unacknowledged,
)
from transport.limits import Limits
from transport.protocol.client.events import (
    Attached,
    Closed,
    ConnectionLost,
    Event,
    Input,
    LinkDropped,
    Messages,
    Ponged,
    Rejected,
    RenewalRequested,
    Settled,
    Superseded,
    WasReset,
)
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.client.terms import Terms
from transport.protocol.codec import Encoder, encode_message
from transport.protocol.frames import Json, TransportKind, Verdict
from transport.protocol.states import AttachState
from transport.testing.page_connection import ATTEMPT_TIMEOUT, ApplicationCalls, PageConnection
from transport.waiting import Waiters

RETRY_BASE = 0.5
"""Seconds before the second attempt in a row. Each further one waits twice as long."""
RETRY_MAX = 8.0
"""The maximum wait between two attempts, in seconds."""


class PageDriver:
    """The client session of one page, and its connections.

    Args:
        app: the hub, or an application that mounts it.
        path: the channel's path there, with its query.
        transport: the kind of the next connection.
        credentials: shown at each attach, and when the server asks for new ones.
        headers: headers of every request.
        encoder: called for a value that JSON cannot represent; None refuses it.

    Attributes:
        id: the public name of the session.
        verdict: the verdict of the last attach; None after `resume`, until it is known.
        received: messages and resets that the page has not taken yet, in order.
        settled: all sends up to this number have an outcome.
        refused: the errors of the sends that were not handled, by number.
        closed: why the channel is closed.
        is_away: whether the page was cut and has not resumed.
        problem: why the last attempt failed since `resume`; None if none did.
    """

    def __init__(
        self,
        app: ASGIApp,
        path: str,
        transport: TransportKind,
        credentials: Json,
        headers: Mapping[str, str] | None,
        encoder: Encoder | None = None,
    ) -> None:
        self.transport = transport
        self.credentials = credentials
        self.id: str | None = None
        self.verdict: Verdict | None = None
        self.received: deque[Json | SessionReset] = deque()
        self.settled = 0
        self.refused: dict[int, ChannelError] = {}
        self.closed: ChannelClosed | None = None
        self.is_away = True
        self._encoder = encoder
        self.problem: str | None = None
        self._waiters = Waiters()
        self._calls = ApplicationCalls(app, path, headers, self._waiters.changed)
        self._session = ClientSession(secrets.token_urlsafe(16), Terms.of(Limits()))
        self._connections: dict[Link, PageConnection] = {}
        self._loop = asyncio.get_running_loop()
        self._failures = 0
        """Consecutive attaches that failed."""
        self._retry: asyncio.TimerHandle | None = None
        self._due: asyncio.TimerHandle | None = None

    @property
    def newest_link(self) -> Link | None:
        """The confirmed attach that was made last."""
        confirmed = [link for link in self._connections if link.state is AttachState.CONFIRMED]
        return max(confirmed, key=lambda link: link.attach) if confirmed else None

    @property
    def is_posting(self) -> bool:
        """Return whether a POST is unanswered."""
        return self._calls.is_posting

    def check(self) -> None:
        """Raise what the application raised, if it did."""
        if self._calls.failure is not None:
            raise self._calls.failure

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the condition holds, or raise what the application raised."""
        await self._waiters.until(lambda: self._calls.failure is not None or condition())
        self.check()

    # What the page asks for

    def attach(self) -> None:
        """Connect, or open one more connection that is to replace the current one."""
        self.is_away = False
        if self._retry is not None:
            self._retry.cancel()
        credentials = {} if self.credentials is None else {"credentials": self.credentials}
        link = self._session.attach(self.transport, secrets.token_urlsafe(24), **credentials)
        self._connections[link] = PageConnection(self._calls, link, self._handle_input)
        self._loop.call_later(ATTEMPT_TIMEOUT, self._give_up, link)
        self._act([])

    def resume(self) -> None:
        """Attach, unless the channel is closed. The answer sets `verdict` or `closed`."""
        self.verdict = None
        self.problem = None
        if self.closed is None:
            self.attach()

    def send(self, message: Json) -> int:
        """Send a message and return its number."""
        self.check()
        number = self._session.send(encode_message(message, self._session.terms, self._encoder))
        self._act([])
        return number

    def close(self, code: int, reason: str) -> None:
        """Begin to close the channel; connect for it if need be."""
        self._session.close(code, reason)
        if self.is_away and self.closed is None:
            self.attach()
        self._act([])

    def leave(self) -> None:
        """Tell the server that the page goes away for good (LIV-6)."""
        self._session.leave()
        self._act([])

    def end_connections(self) -> None:
        """End all connections after what was written on them, and stay away."""
        self.is_away = True
        for link in list(self._connections):
            self._handle_input(link, ConnectionLost("left"))

    def cut(self, *, noticed: bool) -> None:
        """Lose all connections and what is in flight over them, and stay away."""
        self.is_away = True
        if self._retry is not None:
            self._retry.cancel()
        for link, connection in list(self._connections.items()):
            connection.lose(noticed=noticed)
            self._handle_input(link, ConnectionLost("cut"))

    def stop_reading(self) -> None:
        """Block the writes of the application. Idempotent."""
        if self._calls.unread is None:
            self._block(asyncio.Event())

    def read_on(self) -> None:
        """Let the writes of the application continue. Idempotent."""
        if self._calls.unread is not None:
            self._calls.unread.set()
            self._block(None)

    def _block(self, until: asyncio.Event | None) -> None:
        self._calls.unread = until
        for connection in self._connections.values():
            connection.block(until)

    async def stop(self) -> None:
        """Cut the connections and end every task."""
        self.cut(noticed=True)
        self.read_on()
        if self._due is not None:
            self._due.cancel()
        await self._calls.stop()

    # What drives it

    def _give_up(self, link: Link) -> None:
        if link.state in (AttachState.FRESH, AttachState.OPENING):
            self._handle_input(link, ConnectionLost("no answer in time"))

    def _handle_input(self, link: Link, received: Input) -> None:
        self._act(self._session.handle_input(link, received, self._loop.time()))

    def _tick(self) -> None:
        self._act(self._session.tick(self._loop.time()))

    def _act(self, events: Iterable[Event]) -> None:
        """After every input: act on the events, write what is due, wake the waiters."""
        now = self._loop.time()
        for event in events:
            self._on_event(event)
        for link, connection in list(self._connections.items()):
            for out in self._session.transmit(link, now):
                connection.write(out)
        if self.closed is not None:
            for link in list(self._connections):
                self._connections.pop(link).leave()
        if self._due is not None:
            self._due.cancel()
        deadline = self._session.deadline
        if deadline < float("inf"):
            self._due = self._loop.call_at(max(deadline, now), self._tick)
        self._waiters.changed()

    def _on_event(self, event: Event) -> None:
        match event:
            case Attached():
                self.id, self.verdict, self._failures = event.id, event.verdict, 0
            case Messages():
                self.received.extend(event.messages)
            case Settled():
                self._settle([event], None)
            case Rejected():
                error = event.error(self._session.terms.message)
                self.refused.update(dict.fromkeys(range(event.first, event.last + 1), error))
            case WasReset():
                reset = SessionReset(event.reason.value, event.lost, event.dropped)
                self._settle(event.sends, reset)
                self.received.append(reset)
            case Closed():
                self.closed = ChannelClosed(event.code, event.reason)
                self._settle(event.sends, self.closed)
            case LinkDropped():
                self._on_dropped(event)
            case RenewalRequested():
                self._session.renew(self.credentials)
            case Superseded() | Ponged():
                pass  # `Closed` follows; a page does not ping
            case _:
                assert_never(event)

    def _settle(self, sends: Iterable[Settled], cause: ChannelError | None) -> None:
        for one in sends:
            self.settled = max(self.settled, one.last)
            if one.fate is not Fate.HANDLED:
                for number in range(one.first, one.last + 1):
                    error = self.refused[number] = Unacknowledged(number, one.fate)
                    error.__cause__ = cause

    def _on_dropped(self, event: LinkDropped) -> None:
        connection = self._connections.pop(event.link, None)
        if connection is not None:
            for out in event.outputs:
                connection.write(out)
            connection.leave()
            self.problem = connection.problem or f"{event.link.transport.value}: {event.reason}"
        if self.is_away or self.closed is not None:
            return
        if any(link.attach > event.link.attach for link in self._connections):
            return  # a newer connection has replaced it
        wait = event.retry_in
        if not event.drained and self._failures:
            wait += min(RETRY_BASE * 2 ** (self._failures - 1), RETRY_MAX)
        self._failures += 1
        self._retry = self._loop.call_later(wait, self.attach)
