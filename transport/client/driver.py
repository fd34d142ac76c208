"""`Driver`: runs one channel: its session, its connector and its timers.

The pure core (`transport.protocol.client.session`) decides what to do; this module does it. One
task runs the channel: in each turn it does what is due, then sleeps until an input arrives or the
next deadline. An input is handled at once, in the task of its connection, and wakes that task; so
everything that the application sends in one turn of the event loop is written together (DAT-1).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import assert_never

import anyio

from transport.client.clock import read_clock
from transport.client.connector import Connector
from transport.client.counters import ChannelCounters
from transport.client.destination import Destination
from transport.client.dialer import Credentials
from transport.client.inbox import Inbox
from transport.client.outcomes import Outcomes
from transport.client.pacing import Pacing
from transport.client.turns import Turns
from transport.client.unreachable import report_unreachable
from transport.client.urls import public_url
from transport.client.window import Window
from transport.errors import ChannelClosed, ChannelError, SessionReset, Unreachable
from transport.limits import Limits
from transport.protocol.client.events import (
    Answer,
    Attached,
    Closed,
    ConnectionLost,
    Event,
    FrameReceived,
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
from transport.protocol.codec import Encoder, Payload
from transport.protocol.frames import TransportKind, Verdict
from transport.protocol.states import PHASE_TRANSITIONS, Phase, PhaseStep, transition
from transport.telemetry.log import ERROR, log_event
from transport.waiting import Waiters

FINAL_WRITE_TIMEOUT = 1.0
"""Seconds in which the last frames of a closed channel must be written."""

UNREACHABLE_CODE = 1001
"""The close code when the server could not be notified."""
FAILURE_CODE = 1011
"""The close code when this side cannot continue."""


class Driver:
    """Runs one channel: `run` returns once it is closed.

    Args:
        destination: the server.
        transports, credentials: see `Connector`.
        limits: in force until the server advertises its own.
        pacing: times and bounds.
        encoder: called for a value that JSON cannot represent; None refuses it.
        on_unreachable: see `connect`.
        target: the subprotocols to offer to a WebSocket application (TGT-1), instead of asking for
            a channel. There is one session then: the channel ends when that is lost.
        on_pong: called with the number up to which the server has answered pings.

    Attributes:
        session: the core.
        inbox: what was received and not yet taken.
        window: the senders that wait for room.
        outcomes: what became of the sends.
        phase: the phase of the channel.
        id: the public id of the session; None before the first.
        counters: see `ChannelCounters`.
        lost: why the session of a ``target`` was lost, though not closed; None otherwise.
        ending: how the channel ended; None before it has.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        transports: Iterable[str],
        credentials: Credentials,
        limits: Limits,
        pacing: Pacing,
        encoder: Encoder | None,
        on_unreachable: Callable[[dict[str, str]], object] | None,
        target: Sequence[str] | None = None,
        on_pong: Callable[[int], object] = lambda number: None,
    ) -> None:
        self._url = public_url(destination.url)
        self._on_unreachable = on_unreachable
        self._on_pong = on_pong
        self._has_target = target is not None
        self._waiters = Waiters()
        self.encoder = encoder
        self.session = ClientSession(
            secrets.token_urlsafe(16),
            Terms.of(limits),
            renewable=callable(credentials),
            target=target,
        )
        self.inbox = Inbox(pacing)
        self.window = Window(self.session)
        self.outcomes = Outcomes()
        self.phase = Phase.CONNECTING
        self.id: str | None = None
        self.counters = ChannelCounters()
        self.lost: ChannelError | None = None
        self.ending: Closed | None = None
        self.connector = Connector(
            self.session,
            destination,
            transports,
            credentials,
            pacing,
            waiters=self._waiters,
            on_input=self._on_input,
            on_unreachable=self._unreachable,
            wake=self.wake,
        )
        self._last_contact = 0.0
        """When the server was last heard from, or the application closed the channel."""
        self._closing = False
        self._turns = Turns()

    # The task

    async def run(self) -> None:
        """Run the channel until it is closed and its last frames are written."""
        self._last_contact = read_clock()
        try:
            while self.phase is not Phase.CLOSED:
                self._turns.begin()
                await self._turns.sleep_until(self._step())
            with anyio.move_on_after(FINAL_WRITE_TIMEOUT):
                await self._waiters.until(lambda: not self.connector.tasks.is_busy)
        except Exception as error:  # noqa: BLE001 - a defect closes the channel and is logged
            log_event(ERROR, "client_failed", "the client failed", exc_info=True, channel=self.id)
            self.abandon(FAILURE_CODE, f"the client failed: {type(error).__name__}: {error}")
        finally:
            self.abandon()  # if cancelled: the waiting tasks are woken
            await self.connector.tasks.stop()

    def abandon(self, code: int = UNREACHABLE_CODE, reason: str = "the channel was left") -> None:
        """End the channel now, without notifying a server that has not been notified yet."""
        if self.ending is None:
            self._leave_connection(reason, inf)
            self._act(self.session.abandon(code, reason))
        self.connector.tasks.cancel_all()

    def wake(self) -> None:
        """Make the task take another turn, because something has changed."""
        self._turns.wake()

    def _step(self) -> float:
        """Do what is due, and return the next deadline."""
        session, connector, now = self.session, self.connector, read_clock()
        expiry = self._last_contact + session.terms.ttl if self.phase is Phase.RECOVERING else inf
        if now >= expiry:
            if self._has_target:
                self._lose_session(SessionReset("expired", None))
            self._enter(PhaseStep.EXPIRE)
            expiry = inf
        give_up = self._gives_up_at(now)
        if now >= give_up:
            self._act(session.abandon(UNREACHABLE_CODE, "the server could not be reached"))
            return inf
        if connector.is_overdue(now):
            connector.connection_lost("no answer in time")
            self._detached()
        self._act(session.tick(now))
        connector.begin(now)
        connector.transmit(now)
        return min(
            give_up,
            expiry,
            session.deadline,
            connector.deadline,
            self.window.check(now, is_attached=self.phase is Phase.OPEN),
        )

    def _gives_up_at(self, now: float) -> float:
        if self.lost is not None:  # with the next session, which the server may have begun
            return self._last_contact + FINAL_WRITE_TIMEOUT if self.phase is Phase.OPEN else now
        return self._last_contact + self.session.terms.closing if self._closing else inf

    def _enter(self, step: PhaseStep) -> None:
        self.phase = transition(PHASE_TRANSITIONS, self.phase, step, "channel")
        self._waiters.changed()

    # Inputs and events

    def _on_input(self, link: Link, report: Input) -> None:
        now, attached = read_clock(), self.phase is Phase.OPEN
        self._act(self.session.handle_input(link, report, now))
        # A refusal, or an intermediary's error page, does not count as contact with the server.
        if attached or self.phase is Phase.OPEN:
            match report:
                case FrameReceived() | Answer(status=200):
                    self._last_contact = now
                case Answer() | ConnectionLost():
                    pass
                case _:
                    assert_never(report)
        self.wake()

    def _act(self, events: Iterable[Event]) -> None:
        for event in events:
            if self.phase is not Phase.CLOSED:
                self._on(event)

    def _on(self, event: Event) -> None:
        match event:
            case Messages():
                self._received(event)
            case Settled():
                self.outcomes.settle([event])
            case Rejected():
                error = event.error(self.session.terms.message)
                self.outcomes.reject(event.first, event.last, error)
                if self._has_target:
                    self._lose_session(error)
                    self.close(UNREACHABLE_CODE, "a message was refused")
            case Attached():
                self._opened(event)
            case WasReset():
                reset = SessionReset(event.reason.value, event.lost, event.dropped)
                self.counters.resets += 1
                self.outcomes.settle(event.sends, reset)
                if self._has_target:
                    self._lose_session(reset)
                else:
                    self.inbox.put_reset(reset)
            case Superseded():
                pass  # it ends as `Closed` says
            case RenewalRequested():
                self.connector.renew_credentials()
            case Ponged():
                self._on_pong(event.number)
            case Closed():
                self._closed(event)
            case LinkDropped():
                connection = self.connector.connection
                if connection is not None and connection.link is event.link:
                    self.connector.connection_lost(
                        event.reason, event.retry_in, drained=event.drained, last=event.outputs
                    )
                    self._detached()
            case _:
                assert_never(event)

    def _opened(self, event: Attached) -> None:
        self.id = event.id
        self.counters.attaches += 1
        self.connector.attached()
        if event.verdict is Verdict.RESUMED:
            self.counters.recovered += event.replayed
        if self.phase is not Phase.OPEN:
            self._enter(PhaseStep.OPENED)
        if self.lost is not None:
            self.close(UNREACHABLE_CODE, "the session before this one was lost")

    def _lose_session(self, cause: ChannelError) -> None:
        """Take nothing more: the channel ends in the next turn, with the session that followed."""
        if self.lost is None:
            self.lost = cause
            self.inbox.end(Closed(UNREACHABLE_CODE, str(cause), "protocol", clean=False, sends=()))
            self._waiters.changed()

    def _received(self, event: Messages) -> None:
        if self.lost is not None:
            return
        self.inbox.put(event)
        if self.inbox.is_flooded:
            self._act(
                self.session.abandon(
                    FAILURE_CODE,
                    "too many unread messages: receive them faster, or raise "
                    "Pacing.queue_messages or queue_bytes",
                )
            )

    def _closed(self, event: Closed) -> None:
        """End the channel: write the last frames, settle all sends."""
        self.connector.finish(f"closed: {event.code} {event.reason}".rstrip())
        self.ending = event
        self.outcomes.settle(event.sends, ChannelClosed(event.code, event.reason))
        self.inbox.end(event)
        self._enter(PhaseStep.CLOSE)
        self.window.wake_all()
        self.wake()

    def _leave_connection(self, reason: str, wait: float) -> None:
        self.connector.leave_connection(reason, wait)
        self._detached()

    def _detached(self) -> None:
        if self.phase is Phase.OPEN and self.connector.connection is None:
            self._enter(PhaseStep.LOST)

    def _unreachable(self, reasons: dict[str, str]) -> None:
        if self._has_target and self.phase is Phase.CONNECTING:
            self._waiters.changed()  # `wait_opened` raises it
        else:
            report_unreachable(self._url, reasons, self._on_unreachable, self.id)

    # The application's side

    def send(self, payload: Payload) -> int:
        """Keep a message, and have it written in this turn of the loop."""
        number = self.session.send(payload)
        self.wake()
        return number

    def set_transports(self, names: Iterable[str]) -> None:
        """Use these transports only, in that order."""
        self.connector.set_transports(names)
        self._detached()
        self.wake()

    @property
    def transport(self) -> TransportKind | None:
        """The transport in use; None while detached."""
        connection = self.connector.connection
        return None if connection is None or self.phase is not Phase.OPEN else connection.transport

    def reconnect(self) -> None:
        """Drop the connection, and resume over a new one at once; no effect while suspended."""
        if self.phase not in (Phase.SUSPENDED, Phase.CLOSED):
            self._leave_connection("reconnect", 0.0)

    def suspend(self) -> None:
        """Drop the connection, and do not connect again before `resume`."""
        if self.phase is not Phase.CLOSED:
            self._leave_connection("suspend", inf)
            self._enter(PhaseStep.SUSPEND)

    def resume(self) -> None:
        """Connect again, after `suspend`."""
        if self.phase is Phase.SUSPENDED:
            self._enter(PhaseStep.RESUME)
            self._leave_connection("resume", 0.0)

    def close(self, code: int, reason: str) -> None:
        """Close the channel once everything that was sent is handled."""
        if self._closing or self.phase is Phase.CLOSED:
            return
        self._closing = True
        self._last_contact = read_clock()
        self.session.close(code, reason)
        self.resume()
        if self.connector.connection is None:
            self.reconnect()  # a backoff may be longer than the time that is left to close
        if not self.session.has_begun:  # the server knows of no session
            self._act([Closed(code, reason, "app", clean=True, sends=())])
        self._waiters.changed()
        self.wake()

    async def wait_closed(self) -> None:
        """Wait until the channel is closed."""
        await self._waiters.until(lambda: self.phase is Phase.CLOSED)

    async def wait_opened(self, within: float | None) -> None:
        """Wait for the first session. It may have ended: what it brought can still be received.

        Raises:
            ChannelClosed: the server has refused the channel.
            Unreachable: there was no session within that many seconds; with a ``target``, as for
                any connection, as soon as every transport has failed.
        """
        with anyio.move_on_after(within):
            await self._waiters.until(
                lambda: (
                    self.phase is not Phase.CONNECTING
                    or (self._has_target and self.connector.is_unreachable)
                )
            )
        if self.ending is not None and self.id is None:
            raise ChannelClosed(self.ending.code, self.ending.reason)
        if self.phase is Phase.CONNECTING:
            raise Unreachable(self.connector.reasons, self._url)
