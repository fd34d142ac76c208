"""`Authenticator`: asks the application who is at the other end, in bounded time."""

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
from transport.server.adapters.deadlines import Deadlines
from transport.server.admission import Admission
from transport.telemetry.log import ERROR, event


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is at the other end, as ``authenticate`` found.

    Attributes:
        subject: names the user for ever; only the same subject may resume a session (IDN-2). It is
            ``""`` for guests, of whom nothing is known: a guest's session needs only its token.
        user: anything; it becomes ``channel.user``.
        expires: Unix time at which the credentials end, or None. The client is then asked for new
            ones, and has ``limits.renewal`` seconds to give them (REN-1).

    Raises:
        TypeError, ValueError: a subject or time that is none.
    """

    subject: str
    user: Any = None
    expires: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.subject, str):
            raise TypeError(
                f"Identity.subject is a str that names the user, not a "
                f"{type(self.subject).__name__}: write Identity(str(...))"
            )
        if self.expires is None:
            return
        if isinstance(self.expires, bool) or not isinstance(self.expires, (int, float)):
            raise TypeError(
                f"Identity.expires is Unix time in seconds, not a {type(self.expires).__name__}: "
                "a datetime has it as .timestamp()"
            )
        if not isfinite(self.expires):
            raise ValueError("Identity.expires is Unix time in seconds, or None for never")


Authenticate = Callable[[HTTPConnection, Any], Awaitable[Identity | None]]
"""``async (connection, credentials) -> Identity | None``; None refuses (IDN-2).

Called at each attach, and at each renewal: then with the request that opened the connection, whose
cookies are as old as that, and the new ``credentials``. Must answer within ``limits.opening``.
"""


class Authenticator:
    """Calls the application's ``authenticate``.

    Args:
        authenticate: None lets everybody in, as a guest.
        limits: for how long it may take.
        deadlines: that bound it.
        admission: counts what each address asks for.
        now: seconds of the process's clock.
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
        """For each call under way, who was dismissed since it began."""

    async def identify(self, connection: HTTPConnection, credentials: Any) -> Identity:
        """Who shows these credentials.

        Raises:
            ProtocolError: ``unauthorized``, ``unavailable`` or ``too_many``.
        """
        self._admission.count_opening(address_of(connection), self._now())
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
            raise ProtocolError(codes.UNAUTHORIZED, "the user was dismissed")
        return identity

    async def _ask(
        self, authenticate: Authenticate, connection: HTTPConnection, credentials: Any
    ) -> Identity | None:
        """What the application says; where it fails the client comes again, and the log says why.

        Raises:
            ProtocolError: ``unavailable``.
        """
        time_box = self._deadlines.within(self._limits.opening)
        try:
            with time_box:
                answer: Any = authenticate(connection, credentials)
                if not inspect.isawaitable(answer):
                    raise TypeError("authenticate is not async: write `async def`")
                identity = await answer
                if identity is not None and not isinstance(identity, Identity):
                    kind = type(identity).__name__
                    raise TypeError(f"authenticate returned a {kind}: return an Identity, or None")
                return identity
        except Exception:  # noqa: BLE001 - all of it is in the log
            slow = f"it took longer than Limits(opening={self._limits.opening})"
            event(
                ERROR,
                "authenticate_failed",
                slow if time_box.expired else "mend it; the client is asked to come again",
                exc_info=True,
            )
            raise ProtocolError(
                codes.UNAVAILABLE, "the server could not check the credentials", retry_in=5.0
            ) from None

    def dismiss(self, subject: str) -> None:
        """Refuse this user, also where it is just being asked who they are (IDN-2)."""
        for dismissed in self._asking.values():
            dismissed.add(subject)


def address_of(connection: HTTPConnection) -> str:
    """The client's network address, as the server knows it."""
    client: tuple[str, int] | None = connection.scope.get("client")
    return client[0] if client is not None else ""
