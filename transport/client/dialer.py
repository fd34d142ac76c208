"""`Dialer`: begins connections: with credentials, an attach and an adapter, within the budget."""

from __future__ import annotations

import inspect
import secrets
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import httpx

from transport.client.adapters.longpoll import LongPollAdapter
from transport.client.adapters.ports import Adapter, Wiring
from transport.client.adapters.post import http_client
from transport.client.adapters.sse import EventStreamAdapter
from transport.client.adapters.websocket import WebSocketAdapter
from transport.client.budget import RetryBudget, budget_span
from transport.client.clock import read_clock
from transport.client.connection import Connection
from transport.client.destination import Destination
from transport.client.pacing import Pacing
from transport.client.tasks import ConnectionTasks
from transport.protocol.client.events import Input
from transport.protocol.client.session import ClientSession
from transport.protocol.frames import Json, TransportKind

ADAPTERS: dict[TransportKind, Callable[[Wiring], Adapter]] = {
    TransportKind.WEBSOCKET: WebSocketAdapter,
    TransportKind.SSE: EventStreamAdapter,
    TransportKind.LONGPOLL: LongPollAdapter,
}
MAX_ATTEMPT_HISTORY = 50
"""Attempts that `Channel.explain` reports."""

Credentials: TypeAlias = Json | Callable[[], Any]


class Dialer:
    """Begins connections for ``session``.

    Args:
        session: the session that they attach.
        destination: the server.
        credentials: see `Connector`.
        pacing: times and bounds.
        tasks: runs the work of the connections.
        report: called with what a connection reports.

    Attributes:
        budget: the retry budget, one for all attempts.
    """

    def __init__(
        self,
        session: ClientSession,
        destination: Destination,
        credentials: Credentials,
        pacing: Pacing,
        tasks: ConnectionTasks,
        report: Callable[[Connection, Input], None],
    ) -> None:
        self.budget = RetryBudget(budget_span(pacing.retry_base))
        self._session = session
        self._destination = destination
        self._credentials = credentials
        self._pacing = pacing
        self._tasks = tasks
        self._report = report
        self._attempts: deque[Connection] = deque(maxlen=MAX_ATTEMPT_HISTORY)

    @property
    def attempts(self) -> list[Connection]:
        """The latest attempts, oldest first."""
        return list(self._attempts)

    def create(self, transport: TransportKind, at: float) -> Connection:
        """Return a connection to be opened at time ``at``."""
        # This time is for the credentials; once they are known the transport has its own.
        connection = Connection(
            transport, at, at + self._pacing.post_timeout, self.budget.acquire(at)
        )
        self._attempts.append(connection)
        return connection

    @property
    def has_to_ask(self) -> bool:
        """Whether the credentials come from a function: see `ask_credentials`."""
        return callable(self._credentials)

    @property
    def credentials(self) -> Json:
        """The credentials, if they are a value."""
        return self._credentials

    async def ask_credentials(self) -> Json:
        """Ask the application for credentials."""
        credentials = self._credentials()
        return await credentials if inspect.isawaitable(credentials) else credentials

    def open(self, connection: Connection, credentials: Json) -> None:
        """Attach the session over ``connection``."""
        connection.until = read_clock() + self._pacing.open_timeout
        nonce = secrets.token_urlsafe(24)
        connection.link = self._session.attach(connection.transport, nonce, credentials)
        connection.adapter = ADAPTERS[connection.transport](
            Wiring(
                destination=self._destination,
                timeout=self._pacing.post_timeout,
                report=partial(self._report, connection),
                spawn=partial(self._tasks.spawn, connection),
                linger=partial(self._tasks.spawn, connection, lingers=True),
                http=partial(self._http, connection),
            )
        )

    def _http(self, connection: Connection) -> httpx.AsyncClient:
        # Each connection has its own, as the sockets of a lost one may be dead.
        if connection.http is None:
            connection.http = http_client(self._destination)
        return connection.http
