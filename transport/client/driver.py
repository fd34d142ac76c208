"""`Driver`: owns a channel's connections, its clock and who waits for what.

What to do is decided by the pure core (`transport.protocol.client`, `fallback`, `backoff`); here it
is done. One task runs all: it acts, then waits until something came in or a deadline is due.
Connections are tasks of its group, so none outlives it.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import random
import secrets
import ssl
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal, TypeAlias, assert_never

import anyio
import httpx
from anyio.abc import TaskGroup
from msgspec import UNSET

from transport import codes
from transport.client.backoff import backoff
from transport.client.fallback import Learnt, choose
from transport.client.longpoll import LongPollTransport
from transport.client.sse import EventStreamTransport
from transport.client.transport import Transport, Wiring, Work
from transport.client.websocket import WebSocketTransport
from transport.errors import (
    Busy,
    ChannelClosed,
    ChannelError,
    Fate,
    LocalProtocolError,
    SessionReset,
    Stalled,
    TooLarge,
    Unacknowledged,
    Unreachable,
)
from transport.limits import Limits
from transport.protocol.client import (
    Answer,
    ClientSession,
    Closed,
    Dropped,
    Event,
    Frame,
    Heard,
    Link,
    Lost,
    Messages,
    Opening,
    Rejected,
    RenewalAsked,
    Settled,
    Superseded,
    Terms,
    WasReset,
)
from transport.protocol.codec import Payload
from transport.protocol.frames import Carrier, Json, Verdict
from transport.protocol.session import WAITING, Waiting
from transport.protocol.states import PHASES, Phase, PhaseStep, follow

logger = logging.getLogger("transport")

TRANSPORTS: dict[Carrier, Callable[[Wiring], Transport]] = {
    Carrier.WEBSOCKET: WebSocketTransport,
    Carrier.SSE: EventStreamTransport,
    Carrier.LONGPOLL: LongPollTransport,
}
REMEMBERED = 50
"""Attempts that `explain` tells."""
KEPT_OUTCOMES = 1000
"""Ranges of sends that were not handled, of which `acknowledged` can still tell."""
LAST_WORD = 1.0
"""Seconds in which the last frames of a closed channel are written."""

UNREACHED = 1001
"""The code of a close that the server could not be told."""
FLOODED = 1011
"""The code where nobody takes what arrives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How patient a client is. In seconds, where not said otherwise.

    Attributes:
        attempt: until a connection must be open.
        post: until a POST must be answered.
        retry_base: what the first retry waits at most; doubled by each failure.
        retry_most: the bound of that.
        steady: after which a connection counts as stable; an earlier end speaks against its
            transport.
        fallback: for which a fallback is kept before better transports get another chance.
        queue_messages, queue_bytes: of what was received and not yet taken; beyond it the channel
            is closed, for an ack may not wait for the application (MRK-3).
    """

    attempt: float = 4.0
    post: float = 10.0
    retry_base: float = 0.5
    retry_most: float = 30.0
    steady: float = 5.0
    fallback: float = 300.0
    queue_messages: int = 100_000
    queue_bytes: int = 64 * 1024 * 1024


Outcome: TypeAlias = Literal["pending", "open", "failed", "lost"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One entry of `explain`.

    Attributes:
        transport: its name.
        outcome: what became of it.
        reason: why it failed, or was lost.
        seconds: until it was open, or had failed.
    """

    transport: str
    outcome: Outcome
    reason: str
    seconds: float


@dataclass(slots=True, eq=False)
class Connection:
    """The attempt in hand, or the connection that it became."""

    attempt: Attempt
    carrier: Carrier
    since: float
    until: float
    """When it must be open, or be given up."""
    transport: Transport | None = None
    link: Link | None = None
    """Both are there once the credentials are."""
    scopes: set[anyio.CancelScope] = field(default_factory=set)

    def drop(self) -> None:
        """End it now."""
        for scope in list(self.scopes):
            scope.cancel()


@dataclass(slots=True)
class Counts:
    """What `statistics` adds to the session's own marks."""

    attaches: int = 0
    resets: int = 0
    recovered: int = 0
    received: int = 0
    taken: int = 0
    handled: int = 0
    acknowledged: int = 0


