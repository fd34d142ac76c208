"""`Connector`: keeps one connection to the server.

The pure `RetryPlan` decides which transport to try and when; this module acts on it. Invariants:

- There is one connection at a time. Reports from any other are ignored, except that its failed
  POSTs still count against the retry budget.
- Whatever counts as an attempt is within the budget of the `Dialer`.
- `ConnectionTasks` does all the work of a connection. A task that fails counts as a lost
  connection.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import anyio

from transport.client.clock import read_clock
from transport.client.connection import Connection
from transport.client.destination import Destination
from transport.client.diagnosis import explain_failure
from transport.client.dialer import Credentials, Dialer
from transport.client.pacing import Pacing
from transport.client.retries import RetryPlan
from transport.client.tasks import ConnectionTasks
from transport.client.trace import (
    trace_connected,
    trace_connecting,
    trace_disconnected,
    trace_input,
    trace_output,
)
from transport.protocol.client.events import Answer, ConnectionLost, Input, Output, Request
from transport.protocol.client.link import Link
from transport.protocol.client.session import ClientSession
from transport.protocol.frames import Json, TransportKind
from transport.telemetry.log import ERROR, log_event
from transport.waiting import Waiters

NO_ANSWER_YET = "no answer yet"
"""The reason of a transport whose only attempt is still in progress."""


class Connector:
    """Keeps one connection for ``session``.

    Args:
        session: the session to attach.
        destination: the server.
        transports: the transports that may be used, in the order in which to try them.
        credentials: a JSON value, or a function, async or not, that is asked for one at each
            attach and each renewal.
        pacing: times and bounds.
        waiters: notified when a task has ended.
        on_input: called with what the connection reports.
        on_unreachable: called once in each outage, when every transport has failed, with the reason
            by the name of the transport.
        wake: called when something is due.

    Attributes:
        connection: the connection; None until the next attempt, at `retry_at`.
        retry_at: a time of the loop's clock; infinite while the application is away.
        tasks: what runs the work of connections.
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
        on_unreachable: Callable[[dict[str, str]], None],
        wake: Callable[[], None],
    ) -> None:
        self.connection: Connection | None = None
        self.retry_at = 0.0
        self._session = session
        self._pacing = pacing
        self._waiters = waiters
        self._on_input = on_input
        self._on_unreachable = on_unreachable
        self._wake = wake
        self.tasks = ConnectionTasks(self._task_ended)
        self._dialer = Dialer(session, destination, credentials, pacing, self.tasks, self._report)
        self._budget = self._dialer.budget
        self._plan = RetryPlan(pacing, transports)

    @property
    def deadline(self) -> float:
        """When to call `begin`, or `connection_lost` if `is_overdue` says so."""
        return self.retry_at if self.connection is None else self.connection.until

    def is_overdue(self, now: float) -> bool:
        """Return whether there is a connection that should work by now."""
        return self.connection is not None and now >= self.connection.until

    @property
    def transports(self) -> tuple[TransportKind, ...]:
        """The transports that may be used, in the order in which they are tried."""
        return self._plan.transports

    @property
    def is_unreachable(self) -> bool:
        """Whether every transport has failed in this outage."""
        return self._plan.is_unreachable

    @property
    def attempts(self) -> list[Connection]:
        """The latest attempts, oldest first."""
        return self._dialer.attempts

    @property
    def reasons(self) -> dict[str, str]:
        """Why each transport failed since a connection last worked, and what to do about it."""
        reasons: dict[str, str] = {}  # the latest of each
        for attempt in reversed(self.attempts):
            name = attempt.transport.value
            if attempt.reason and reasons.get(name, NO_ANSWER_YET) == NO_ANSWER_YET:
                reasons[name] = explain_failure(attempt.reason)
            reasons.setdefault(name, NO_ANSWER_YET)
            if attempt.outcome in ("open", "lost"):
                break
        return {kind.value: reasons[kind.value] for kind in TransportKind if kind.value in reasons}

    # Opening

    def begin(self, now: float) -> None:
        """Try the next transport, if it is time."""
        self.retry_at = max(self.retry_at, self._budget.free_at)
        if self.connection is not None or now < self.retry_at:
            return
        transport = self._plan.begin(now)
        self.connection = self._dialer.create(transport, now)
        trace_connecting(self.connection)
        self._show_credentials(self.connection)

    def renew_credentials(self) -> None:
        """Show fresh credentials (REN-1)."""
        if self.connection is not None:
            self._show_credentials(self.connection)

    def _show_credentials(self, connection: Connection) -> None:
        if self._dialer.has_to_ask:
            self.tasks.spawn(connection, self._ask_credentials, connection)
        else:
            self._use(connection, self._dialer.credentials)

    async def _ask_credentials(self, connection: Connection) -> None:
        """Ask the application for credentials, for a new connection or a renewal."""
        try:
            credentials = await self._dialer.ask_credentials()
        except Exception:  # noqa: BLE001 - the application's exception is logged
            log_event(
                ERROR,
                "credentials_failed",
                "the function for credentials failed",
                exc_info=True,
                transport=connection.transport.value,
            )
            if connection.link is None and self.connection is connection:
                self.connection_lost("no credentials")
            return  # a renewal is missing then: the server will answer `unauthorized`
        if self.connection is not connection:
            return
        self._use(connection, credentials)
        self._wake()

    def _use(self, connection: Connection, credentials: Json) -> None:
        if connection.link is None:
            self._dialer.open(connection, credentials)
        else:
            self._session.renew(credentials)

    # Writing and reading

    def transmit(self, now: float) -> None:
        """Write what the session has to say."""
        connection = self.connection
        if connection is not None and connection.link is not None and connection.adapter:
            for output in self._session.transmit(connection.link, now):
                trace_output(connection, output)
                connection.adapter.send(output)

    def _report(self, connection: Connection, report: Input) -> None:
        now, wait = read_clock(), 0.0
        trace_input(connection, report)
        failed = report.request if isinstance(report, Answer) and report.status != 200 else None
        if self.connection is not connection or connection.link is None:
            if failed is Request.POST and connection.post_slot is not None:
                self._budget.release(connection.post_slot, now)
            return
        if failed is Request.POLL or failed is Request.POST:
            # A failed request is repeated, or leads to another connection: it is an attempt.
            wait = self._budget.acquire(now).at - now
        if failed is Request.POST:
            # Wait briefly: if the whole path is down, the downlink reports it first and the retry
            # is unnecessary.
            wait = max(wait, self._budget.span / 5, self._budget.free_at - now)
        if wait > 0:
            self.tasks.spawn(connection, self._deliver_later, connection, report, wait)
        else:
            self._deliver(connection, report)

    async def _deliver_later(self, connection: Connection, report: Input, wait: float) -> None:
        await anyio.sleep(wait)
        if self.connection is connection:
            self._deliver(connection, report)

    def _deliver(self, connection: Connection, report: Input) -> None:
        assert connection.link is not None
        self._on_input(connection.link, report)
        # An event stream works once POSTs are known to get through as well.
        if isinstance(report, Answer) and report.status == 200 and self.connection is connection:
            self._mark_working(connection)

    def attached(self) -> None:
        """Record that the session is attached over the connection."""
        connection = self.connection
        if connection is None:
            return
        self._budget.release(connection.slot, read_clock())
        if connection.transport is TransportKind.SSE:
            connection.until = read_clock() + self._pacing.post_timeout
        else:
            self._mark_working(connection)

    def _mark_working(self, connection: Connection) -> None:
        if connection.outcome != "pending":
            return
        now = read_clock()
        connection.mark_open(now)
        trace_connected(connection)
        self._plan.record_working(connection.transport, now)

    # Ending

    def connection_lost(
        self,
        reason: str,
        retry_in: float = 0.0,
        *,
        drained: bool = False,
        last: Sequence[Output] = (),
    ) -> None:
        """Handle a connection that failed or was cut: decide when to try again, and what.

        Args:
            reason: why it ended.
            retry_in: the seconds for which the server asked, or 0.
            drained: whether the server asked for the end (DRN-1).
            last: what is still to be written on it.
        """
        connection = self.connection
        if connection is None:
            return
        now, jitter = read_clock(), random.random()
        wait = self._plan.wait_after(connection, reason, retry_in, now, jitter, drained=drained)
        self._disconnect(reason, wait, last)
        if self._plan.has_become_unreachable:
            self._on_unreachable(self.reasons)

    def leave_connection(self, reason: str, wait: float) -> None:
        """Leave the connection, if there is one, as the application asked for.

        The next is tried ``wait`` seconds later. This is no outage; an earlier one is forgotten.
        """
        self._plan.forget_outage(self.connection, read_clock())
        self._disconnect(reason, wait)

    def _disconnect(self, reason: str, wait: float, last: Sequence[Output] = ()) -> None:
        connection, now = self.connection, read_clock()
        self.connection = None
        self.retry_at = now + wait
        self._wake()
        if connection is None:
            return
        connection.mark_ended(reason, now)
        trace_disconnected(connection, reason, wait)
        if connection.outcome == "failed":
            self._budget.release(connection.slot, now)
        if self.tasks.runs_for(connection, lingers=True):
            # A POST in flight may fail for the same reason later: it counts as an attempt.
            connection.post_slot = self._budget.acquire(now)
        self._close(connection, last)
        if connection.link is not None:
            self._session.remove(connection.link)

    def set_transports(self, names: Iterable[str]) -> None:
        """Use these transports only, in that order."""
        self._plan.set_transports(names)
        if self.connection is not None and self.connection.transport not in self.transports:
            self.leave_connection("forbidden", 0.0)

    def finish(self, reason: str) -> None:
        """Write what is left to write, and close the connection: the channel is closed."""
        self.transmit(read_clock())
        connection, self.connection = self.connection, None
        if connection is None:
            return
        connection.mark_ended(reason, read_clock())
        trace_disconnected(connection, "closed")
        self._close(connection, gracefully=True)

    def _close(
        self, connection: Connection, last: Sequence[Output] = (), *, gracefully: bool = False
    ) -> None:
        """Close a connection after writing ``last``, or ``gracefully`` what it was given before."""
        adapter = connection.adapter
        if adapter is not None and (last or gracefully):
            for output in last:
                trace_output(connection, output)
                adapter.send(output)
            if connection.transport is TransportKind.WEBSOCKET:
                adapter.finish()
                return
        self.tasks.cancel(connection)  # the downlink is over; a POST ends by itself
        self._close_if_unused(connection)

    # Tasks

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
        if http is not None and is_left and not self.tasks.runs_for(connection):
            connection.http = None
            self.tasks.spawn(connection, http.aclose, lingers=True)
