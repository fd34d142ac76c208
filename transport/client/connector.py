"""`Connector`: keeps one connection to the server: over which transport, and when to try again.

What to do is decided by the pure `fallback` and `backoff`; here it is done. All that a connection
does is done by tasks of the connector: one that dies is a connection that was lost, and none
outlives `Connector.stop`.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, TypeAlias

import anyio
import httpx

from transport import codes
from transport.client.adapters.longpoll import LongPollAdapter
from transport.client.adapters.ports import Adapter, Destination, Wiring, Work
from transport.client.adapters.post import http_client
from transport.client.adapters.sse import EventStreamAdapter
from transport.client.adapters.websocket import WebSocketAdapter
from transport.client.backoff import backoff
from transport.client.budget import Budget
from transport.client.connection import Connection
from transport.client.fallback import Learnt, choose
from transport.client.pacing import Pacing
from transport.protocol.client.events import Answer, ConnectionLost, Input, Request
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.frames import Json, TransportKind
from transport.telemetry.log import ERROR, event
from transport.waiting import Waiters, ended

ADAPTERS: dict[TransportKind, Callable[[Wiring], Adapter]] = {
    TransportKind.WEBSOCKET: WebSocketAdapter,
    TransportKind.SSE: EventStreamAdapter,
    TransportKind.LONGPOLL: LongPollAdapter,
}
REMEMBERED = 50
"""Attempts that are told."""

Credentials: TypeAlias = Json | Callable[[], Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """What a task does."""

    connection: Connection
    scope: anyio.CancelScope
    lingers: bool
    """Whether it may outlive its connection."""


class Connector:
    """One connection at a time, for ``session``.

    Args:
        session: that it attaches.
        destination: where to.
        transports: that may be used, in the order in which to try them.
        credentials: a JSON value, or a function, async or not, that is asked for one at each
            attach.
        pacing: patience.
        waiters: are told when a task has ended.
        hear: takes what the connection reports.
        wake: is called where something is due.

    Attributes:
        connection: None: the next is tried at `retry_at`.
        retry_at: seconds of the loop's clock; infinite while the application is away.
        transports: see above.
    """

    def __init__(
        self,
        session: ClientSession,
        destination: Destination,
        transports: Iterable[str],
        credentials: Credentials,
        pacing: Pacing,
        *,
        waiters: Waiters,
        hear: Callable[[Link, Input], None],
        wake: Callable[[], None],
    ) -> None:
        self.connection: Connection | None = None
        self.retry_at = 0.0
        self.transports: tuple[TransportKind, ...] = ()
        self._session = session
        self._destination = destination
        self._credentials = credentials
        self._pacing = pacing
        self._waiters = waiters
        self._hear = hear
        self._wake = wake
        self._tried: list[TransportKind] = []
        """Transports that failed in this round."""
        self._failures = 0
        """In a row."""
        self._failing = inf
        """Since when all fails: from the first attempt, or the end of what was steady; later by the
        time in which something worked since."""
        self._budget = Budget(2.5 * min(0.5, pacing.retry_base))
        """One for all that is begun."""
        self._learnt: Learnt | None = None
        self._attempts: deque[Connection] = deque(maxlen=REMEMBERED)
        self._tasks: dict[asyncio.Task[None], _Work] = {}
        self.choose(transports)

    @property
    def due(self) -> float:
        """When to call `connect` or `lost`: see `overdue`."""
        return self.retry_at if self.connection is None else self.connection.until

    def overdue(self, now: float) -> bool:
        """Whether there is a connection that should be open by now."""
        return self.connection is not None and now >= self.connection.until

    @property
    def attempts(self) -> list[Connection]:
        """The latest, oldest first."""
        return list(self._attempts)

    # Attached

    def connect(self, now: float) -> None:
        """Try the next transport, if it is time."""
        self.retry_at = max(self.retry_at, self._budget.free_at)
        if self.connection is not None or now < self.retry_at:
            return
        self._failing = min(self._failing, now)
        transport = choose(self.transports, self._tried, self._learnt, now, self._pacing.fallback)
        if transport is None:  # all of a choice that was narrowed have failed: a new round
            self._tried.clear()
            transport = self.transports[0]
        # For the credentials; once they are there the transport has its own time.
        connection = Connection(transport, now, now + self._pacing.post, self._budget.take(now))
        self.connection = connection
        self._attempts.append(connection)
        if callable(self._credentials):
            self._spawn(connection, self._ask, connection, self._credentials)
        else:
            self._open(connection, self._credentials)

    def renew(self) -> None:
        """Show credentials anew (REN-1)."""
        connection = self.connection
        if connection is None:
            return
        if callable(self._credentials):
            self._spawn(connection, self._ask, connection, self._credentials)
        else:
            self._session.renew(self._credentials)

    async def _ask(self, connection: Connection, ask: Callable[[], Any]) -> None:
        """Ask the application for credentials, for a new connection or to renew."""
        try:
            credentials = ask()
            if inspect.isawaitable(credentials):
                credentials = await credentials
        except Exception:  # noqa: BLE001 - of the application: it is logged
            event(
                ERROR,
                "credentials_failed",
                "the function for credentials failed",
                exc_info=True,
                transport=connection.transport.value,
            )
            if connection.link is None and self.connection is connection:
                self.lost("no credentials")
            return  # to renew there are none: the server's `unauthorized` will follow
        if self.connection is not connection:
            return
        if connection.link is None:
            self._open(connection, credentials)
        else:
            self._session.renew(credentials)
        self._wake()

    def _open(self, connection: Connection, credentials: Json) -> None:
        connection.until = _now() + self._pacing.attempt
        connection.link = self._session.attach(
            connection.transport, secrets.token_urlsafe(24), credentials
        )
        connection.adapter = ADAPTERS[connection.transport](
            Wiring(
                destination=self._destination,
                timeout=self._pacing.post,
                hear=partial(self._report, connection),
                spawn=partial(self._spawn, connection),
                linger=partial(self._spawn, connection, lingers=True),
                http=partial(self._http, connection),
            )
        )

    def _http(self, connection: Connection) -> httpx.AsyncClient:
        # Each has its own: sockets of one that was lost are not to be trusted by the next.
        if connection.http is None:
            connection.http = http_client(self._destination)
        return connection.http

    # While it stands

    def transmit(self, now: float) -> None:
        """Write what the session has to say."""
        connection = self.connection
        if connection is not None and connection.link is not None and connection.adapter:
            for output in self._session.transmit(connection.link, now):
                connection.adapter.send(output)

    def _report(self, connection: Connection, heard: Input) -> None:
        now, wait = _now(), 0.0
        failed = heard.request if isinstance(heard, Answer) and heard.status != 200 else None
        if self.connection is not connection or connection.link is None:
            if failed is Request.POST and connection.posting is not None:
                self._budget.over(connection.posting, now)
            return
        if failed is Request.POLL or failed is Request.POST:
            # What failed is repeated, or leads to another connection: an attempt.
            wait = self._budget.take(now).at - now
        if failed is Request.POST:
            # Where all was cut, the downlink tells by then: nothing is repeated in vain.
            soonest = min(0.5, self._pacing.retry_base) / 2
            wait = max(wait, soonest, self._budget.free_at - now)
        if wait > 0:
            self._spawn(connection, self._report_later, connection, heard, wait)
        else:
            self._tell(connection, heard)

    async def _report_later(self, connection: Connection, heard: Input, wait: float) -> None:
        await anyio.sleep(wait)
        if self.connection is connection:
            self._tell(connection, heard)

    def _tell(self, connection: Connection, heard: Input) -> None:
        assert connection.link is not None
        self._hear(connection.link, heard)
        # An event stream works once it is known that POSTs get through as well.
        if isinstance(heard, Answer) and heard.status == 200 and self.connection is connection:
            self._works(connection)

    def opened(self) -> None:
        """The session is attached."""
        connection = self.connection
        if connection is None:
            return
        self._budget.over(connection.place, _now())
        if connection.transport is TransportKind.SSE:
            connection.until = _now() + self._pacing.post
        else:
            self._works(connection)

    def _works(self, connection: Connection) -> None:
        if connection.outcome != "pending":
            return
        now = _now()
        connection.works(now)
        # A better one that has just failed again makes the fallback fresh.
        if (
            self._learnt is None
            or self._learnt.transport is not connection.transport
            or self._tried
        ):
            self._learnt = Learnt(connection.transport, now)
        self._tried = []

    # Ending

    def lost(self, reason: str, retry_in: float = 0.0, *, drained: bool = False) -> None:
        """The connection failed or was cut: decides what to try, and when."""
        connection = self.connection
        if connection is None:
            return
        now, chance, pacing = _now(), random.random(), self._pacing
        steady = self._reckon(connection, now)
        again = backoff(now - self._failing, chance, pacing.retry_base, pacing.retry_most)
        if drained:  # the server asked for it: no failure of the transport (DRN-1)
            wait = chance * retry_in
            if not steady:  # it may ask again and again
                wait += again
                self._failures += 1
            self._leave(reason, wait)
            return
        pending = connection.outcome == "pending"
        if not steady:
            self._tried.append(connection.transport)
        everything = all(transport in self._tried for transport in self.transports)
        if everything or retry_in:
            self._tried = []
        wait = 0.0
        # Down the ladder at once; otherwise not all clients in the same moment.
        if not pending or everything or retry_in:
            wait = retry_in + again
            self._failures += 1
        # `open` tells what became of it; often, that our close was heard.
        if reason == codes.UNKNOWN_SESSION.name and self._failures <= 1:
            wait = 0.0
        self._leave(reason, wait)

    def leave(self, reason: str, wait: float) -> None:
        """Leave the connection, if there is one, for the application wants to; the next is tried
        ``wait`` seconds later. What it wants is no outage, and one that was is forgotten."""
        if self.connection is not None:
            self._reckon(self.connection, _now())
        self._failing = inf
        self._leave(reason, wait)

    def _reckon(self, connection: Connection, now: float) -> bool:
        """It ends: the time in which it worked, however short, is no outage.

        Returns:
            Whether it was steady.
        """
        if connection.outcome != "open":
            return False
        steady = now - connection.since >= self._pacing.steady
        if steady:
            self._failures = 0
            self._failing = now
        else:
            self._failing += now - connection.since - connection.seconds
        return steady

    def _leave(self, reason: str, wait: float) -> None:
        connection, now = self.connection, _now()
        self.connection = None
        self.retry_at = now + wait
        self._wake()
        if connection is None:
            return
        connection.ends(reason, now)
        if connection.outcome == "failed":
            self._budget.over(connection.place, now)
        if any(work.connection is connection and work.lingers for work in self._tasks.values()):
            # Begun before this was known, it may find what the connection found.
            connection.posting = self._budget.take(now)
        self._drop(connection)
        self._tidy(connection)
        if connection.link is not None:
            self._session.handle_input(connection.link, ConnectionLost(reason), now)

    def choose(self, names: Iterable[str]) -> None:
        """Use only these transports, in that order."""
        try:
            chosen = tuple(TransportKind(name) for name in names)
        except ValueError:
            chosen = ()
        if not chosen:
            raise ValueError(f"transports: some of {', '.join(TransportKind)}")
        self.transports = chosen
        self._tried = []
        # What was learnt under another choice is no verdict against what that forbade.
        self._learnt = None
        if self.connection is not None and self.connection.transport not in chosen:
            self.leave("forbidden", 0.0)

    def finish(self, reason: str) -> None:
        """The channel is over: write the last word, and no more."""
        self.transmit(_now())
        connection, self.connection = self.connection, None
        if connection is None:
            return
        connection.ends(reason, _now())
        if connection.transport is TransportKind.WEBSOCKET and connection.adapter is not None:
            connection.adapter.finish()
        else:
            self._drop(connection)  # the downlink is over; a POST ends by itself
            self._tidy(connection)

    # Tasks

    @property
    def busy(self) -> bool:
        """Whether any task runs."""
        return bool(self._tasks)

    def _spawn(self, connection: Connection, work: Work, *args: Any, lingers: bool = False) -> None:
        """Run ``work`` until it returns, or its connection is dropped."""
        scope = anyio.CancelScope()

        async def run() -> None:
            with scope:
                await work(*args)

        name = f"transport.{connection.transport.value}.{work.__name__}"
        task = asyncio.create_task(run(), name=name)
        self._tasks[task] = _Work(connection, scope, lingers)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        connection = self._tasks.pop(task).connection
        if task.cancelled():
            self._died(connection, "its task was cancelled")
        elif (error := task.exception()) is not None:
            event(
                ERROR,
                "connection_failed",
                "a connection failed",
                exc_info=error,
                transport=connection.transport.value,
            )
            self._died(connection, f"{type(error).__name__}: {error}")
        self._tidy(connection)
        self._waiters.changed()

    def _died(self, connection: Connection, reason: str) -> None:
        if connection.link is not None:
            self._report(connection, ConnectionLost(reason))
        elif self.connection is connection:
            self.lost(reason)

    def _drop(self, connection: Connection) -> None:
        for work in list(self._tasks.values()):
            if work.connection is connection and not work.lingers:
                work.scope.cancel()

    def _tidy(self, connection: Connection) -> None:
        """Close the sockets of a connection that was left, once its last POST is answered."""
        http = connection.http
        busy = any(work.connection is connection for work in self._tasks.values())
        if http is not None and not busy and connection is not self.connection:
            connection.http = None
            self._spawn(connection, http.aclose, lingers=True)

    def cut(self) -> None:
        """End all that runs, now."""
        for work in list(self._tasks.values()):
            work.scope.cancel()

    async def stop(self) -> None:
        """End all that runs, and wait until nothing is left."""
        self.cut()
        await ended(self._tasks)


def _now() -> float:
    return asyncio.get_running_loop().time()
