"""`RetryPlan`: which transport to try next, and when, given the attempts so far. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from transport import codes
from transport.client.backoff import backoff
from transport.client.connection import Connection
from transport.client.fallback import LastWorking, choose
from transport.client.pacing import Pacing
from transport.protocol.frames import TransportKind

MAX_RETRY_IN = 300.0
"""The longest wait, in seconds, that a server or an intermediary can ask for: a mistaken
``Retry-After`` must not keep a client away for a day."""

NOT_OF_TRANSPORT = frozenset(
    code.name
    for code in (
        codes.SUPERSEDED,
        codes.RESET,
        codes.UNAUTHORIZED,
        codes.UNKNOWN_SESSION,
        codes.NOT_ATTACHED,
    )
)
"""Ends of a connection that say nothing against its transport."""


class RetryPlan:
    """What the attempts have shown about the transports, and about the outage if there is one.

    Transports are tried in rounds: one that fails is not tried again before all have failed.

    Args:
        pacing: times and bounds.
        transports: see `set_transports`.

    Attributes:
        transports: the transports that may be used.
        has_become_unreachable: whether the last failure was the one after which, for the first
            time in this outage, no transport is left to try at once.
        is_unreachable: the same of any failure of this outage.
    """

    def __init__(self, pacing: Pacing, transports: Iterable[str]) -> None:
        self._pacing = pacing
        self.has_become_unreachable = False
        self.is_unreachable = False
        self._failures = 0
        """Consecutive retries that had to wait."""
        self._outage_since = inf
        """The start of the outage: the first attempt, or the end of a steady connection; postponed
        by any time for which a connection has worked since."""
        self.set_transports(transports)

    def set_transports(self, names: Iterable[str]) -> None:
        """Use these transports only, in that order."""
        try:
            chosen = tuple(TransportKind(name) for name in names)
        except ValueError:
            chosen = ()
        if not chosen:
            raise ValueError(f"transports must be some of {', '.join(TransportKind)}")
        self.transports: tuple[TransportKind, ...] = chosen
        self._tried: list[TransportKind] = []
        """Transports that failed in this round."""
        # What was learned under another choice says nothing about the transports that it excluded.
        self._last_working: LastWorking | None = None

    def begin(self, now: float) -> TransportKind:
        """Return the transport of the attempt that begins now."""
        self._outage_since = min(self._outage_since, now)
        transport = choose(
            self.transports, self._tried, self._last_working, now, self._pacing.fallback_for
        )
        if transport is None:  # every one that is still allowed has failed: a new round
            self._tried.clear()
            transport = self.transports[0]
        return transport

    def record_working(self, transport: TransportKind, now: float) -> None:
        """Record that a connection over ``transport`` works, which ends the round."""
        # If a better one has just failed again, the fallback is kept for another while.
        if (
            self._last_working is None
            or self._last_working.transport is not transport
            or self._tried
        ):
            self._last_working = LastWorking(transport, now)
        self._tried = []

    def wait_after(
        self,
        connection: Connection,
        reason: str,
        retry_in: float,
        now: float,
        jitter: float,
        *,
        drained: bool,
    ) -> float:
        """Return the seconds to wait after ``connection`` failed or was lost.

        Args:
            connection: the connection, as it was before its end.
            reason: why it ended.
            retry_in: the seconds for which the server asked, or 0. At most `MAX_RETRY_IN` count.
            now: the time.
            jitter: a random number from 0 to 1.
            drained: whether the server asked for the end (DRN-1).
        """
        pacing = self._pacing
        retry_in = min(retry_in, MAX_RETRY_IN)
        steady = self._exclude_uptime_from_outage(connection, now)
        self.has_become_unreachable = False
        delay = backoff(now - self._outage_since, jitter, pacing.retry_base, pacing.retry_max)
        if drained:  # the server asked for it, so the transport has not failed (DRN-1)
            wait = jitter * retry_in
            if not steady:  # it may ask again and again
                wait += delay
                self._failures += 1
            return wait
        pending = connection.outcome == "pending"
        if not steady and reason not in NOT_OF_TRANSPORT:
            self._tried.append(connection.transport)
        everything = all(transport in self._tried for transport in self.transports)
        self.has_become_unreachable = bool(everything or retry_in) and not self.is_unreachable
        self.is_unreachable |= self.has_become_unreachable
        if everything or retry_in:
            self._tried = []
        wait = 0.0
        # The next transport of a round is tried at once. In every other case clients must not all
        # return at the same moment.
        is_unknown = reason == codes.UNKNOWN_SESSION.name
        if not pending or everything or retry_in or is_unknown:
            wait = retry_in + delay
            self._failures += 1
        # An `open` finds out what became of the session; often, it has received our close.
        if is_unknown and self._failures <= 1:
            wait = 0.0
        return wait

    def forget_outage(self, connection: Connection | None, now: float) -> None:
        """Record that the application asked for the end: this is no outage."""
        if connection is not None:
            self._exclude_uptime_from_outage(connection, now)
        self._outage_since = inf
        self.is_unreachable = False

    def _exclude_uptime_from_outage(self, connection: Connection, now: float) -> bool:
        """Exclude the time for which ``connection`` worked from the outage.

        Returns:
            Whether the connection was steady: the outage begins with its end.
        """
        if connection.outcome != "open":
            return False
        steady = now - connection.started_at >= self._pacing.steady
        if steady:
            self.is_unreachable = False
            self._failures = 0
            self._outage_since = now
        else:
            self._outage_since += now - connection.started_at - connection.seconds
        return steady
