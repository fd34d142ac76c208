"""`SessionCredentials`: when a session's credentials expire, and how they are renewed (REN-1).

They belong to the session and not to a connection, because a POST may come while no connection is
attached. When they expire, every connection is asked for new ones. If these are refused, or do not
arrive within ``limits.renewal`` seconds, the client is refused on every path until an ``open``
presents valid ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from transport import codes
from transport.errors import ProtocolError
from transport.server.addresses import address_of
from transport.server.authentication import Authenticator, Identity


class Due(Enum):
    """What has become due."""

    ASK = "ask"
    """Ask the client for new credentials."""
    REFUSE = "refuse"
    """End the client's connections: it did not renew its credentials."""


class SessionCredentials:
    """The credentials of one session.

    Args:
        subject: whose session it is.
        session_id: the public name of the session.
        authenticator: checks new ones.
        renewal: seconds that a client has to renew them.
        now: returns the seconds of the session's clock.

    Attributes:
        accepted: how many credentials were accepted.
        subject: see above.
        scope: of the most recent connection; a renewal authenticates with it.
    """

    __slots__ = (
        "_authenticator",
        "_expires_at",
        "_is_renewing",
        "_now",
        "_renew_by",
        "_renewal",
        "_session_id",
        "accepted",
        "scope",
        "subject",
    )

    def __init__(
        self,
        subject: str,
        session_id: str,
        authenticator: Authenticator,
        renewal: float,
        now: Callable[[], float],
    ) -> None:
        self.subject = subject
        self.scope: Scope = {}
        self._session_id = session_id
        self._authenticator = authenticator
        self._renewal = renewal
        self._now = now
        self.accepted = 0
        self._is_renewing = False
        """Whether a renewal is being checked: one at a time, as each may take long."""
        self._expires_at: float | None = None
        self._renew_by: float | None = None
        """Until when the client may act though its credentials have expired."""

    def accept(self, identity: Identity) -> None:
        """Adopt the expiry time of valid credentials, from a new connection or a renewal."""
        self.accepted += 1
        self._renew_by = None
        self._expires_at = (
            None
            if identity.expires is None
            # From Unix time to the loop's time. Not to the session's clock: that may stand still,
            # and credentials expire all the same.
            else asyncio.get_running_loop().time() + identity.expires - time.time()
        )

    def count_renewal(self) -> None:
        """Count a renewal, which costs as much as an ``open``.

        Raises:
            ProtocolError: ``too_many``.
        """
        self._authenticator.count(address_of(HTTPConnection(self.scope)), self._session_id)

    async def renew(self, credentials: Any) -> Identity:
        """Check fresh credentials that were counted, and return whose they are.

        If they are refused, the client may not act any more; unless others, of an ``open``, were
        accepted meanwhile.

        Raises:
            ProtocolError: ``unauthorized``, ``unavailable``; ``too_many`` if the last ones are
                still being checked.
        """
        self.check()
        if self._is_renewing:
            raise ProtocolError(
                codes.TOO_MANY,
                "the credentials before these are still being checked: wait for that",
                limit="renewals",
                retry_in=1.0,
            )
        self._is_renewing = True
        accepted = self.accepted
        try:
            return await self._authenticate(credentials)
        except ProtocolError as error:
            if error.code is codes.UNAUTHORIZED and self.accepted == accepted:
                self.refuse()
            raise
        finally:
            self._is_renewing = False

    async def _authenticate(self, credentials: Any) -> Identity:
        # Made anew each time: it keeps what it has parsed, such as cookies.
        connection = HTTPConnection(self.scope)
        identity = await self._authenticator.check(connection, credentials)
        if identity.subject != self.subject:
            raise other_user_error()
        return identity

    def refuse(self) -> None:
        """Let the client act no more before an ``open`` presents valid credentials."""
        self._expires_at = None
        self._renew_by = self._now()

    @property
    def are_refused(self) -> bool:
        """Whether the client may not act before an ``open`` presents valid credentials."""
        return self._renew_by is not None and self._now() >= self._renew_by

    def check(self) -> None:
        """Check that the client may act: its credentials are valid, or may still be renewed.

        Raises:
            ProtocolError: ``unauthorized``.
        """
        if self.are_refused:
            raise refused_error()

    def due(self, now: float) -> Due | None:
        """Return what has become due at ``now``, if anything."""
        if self._expires_at is not None and asyncio.get_running_loop().time() >= self._expires_at:
            self._expires_at = None
            self._renew_by = now + self._renewal
            return Due.ASK
        if self._renew_by is not None and now >= self._renew_by:
            return Due.REFUSE
        return None


def other_user_error() -> ProtocolError:
    """Return the error of a renewal with the credentials of another user."""
    return ProtocolError(codes.UNAUTHORIZED, "these credentials belong to another user")


def refused_error() -> ProtocolError:
    """Return the error of a client whose credentials have expired and were not renewed."""
    return ProtocolError(
        codes.UNAUTHORIZED,
        "the credentials have expired and were not renewed: open again with valid ones",
    )
