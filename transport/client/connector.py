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
from transport.client.fallback import Learnt, choose
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
        self._learnt: Learnt | None = None
        self._tasks = ConnectionTasks(self._task_ended)
        self._dialer = Dialer(session, destination, credentials, pacing, self._tasks, self._report)
        self._budget = self._dialer.budget
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
        return self._dialer.attempts

    # Opening

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
        self.connection = self._dialer.create(transport, now)
        self._show_credentials(self.connection)

    def renew(self) -> None:
        """Show credentials anew (REN-1)."""
        if self.connection is not None:
            self._show_credentials(self.connection)

    def _show_credentials(self, connection: Connection) -> None:
        if self._dialer.asks:
            self._tasks.spawn(connection, self._ask, connection)
        else:
            self._use(connection, self._dialer.credentials)

    async def _ask(self, connection: Connection) -> None:
        """Ask the application for credentials, for a new connection or to renew."""
        try:
            credentials = await self._dialer.ask()
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

    def _report(self, connection: Connection, heard: Input) -> None:
        now, wait = read_clock(), 0.0
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
            self._tasks.spawn(connection, self._report_later, connection, heard, wait)
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
        self._budget.over(connection.place, read_clock())
        if connection.transport is TransportKind.SSE:
            connection.until = read_clock() + self._pacing.post
        else:
            self._works(connection)

    def _works(self, connection: Connection) -> None:
        if connection.outcome != "pending":
            return
        now = read_clock()
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
        now, chance, pacing = read_clock(), random.random(), self._pacing
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
            self._reckon(self.connection, read_clock())
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
        connection, now = self.connection, read_clock()
        self.connection = None
        self.retry_at = now + wait
        self._wake()
        if connection is None:
            return
        connection.ends(reason, now)
        if connection.outcome == "failed":
            self._budget.over(connection.place, now)
        if self._tasks.runs_for(connection, lingers=True):
            # Begun before this was known, it may find what the connection found.
            connection.posting = self._budget.take(now)
        self._tasks.drop(connection)
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
        self.transmit(read_clock())
        connection, self.connection = self.connection, None
        if connection is None:
            return
        connection.ends(reason, read_clock())
        if connection.transport is TransportKind.WEBSOCKET and connection.adapter is not None:
            connection.adapter.finish()
        else:
            self._tasks.drop(connection)  # the downlink is over; a POST ends by itself
            self._tidy(connection)

    # Tasks

    @property
    def busy(self) -> bool:
        """Whether any task runs."""
        return self._tasks.busy

    def _task_ended(self, connection: Connection, failure: str | None) -> None:
        if failure is not None:
            if connection.link is not None:
                self._report(connection, ConnectionLost(failure))
            elif self.connection is connection:
                self.lost(failure)
        self._tidy(connection)
        self._waiters.changed()

    def _tidy(self, connection: Connection) -> None:
        """Close the sockets of a connection that was left, once its last POST is answered."""
        http, is_left = connection.http, connection is not self.connection
        if http is not None and is_left and not self._tasks.runs_for(connection):
            connection.http = None
            self._tasks.spawn(connection, http.aclose, lingers=True)

    def cut(self) -> None:
        """End all that runs, now."""
        self._tasks.cut()

    async def stop(self) -> None:
        """End all that runs, and wait until nothing is left."""
        await self._tasks.stop()