@dataclass(slots=True, eq=False)
class _Sender:
    """Who waits for room."""

    stalled: bool = False


@dataclass(frozen=True, slots=True)
class _Unhandled:
    """Sends that were not handled, and why."""

    first: int
    last: int
    fate: Fate | None
    """None: the server's limit refused it."""
    size: int = 0
    limit: int = 0
    cause: ChannelError | None = None

    def error(self, number: int) -> ChannelError:
        if self.fate is None:
            return TooLarge(self.size, self.limit)
        error = Unacknowledged(number, self.fate)
        error.__cause__ = self.cause
        return error


Credentials: TypeAlias = Json | Callable[[], Any]


class Driver:
    """Runs one channel; `run` until it is closed.

    Args:
        url: of the channel: http, https, ws or wss.
        transports: that may be used, in the order in which to try them.
        credentials: a JSON value, or a function, async or not, that is asked for one at each
            attach.
        headers: for every request.
        tls, proxies: see `Wiring`.
        limits: to go by until the server has told its own.
        pacing: patience.
        target, wishes: see `ClientSession`.
    """

    def __init__(
        self,
        url: str,
        *,
        transports: Iterable[str],
        credentials: Credentials,
        headers: Mapping[str, str],
        tls: ssl.SSLContext | None,
        proxies: bool,
        limits: Limits,
        pacing: Pacing,
        target: dict[str, Json] | None,
        wishes: dict[str, Json] | None,
    ) -> None:
        self.pacing = pacing
        self.session = ClientSession(
            secrets.token_urlsafe(16), Terms.of(limits), target=target, wishes=wishes
        )
        self.phase = Phase.CONNECTING
        self.id: str | None = None
        self.counts = Counts()
        self.attempts: deque[Attempt] = deque(maxlen=REMEMBERED)
        self.ending: Closed | None = None
        """How the channel ended, once it has."""
        self._url = url
        self._credentials = credentials
        self._headers = headers
        self._tls = tls
        self._proxies = proxies
        self._transports: tuple[Carrier, ...] = ()
        self._connection: Connection | None = None
        self._tried: list[Carrier] = []
        """Transports that failed in this round."""
        self._failures = 0
        """In a row."""
        self._learnt: Learnt | None = None
        self._retry_at = 0.0
        """When to try again; never, while suspended by the application."""
        self._contact = 0.0
        """When the server was last heard, or the application closed."""
        self._closing = False
        self._stall: tuple[int, float] | None = None
        self._queue: deque[Json | SessionReset] = deque()
        """What was received and not taken; a `SessionReset` stands where its session ended."""
        self._queued = 0.0
        """Bytes of it."""
        self._receiver: asyncio.Future[None] | None = None
        self._senders: list[_Sender] = []
        self._settled = 0
        """All sends up to it have an outcome: handled, if `_unhandled` knows no other."""
        self._unhandled: deque[_Unhandled] = deque()
        self._forgotten = 0
        """Of sends up to it, it is not known any more whether they failed."""
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        self._waker: asyncio.Future[None] | None = None
        self._woken = True
        self._tasks: TaskGroup | None = None
        self._running = 0
        """Functions of transports that run."""
        self._stack = AsyncExitStack()
        self._http: httpx.AsyncClient | None = None
        self.choose(transports)

    def now(self) -> float:
        """Seconds of the loop's clock."""
        return asyncio.get_running_loop().time()

    # The task

    async def run(self) -> None:
        """Carry the channel until it is closed, and its last word is written."""
        self._contact = self.now()
        try:
            async with self._stack, anyio.create_task_group() as tasks:
                self._tasks = tasks
                while self.phase is not Phase.CLOSED:
                    self._woken = False
                    await self._sleep_until(self._step())
                with anyio.move_on_after(LAST_WORD):
                    await self.until(lambda: not self._running)
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self.leave()  # cancelled, or failed: whoever waits is told

    def leave(self) -> None:
        """End now, without a word to the server where it was not said yet.

        Not by cancelling the task of `run`: that would cut short the closing of sockets, too.
        """
        if self.ending is None:
            self._act(self.session.abandon(UNREACHED, "the channel was left"))
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()

    async def _sleep_until(self, due: float) -> None:
        if self._woken:
            return
        loop = asyncio.get_running_loop()
        self._waker = loop.create_future()
        timer = loop.call_at(due, _resolve, self._waker) if due < inf else None
        try:
            await self._waker
        finally:
            self._waker = None
            if timer is not None:
                timer.cancel()

    def wake(self) -> None:
        """Something has changed. All that is sent in this turn is written together (DAT-1)."""
        self._woken = True
        if self._waker is not None:
            _resolve(self._waker)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition`` holds; it is asked after each change."""
        while not condition():
            waiter = asyncio.get_running_loop().create_future()
            entry = (condition, waiter)
            self._waiters.append(entry)
            try:
                await waiter
            finally:
                if entry in self._waiters:
                    self._waiters.remove(entry)

    def _changed(self) -> None:
        for entry in list(self._waiters):
            condition, waiter = entry
            if condition():
                self._waiters.remove(entry)
                _resolve(waiter)

    def _step(self) -> float:
        """Do what is due; when the next is."""
        session, now = self.session, self.now()
        give_up = self._contact + session.terms.closing if self._closing else inf
        if now >= give_up:
            self._act(session.abandon(UNREACHED, "the server could not be reached"))
            return inf
        expiry = self._contact + session.terms.ttl if self.phase is Phase.RECOVERING else inf
        if now >= expiry:
            self._enter(PhaseStep.EXPIRE)
            expiry = inf
        if self._connection is not None and now >= self._connection.until:
            self._lost("no answer in time")
        self._act(session.tick(now))
        if self._connection is None and now >= self._retry_at:
            self._connect(now)
        self._transmit(now)
        connection = self._connection
        return min(
            give_up,
            expiry,
            session.deadline,
            self._retry_at if connection is None else connection.until,
            self._check_stall(now),
        )

    def _transmit(self, now: float) -> None:
        connection = self._connection
        if connection is not None and connection.link is not None and connection.transport:
            for out in self.session.transmit(connection.link, now):
                connection.transport.send(out)

    def _enter(self, step: PhaseStep) -> None:
        self.phase = follow(PHASES, self.phase, step, "channel")
        self._changed()

    # Connections

    def _connect(self, now: float) -> None:
        carrier = choose(self._transports, self._tried, self._learnt, now, self.pacing.fallback)
        if carrier is None:  # all of a choice that was narrowed have failed: a new round
            self._tried.clear()
            carrier = self._transports[0]
        # For the credentials; once they are there the transport has its own time.
        connection = Connection(
            Attempt(carrier.value, "pending", "", 0.0), carrier, now, now + self.pacing.post
        )
        self._connection = connection
        self.attempts.append(connection.attempt)
        if callable(self._credentials):
            self._spawn(connection, self._ask, connection)
        else:
            self._open(connection, self._credentials)

    async def _ask(self, connection: Connection) -> None:
        """Ask the application for credentials, for a new connection or to renew (REN-1)."""
        try:
            credentials = self._credentials() if callable(self._credentials) else UNSET
            if inspect.isawaitable(credentials):
                credentials = await credentials
        except Exception:
            logger.exception("the function for credentials failed")
            if connection.link is None and self._connection is connection:
                self._lost("no credentials")
            return  # to renew there are none: the server's `unauthorized` will follow
        if self._connection is not connection:
            return
        if connection.link is None:
            self._open(connection, credentials)
        else:
            self.session.renew(credentials)
        self.wake()

    def _open(self, connection: Connection, credentials: Json) -> None:
        connection.until = self.now() + self.pacing.attempt
        connection.link = self.session.attach(
            connection.carrier, secrets.token_urlsafe(24), credentials
        )
        connection.transport = TRANSPORTS[connection.carrier](
            Wiring(
                url=self._url,
                headers=self._headers,
                tls=self._tls,
                proxies=self._proxies,
                timeout=self.pacing.post,
                hear=lambda heard: self._hear(connection, heard),
                spawn=lambda work, *args: self._spawn(connection, work, *args),
                linger=lambda work, *args: self._spawn(None, work, *args),
                http=self._client,
            )
        )

    def _spawn(self, connection: Connection | None, work: Work, *args: Any) -> None:
        """Run ``work`` until it returns, or its connection is dropped."""
        if self._tasks is None:
            return  # the channel was left
        scope = anyio.CancelScope()
        if connection is not None:
            connection.scopes.add(scope)
        self._running += 1
        self._tasks.start_soon(self._carry, connection, scope, work, args)

    async def _carry(
        self, connection: Connection | None, scope: anyio.CancelScope, work: Work, args: Any
    ) -> None:
        try:
            with scope:
                await work(*args)
        finally:
            self._running -= 1
            if connection is not None:
                connection.scopes.discard(scope)
            self._changed()

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            secure = self._url.startswith(("https:", "wss:"))
            self._http = httpx.AsyncClient(
                # Loading the system's certificates takes a while; without TLS it is in vain.
                verify=secure if self._tls is None else self._tls,
                trust_env=self._proxies,
                timeout=None,  # each request has the core's and the driver's time
                limits=httpx.Limits(max_connections=None, max_keepalive_connections=4),
            )
            self._stack.push_async_callback(self._http.aclose)
        return self._http

    def _hear(self, connection: Connection, heard: Heard) -> None:
        if self._connection is not connection or connection.link is None:
            return
        now = self.now()
        match heard:
            case Frame():
                self._contact = now
            case Answer():
                if heard.text:
                    self._contact = now
            case Lost():
                pass
            case _:
                assert_never(heard)
        self._act(self.session.hear(connection.link, heard, now))
        # An event stream works once it is known that POSTs get through as well.
        if isinstance(heard, Answer) and heard.status == 200 and self._connection is connection:
            self._works(connection, now)
        self.wake()

    def _works(self, connection: Connection, now: float) -> None:
        if connection.attempt.outcome != "pending":
            return
        connection.until = inf
        self._note(connection, "open", "", now)
        # A better one that has just failed again makes the fallback fresh.
        if self._learnt is None or self._learnt.carrier is not connection.carrier or self._tried:
            self._learnt = Learnt(connection.carrier, now)
        self._tried = []

    def _note(self, connection: Connection, outcome: Outcome, reason: str, now: float) -> None:
        before = connection.attempt
        pending = before.outcome == "pending"
        seconds = now - connection.since if pending else before.seconds
        connection.attempt = Attempt(before.transport, outcome, reason, seconds)
        self.attempts[-1] = connection.attempt  # there is one at a time

    def _lost(self, reason: str, retry_in: float = 0.0, *, drained: bool = False) -> None:
        """The connection failed or was cut: decides what to try, and when."""
        connection = self._connection
        if connection is None:
            return
        chance, pacing = random.random(), self.pacing
        if drained:  # the server asked for it: no failure (DRN-1)
            self._leave(reason, chance * retry_in)
            return
        pending = connection.attempt.outcome == "pending"
        if pending or self.now() - connection.since < pacing.steady:
            self._tried.append(connection.carrier)
        else:
            self._failures = 0
        everything = all(carrier in self._tried for carrier in self._transports)
        if everything or retry_in:
            self._tried = []
        wait = 0.0
        # Down the ladder at once; otherwise not all clients in the same moment.
        if not pending or everything or retry_in:
            wait = retry_in + backoff(self._failures, chance, pacing.retry_base, pacing.retry_most)
            self._failures += 1
        # `open` tells what became of it; often, that our close was heard.
        if reason == codes.UNKNOWN_SESSION.name and self._failures <= 1:
            wait = 0.0
        self._leave(reason, wait)

    def _leave(self, reason: str, wait: float) -> None:
        """Leave the connection, if there is one; the next is tried ``wait`` seconds later."""
        connection, now = self._connection, self.now()
        self._connection = None
        self._retry_at = now + wait
        self.wake()
        if connection is None:
            return
        pending = connection.attempt.outcome == "pending"
        self._note(connection, "failed" if pending else "lost", reason, now)
        connection.drop()
        if connection.link is not None:
            self.session.hear(connection.link, Lost(reason), now)
        if self.phase is Phase.OPEN:
            self._enter(PhaseStep.LOST)

    # What the core tells

    def _act(self, events: Iterable[Event]) -> None:
        for event in events:
            if self.phase is not Phase.CLOSED:
                self._on(event)

    def _on(self, event: Event) -> None:
        connection = self._connection
        match event:
            case Messages():
                self._received(event)
            case Settled():
                self._settle([event], None)
            case Rejected():
                limit = self.session.terms.message
                self._failed(_Unhandled(event.send, event.send, None, event.size, limit))
            case Opening():
                if connection is not None:
                    self._opened(connection, event)
            case WasReset():
                cause = SessionReset(event.reason.value, event.lost)
                self.counts.resets += 1
                self._settle(event.sends, cause)
                self._queue.append(cause)
                self._wake_receiver()
            case Superseded():
                pass  # it ends as `Closed` says
            case RenewalAsked():
                if connection is not None:
                    self._spawn(connection, self._ask, connection)
            case Closed():
                self._closed(event)
            case Dropped():
                if connection is not None and connection.link is event.link:
                    self._lost(event.reason, event.retry_in, drained=event.drained)
            case _:
                assert_never(event)

    def _opened(self, connection: Connection, event: Opening) -> None:
        now = self.now()
        self.id = event.id
        self.counts.attaches += 1
        if connection.carrier is Carrier.SSE:
            connection.until = now + self.pacing.post
        else:
            self._works(connection, now)
        if event.verdict is Verdict.RESUMED:
            self.counts.recovered += event.replayed
        if self.phase is not Phase.OPEN:
            self._enter(PhaseStep.OPENED)

    def _received(self, event: Messages) -> None:
        self.counts.received += len(event.messages)
        self._queue.extend(event.messages)
        self._queued += event.size
        self._wake_receiver()
        pacing = self.pacing
        if len(self._queue) > pacing.queue_messages or self._queued > pacing.queue_bytes:
            self._act(self.session.abandon(FLOODED, "too many messages wait to be received"))

    def _closed(self, event: Closed) -> None:
        """The end: the last word is written, everything is settled."""
        self._transmit(self.now())
        connection, self._connection = self._connection, None
        if connection is not None:
            if connection.carrier is Carrier.WEBSOCKET and connection.transport is not None:
                connection.transport.finish()
            else:
                connection.drop()  # the downlink is over; a POST ends by itself
        self.ending = event
        self._settle(event.sends, self.closed())
        self._enter(PhaseStep.CLOSE)
        self._wake_receiver()
        self.wake()

    def closed(self) -> ChannelClosed:
        """The error that tells how the channel ended, or is ending."""
        ending = self.ending or self.session.ending
        if ending is None:
            raise LocalProtocolError("the channel is not closing")
        return ChannelClosed(ending.code, ending.reason)

    # Sending

    def send(self, payload: Payload) -> int:
        """Keep a message, and have it written in this turn."""
        number = self.session.send(payload)
        self.wake()
        return number

    async def room(self, size: int) -> None:
        """Wait until a message of that size fits the window; first come, first served."""
        session = self.session
        if not self._senders and session.outgoing.has_room(size):
            return
        entry = _Sender()
        self._senders.append(entry)
        try:
            while self._senders[0] is not entry or not session.outgoing.has_room(size):
                if session.ending is not None:
                    raise self.closed()
                if entry.stalled:
                    raise Stalled("the server is attached but handles nothing; fate unknown")
                await self.until(
                    lambda: (
                        entry.stalled
                        or session.ending is not None
                        or (self._senders[0] is entry and session.outgoing.has_room(size))
                    )
                )
        finally:
            self._senders.remove(entry)
            self._changed()

    def _check_stall(self, now: float) -> float:
        """Fail those who wait for room while no mark moves; when to look again."""
        if not self._senders:
            self._stall = None
            return inf
        acked, patience = self.session.outgoing.acked, self.session.terms.stall
        if self._stall is None or self._stall[0] != acked or self.phase is not Phase.OPEN:
            self._stall = (acked, now)
        elif now - self._stall[1] >= patience:
            self._stall = (acked, now)
            for sender in self._senders:
                sender.stalled = True
            self._changed()
        return self._stall[1] + patience

    def _settle(self, sends: Iterable[Settled], cause: ChannelError | None) -> None:
        for one in sends:
            if one.fate is Fate.HANDLED:
                self.counts.acknowledged += one.last - one.first + 1
            else:
                self._failed(_Unhandled(one.first, one.last, one.fate, cause=cause))
            self._settled = max(self._settled, one.last)
        self._changed()

    def _failed(self, sends: _Unhandled) -> None:
        self._unhandled.append(sends)
        if len(self._unhandled) > KEPT_OUTCOMES:
            self._forgotten = self._unhandled.popleft().last
        self._changed()

    def _failure_of(self, number: int) -> _Unhandled | None:
        return next(
            (one for one in reversed(self._unhandled) if one.first <= number <= one.last), None
        )

    async def acknowledged(self, number: int) -> None:
        """Wait for the outcome of a send, and raise it where it was not handled."""
        if not self._forgotten < number <= self.session.sends:
            raise ValueError(f"of no message {number} anything is known")
        await self.until(lambda: number <= self._settled or self._failure_of(number) is not None)
        failure = self._failure_of(number)
        if failure is not None:
            raise failure.error(number)

    # Receiving

    def take(self) -> Json | Waiting:
        """The next message, or `WAITING`."""
        if self._receiver is not None:
            raise Busy("another task is in receive() on this channel")
        queue, counts = self._queue, self.counts
        counts.handled = counts.taken
        if not queue:
            if self.ending is not None:
                raise self.closed()
            return WAITING
        # Its share of what is queued is near enough for a bound.
        self._queued -= self._queued / len(queue)
        message = queue.popleft()
        if isinstance(message, SessionReset):
            raise message
        counts.taken += 1
        return message

    async def wait_for_message(self) -> Json:
        """The next message, once there is one."""
        while True:
            self._receiver = asyncio.get_running_loop().create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
            message = self.take()
            if message is not WAITING:
                return message

    def _wake_receiver(self) -> None:
        if self._receiver is not None:
            _resolve(self._receiver)

    # Steering

    @property
    def transports(self) -> tuple[Carrier, ...]:
        """Those that may be used, in the order in which they are tried."""
        return self._transports

    def choose(self, names: Iterable[str]) -> None:
        """Use only these, in that order."""
        try:
            chosen = tuple(Carrier(name) for name in names)
        except ValueError:
            chosen = ()
        if not chosen:
            raise ValueError(f"transports: some of {', '.join(Carrier)}")
        self._transports = chosen
        self._tried = []
        # What was learnt under another choice is no verdict against what that forbade.
        self._learnt = None
        if self._connection is not None and self._connection.carrier not in chosen:
            self._leave("forbidden", 0.0)
        self.wake()

    @property
    def carrier(self) -> Carrier | None:
        """The transport in use; None while detached."""
        if self.phase is not Phase.OPEN or self._connection is None:
            return None
        return self._connection.carrier

    def reconnect(self) -> None:
        """Drop the connection, and resume over a new one at once."""
        self._leave("reconnect", 0.0)

    def suspend(self) -> None:
        """Go away: drop the connection, and do not come back before `resume`."""
        if self.phase is not Phase.CLOSED:
            self._leave("suspend", inf)
            self._enter(PhaseStep.SUSPEND)

    def resume(self) -> None:
        """Come back."""
        if self.phase is Phase.SUSPENDED:
            self._enter(PhaseStep.RESUME)
            self._leave("resume", 0.0)

    def close(self, code: int, reason: str) -> None:
        """Close once everything that was sent is handled."""
        if self._closing or self.phase is Phase.CLOSED:
            return
        self._closing = True
        self._contact = self.now()
        self.session.close(code, reason)
        self.resume()
        if not self.session.begun:  # there is nobody to tell
            self._act([Closed(code, reason, "app", clean=True, sends=())])
        self._changed()
        self.wake()

    async def opened(self, within: float) -> None:
        """Wait for the first session.

        Raises:
            ChannelClosed: the server refused for good.
            Unreachable: there was none in time.
        """
        with anyio.move_on_after(within):
            await self.until(lambda: self.phase is not Phase.CONNECTING)
        if self.ending is not None:
            raise self.closed()
        if self.phase is Phase.CONNECTING:
            raise Unreachable({one.transport: one.reason or one.outcome for one in self.attempts})


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
