"""`Connector`: keeps one connection to the server: over which transport, and when to try again.

What to do is decided by the pure `fallback` and `backoff`; here it is done. All that a connection
does is done by tasks of the connector: one that dies is a connection that was lost, and none
outlives `Connector.stop`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from math import inf

import anyio

from transport import codes
from transport.client.adapters.ports import Destination
from transport.client.backoff import backoff
from transport.client.clock import read_clock
from transport.client.connection import Connection
from transport.client.dialer import Credentials, Dialer
from transport.client.fallback import LastWorking, choose
from transport.client.pacing import Pacing
from transport.client.tasks import ConnectionTasks
from transport.protocol.client.events import Answer, ConnectionLost, Input, Request
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.frames import Json, TransportKind
from transport.telemetry.log import ERROR, event
from transport.waiting import Waiters


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
        on_input: takes what the connection reports.
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
        on_input: Callable[[Link, Input], None],
        wake: Callable[[], None],
    ) -> None:
        self.connection: Connection | None = None
        self.retry_at = 0.0
        self.transports: tuple[TransportKind, ...] = ()
        self._session = session
        self._pacing = pacing
        self._waiters = waiters
        self._on_input = on_input
        self._wake = wake
        self._tried: list[TransportKind] = []
        """Transports that failed in this round."""
        self._failures = 0
        """In a row."""
        self._outage_since = inf
        """Since when all fails: from the first attempt, or the end of what was steady; later by the
        time in which something worked since."""
        self._last_working: LastWorking | None = None
        self._tasks = ConnectionTasks(self._task_ended)
        self._dialer = Dialer(session, destination, credentials, pacing, self._tasks, self._report)
        self._budget = self._dialer.budget
        self.set_transports(transports)

    @property
    def deadline(self) -> float:
        """When to call `begin` or `connection_lost`: see `is_overdue`."""
        return self.retry_at if self.connection is None else self.connection.until

    def is_overdue(self, now: float) -> bool:
        """Whether there is a connection that should be open by now."""
        return self.connection is not None and now >= self.connection.until

    @property
    def attempts(self) -> list[Connection]:
        """The latest, oldest first."""
        return self._dialer.attempts

    # Opening

    def begin(self, now: float) -> None:
        """Try the next transport, if it is time."""
        self.retry_at = max(self.retry_at, self._budget.free_at)
        if self.connection is not None or now < self.retry_at:
            return
        self._outage_since = min(self._outage_since, now)
        transport = choose(
            self.transports, self._tried, self._last_working, now, self._pacing.fallback
        )
        if transport is None:  # all of a choice that was narrowed have failed: a new round
            self._tried.clear()
            transport = self.transports[0]
        self.connection = self._dialer.create(transport, now)
        self._show_credentials(self.connection)

    def renew_credentials(self) -> None:
        """Show credentials anew (REN-1)."""
        if self.connection is not None:
            self._show_credentials(self.connection)

    def _show_credentials(self, connection: Connection) -> None:
        if self._dialer.has_to_ask:
            self._tasks.spawn(connection, self._ask_credentials, connection)
        else:
            self._use(connection, self._dialer.credentials)

    async def _ask_credentials(self, connection: Connection) -> None:
        """Ask the application for credentials, for a new connection or to renew."""
        try:
            credentials = await self._dialer.ask_credentials()
        except Exception:  # noqa: BLE001 - of the application: it is logged
            event(
                ERROR,
                "credentials_failed",
                "the function for credentials failed",
                exc_info=True,
                transport=connection.transport.value,
            )
            if connection.link is None and self.connection is connection:
                self.connection_lost("no credentials")
            return  # to renew there are none: the server's `unauthorized` will follow
        if self.connection is not connection:
            return
        self._use(connection, credentials)
        self._wake()

    def _use(self, connection: Connection, credentials: Json) -> None:
        if connection.link is None:
            self._dialer.open(connection, credentials)
        else:
            self._session.renew(credentials)

    # While it stands

    def transmit(self, now: float) -> None:
        """Write what the session has to say."""
        connection = self.connection
        if connection is not None and connection.link is not None and connection.adapter:
            for output in self._session.transmit(connection.link, now):
                connection.adapter.send(output)

    def _report(self, connection: Connection, report: Input) -> None:
        now, wait = read_clock(), 0.0
        failed = report.request if isinstance(report, Answer) and report.status != 200 else None
        if self.connection is not connection or connection.link is None:
            if failed is Request.POST and connection.post_slot is not None:
                self._budget.release(connection.post_slot, now)
            return
        if failed is Request.POLL or failed is Request.POST:
            # What failed is repeated, or leads to another connection: an attempt.
            wait = self._budget.acquire(now).at - now
        if failed is Request.POST:
            # Where all was cut, the downlink tells by then: nothing is repeated in vain.
            soonest = min(0.5, self._pacing.retry_base) / 2
            wait = max(wait, soonest, self._budget.free_at - now)
        if wait > 0:
            self._tasks.spawn(connection, self._deliver_later, connection, report, wait)
        else:
            self._deliver(connection, report)

    async def _deliver_later(self, connection: Connection, report: Input, wait: float) -> None:
        await anyio.sleep(wait)
        if self.connection is connection:
            self._deliver(connection, report)

    def _deliver(self, connection: Connection, report: Input) -> None:
        assert connection.link is not None
        self._on_input(connection.link, report)
        # An event stream works once it is known that POSTs get through as well.
        if isinstance(report, Answer) and report.status == 200 and self.connection is connection:
            self._mark_working(connection)

    def attached(self) -> None:
        """The session is attached."""
        connection = self.connection
        if connection is None:
            return
        self._budget.release(connection.slot, read_clock())
        if connection.transport is TransportKind.SSE:
            connection.until = read_clock() + self._pacing.post
        else:
            self._mark_working(connection)

    def _mark_working(self, connection: Connection) -> None:
        if connection.outcome != "pending":
            return
        now = read_clock()
        connection.mark_open(now)
        # A better one that has just failed again makes the fallback fresh.
        if (
            self._last_working is None
            or self._last_working.transport is not connection.transport
            or self._tried
        ):
            self._last_working = LastWorking(connection.transport, now)
        self._tried = []

    # Ending

    def connection_lost(self, reason: str, retry_in: float = 0.0, *, drained: bool = False) -> None:
        """The connection failed or was cut: decides what to try, and when."""
        connection = self.connection
        if connection is None:
            return
        now, jitter, pacing = read_clock(), random.random(), self._pacing
        steady = self._exclude_uptime_from_outage(connection, now)
        again = backoff(now - self._outage_since, jitter, pacing.retry_base, pacing.retry_most)
        if drained:  # the server asked for it: no failure of the transport (DRN-1)
            wait = jitter * retry_in
            if not steady:  # it may ask again and again
                wait += again
                self._failures += 1
            self._disconnect(reason, wait)
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
        self._disconnect(reason, wait)

    def leave_connection(self, reason: str, wait: float) -> None:
        """Leave the connection, if there is one, for the application wants to; the next is tried
        ``wait`` seconds later. What it wants is no outage, and one that was is forgotten."""
        if self.connection is not None:
            self._exclude_uptime_from_outage(self.connection, read_clock())
        self._outage_since = inf
        self._disconnect(reason, wait)

    def _exclude_uptime_from_outage(self, connection: Connection, now: float) -> bool:
        """It ends: the time in which it worked, however short, is no outage.

        Returns:
            Whether it was steady.
        """
        if connection.outcome != "open":
            return False
        steady = now - connection.started_at >= self._pacing.steady
        if steady:
            self._failures = 0
            self._outage_since = now
        else:
            self._outage_since += now - connection.started_at - connection.seconds
        return steady

    def _disconnect(self, reason: str, wait: float) -> None:
        connection, now = self.connection, read_clock()
        self.connection = None
        self.retry_at = now + wait
        self._wake()
        if connection is None:
            return
        connection.mark_ended(reason, now)
        if connection.outcome == "failed":
            self._budget.release(connection.slot, now)
        if self._tasks.runs_for(connection, lingers=True):
            # Begun before this was known, it may find what the connection found.
            connection.post_slot = self._budget.acquire(now)
        self._tasks.cancel(connection)
        self._close_if_unused(connection)
        if connection.link is not None:
            self._session.handle_input(connection.link, ConnectionLost(reason), now)

    def set_transports(self, names: Iterable[str]) -> None:
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
        self._last_working = None
        if self.connection is not None and self.connection.transport not in chosen:
            self.leave_connection("forbidden", 0.0)

    def finish(self, reason: str) -> None:
        """The channel is over: write the last word, and no more."""
        self.transmit(read_clock())
        connection, self.connection = self.connection, None
        if connection is None:
            return
        connection.mark_ended(reason, read_clock())
        if connection.transport is TransportKind.WEBSOCKET and connection.adapter is not None:
            connection.adapter.finish()
        else:
            self._tasks.cancel(connection)  # the downlink is over; a POST ends by itself
            self._close_if_unused(connection)

    # Tasks

    @property
    def is_busy(self) -> bool:
        """Whether any task runs."""
        return self._tasks.is_busy

    def _task_ended(self, connection: Connection, failure: str | None) -> None:
        if failure is not None:
            if connection.link is not None:
                self._report(connection, ConnectionLost(failure))
            elif self.connection is connection:
                self.connection_lost(failure)
        self._close_if_unused(connection)
        self._waiters.changed()

    def _close_if_unused(self, connection: Connection) -> None:
        """Close the sockets of a connection that was left, once its last POST is answered."""
        http, is_left = connection.http, connection is not self.connection
        if http is not None and is_left and not self._tasks.runs_for(connection):
            connection.http = None
            self._tasks.spawn(connection, http.aclose, lingers=True)

    def cancel(self) -> None:
        """End all that runs, now."""
        self._tasks.cancel_all()

    async def stop(self) -> None:
        """End all that runs, and wait until nothing is left."""
        await self._tasks.stop()
