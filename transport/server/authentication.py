"""`Identity` and `Authenticator`: calls the application's ``authenticate``."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import isfinite
from typing import Any

from starlette.requests import HTTPConnection

from transport import codes
from transport.errors import ProtocolError
from transport.limits import Limits
from transport.server.admission import Admission
from transport.server.deadlines import Deadlines
from transport.telemetry.log import ERROR, log_event


@dataclass(frozen=True, slots=True)
class Identity:
    """Who connects, as ``authenticate`` has determined.

    Attributes:
        subject: the permanent name of the user; only the same subject may resume a session
            (IDN-2). ``""`` for a guest, whose session needs only its token.
        user: any object; it becomes ``channel.user``, and the ``user`` in the scope of an
            application of `as_websocket`.
        expires: the Unix time at which the credentials expire, or None. The client is then asked
            for new ones, and has ``limits.renewal`` seconds to give them (REN-1).

    Raises:
        TypeError, ValueError: the subject is not a str, or ``expires`` is not a finite time.
    """

    subject: str
    user: Any = None
    expires: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.subject, str):
            raise TypeError(
                f"Identity.subject must be a str that names the user, not a "
                f"{type(self.subject).__name__}: write Identity(str(...))"
            )
        if self.expires is None:
            return
        if isinstance(self.expires, bool) or not isinstance(self.expires, (int, float)):
            raise TypeError(
                "Identity.expires must be Unix time in seconds, not a "
                f"{type(self.expires).__name__}: for a datetime, use .timestamp()"
            )
        if not isfinite(self.expires):
            raise ValueError("Identity.expires must be Unix time in seconds, or None for never")


Authenticate = Callable[[HTTPConnection, Any], Awaitable[Identity | None]]
"""``async (connection, credentials) -> Identity | None``; None refuses (IDN-2).

Called at each attach and at each renewal. At a renewal it is given the new ``credentials`` and the
request that opened the connection, whose cookies are as old as the connection. It must answer
within ``limits.opening`` seconds.
"""


class Authenticator:
    """Calls the application's ``authenticate``.

    Args:
        authenticate: the application's function; None admits every client as a guest.
        limits: how long it may take.
        deadlines: enforce that.
        admission: limits how often an address may ask.
        now: returns the seconds of the process's clock.
    """

    def __init__(
        self,
        authenticate: Authenticate | None,
        limits: Limits,
        deadlines: Deadlines,
        admission: Admission,
        now: Callable[[], float],
    ) -> None:
        self._admission = admission
        self._now = now
        self._authenticate = authenticate
        self._limits = limits
        self._deadlines = deadlines
        self._asking: dict[object, set[str]] = {}
        """For each call in progress, the subjects that were revoked since it began."""

    def count(self, address: str, session_id: str = "") -> None:
        """Count a call of `check`.

        Args:
            address: the client's, see `address_of`.
            session_id: the session that the client has proven to hold, by its token or connection.

        Raises:
            ProtocolError: ``too_many``.
        """
        self._admission.count_opening(address, self._now(), session_id)

    async def check(self, connection: HTTPConnection, credentials: Any) -> Identity:
        """Authenticate a client that was counted, and return its identity.

        Raises:
            ProtocolError: ``unauthorized`` or ``unavailable``.
        """
        if self._authenticate is None:
            return Identity("")
        ticket = object()
        dismissed = self._asking[ticket] = set()
        try:
            identity = await self._ask(self._authenticate, connection, credentials)
        finally:
            del self._asking[ticket]
        if identity is None:
            raise ProtocolError(codes.UNAUTHORIZED, "the credentials were refused")
        if identity.expires is not None and identity.expires <= time.time():
            raise ProtocolError(codes.UNAUTHORIZED, "the credentials have expired")
        if identity.subject in dismissed:
            raise dismissed_error()
        return identity

    async def _ask(
        self, authenticate: Authenticate, connection: HTTPConnection, credentials: Any
    ) -> Identity | None:
        """Call ``authenticate``. If it fails, log the failure and ask the client to retry.

        Raises:
            ProtocolError: ``unavailable``.
        """
        time_box = self._deadlines.within(self._limits.opening)
        try:
            with time_box:
                answer: Any = authenticate(connection, credentials)
                if not inspect.isawaitable(answer):
                    raise TypeError("authenticate must be async: write `async def`")
                identity = await answer
                if identity is not None and not isinstance(identity, Identity):
                    kind = type(identity).__name__
                    raise TypeError(f"authenticate must return an Identity or None, not a {kind}")
                return identity
        except Exception:  # noqa: BLE001 - logged with its traceback
            slow = (
                f"it took longer than Limits(opening={self._limits.opening}); the client will retry"
            )
            log_event(
                ERROR,
                "authenticate_failed",
                slow if time_box.expired else "the client will retry; fix the exception below",
                exc_info=True,
            )
            raise ProtocolError(
                codes.UNAVAILABLE,
                "the server could not check the credentials: its log says why",
                retry_in=5.0,
            ) from None

    def dismiss(self, subject: str) -> None:
        """Refuse this user in the calls that are in progress, too (IDN-2)."""
        for dismissed in self._asking.values():
            dismissed.add(subject)


def dismissed_error() -> ProtocolError:
    """Return the error of a client whose user was dismissed while it was let in."""
    return ProtocolError(codes.UNAUTHORIZED, "the user was dismissed")
