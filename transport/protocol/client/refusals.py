"""Whether the refusal of a link ends the channel, and when to try again. Pure."""

from __future__ import annotations

from math import inf
from typing import Protocol

from msgspec import UnsetType

from transport import codes
from transport.codes import CODES, Code, Retry
from transport.errors import ForeignAck
from transport.protocol.client.events import Closing
from transport.protocol.client.handshake import Handshake
from transport.protocol.client.link import Link
from transport.protocol.frames import Error
from transport.protocol.states import AttachState

RESTART_RETRY_IN = 2.0
"""The ``retry_in`` assumed, in seconds, when a server closes the WebSocket with 1012 and sent no
``drain`` (DRN-1)."""
MAX_RETRY_IN = 300.0
"""The most seconds of a ``retry_in`` that count (DRN-1): a wrong one must not cost a day."""

MAX_REFUSED_CONFIRMATIONS = 3
"""How many times another client may confirm first before this one stops (ATT-5)."""

_OF_ONE_TRANSPORT = frozenset(
    {
        codes.NORMAL,
        codes.NOT_FOUND,
        codes.METHOD_NOT_ALLOWED,
        codes.UNSUPPORTED_MEDIA_TYPE,
        codes.UPGRADE_REQUIRED,
    }
)
"""Codes that a proxy may cause: they concern one transport only."""

OF_ONE_MESSAGE = frozenset({codes.TOO_LARGE.name, codes.NOT_READ.name})
"""Codes that, with a ``number``, refuse that message and end nothing (DAT-4, DAT-7)."""

FATAL: dict[str, Code] = {
    name: code
    for name, code in CODES.items()
    if code.retry is Retry.NEVER
    and code not in _OF_ONE_TRANSPORT
    and code is not codes.NOT_READ  # it never ends anything
    and code is not codes.SUPERSEDED  # it depends on which client has the session (ATT-5)
}
"""Codes that end the channel, as the same attempt would fail again (section 13)."""


class Standing(Protocol):
    """What a refusal is judged by: the session."""

    @property
    def handshake(self) -> Handshake: ...
    @property
    def attaches(self) -> int: ...
    @property
    def confirmed(self) -> int: ...
    @property
    def is_carried(self) -> bool: ...
    def leads(self, link: Link) -> bool: ...


class Refusals:
    """The refusals of one client instance, as far as they decide what the next one means.

    Args:
        renewable: whether the application may have fresh credentials if these are refused.
    """

    __slots__ = ("_renewable_up_to", "_superseded")

    def __init__(self, *, renewable: bool) -> None:
        self._renewable_up_to = inf if renewable else 0
        """Credentials refused on an attach up to this one may have expired: show fresh ones once
        (REN-1)."""
        self._superseded = 0
        """How many times another client confirmed before we first did (ATT-5)."""

    def opened(self) -> None:
        """Record that an attach was opened: its credentials were valid."""
        self._renewable_up_to = inf

    def start_over(self) -> None:
        """Begin a new session, which no client has confirmed."""
        self._superseded = 0

    def closing(self, session: Standing, link: Link, error: Error) -> Closing | None:
        """Return how ``error`` ends the channel; None if only ``link`` is refused.

        Raises:
            ForeignAck: a copy of this client has continued the session (ATT-5).
        """
        if error.code == codes.SUPERSEDED.name:
            return self._closing_superseded(session, error)
        if session.is_carried and not session.leads(link):
            return None  # another link goes on, whatever this one was refused for (ATT-8)
        if error.code == codes.UNAUTHORIZED.name and self._may_have_expired(link):
            # Credentials that are refused once more are wrong.
            self._renewable_up_to = min(self._renewable_up_to, session.attaches)
            return None
        code = FATAL.get(error.code)
        if code is None:
            return None
        return Closing(code.close_code, f"{error.code}: {error.message}", "protocol")

    def _may_have_expired(self, link: Link) -> bool:
        """Return whether the credentials shown on ``link`` were valid, or were not asked for
        since (REN-1)."""
        opening = link.state is AttachState.OPENING
        return not opening or link.attach <= self._renewable_up_to

    def _closing_superseded(self, session: Standing, error: Error) -> Closing | None:
        attach, confirmed = number_of(error.attach), session.confirmed
        if not isinstance(error.client, str) or error.client == session.handshake.client:
            if attach > confirmed:
                raise ForeignAck
            return None
        taken = 0 < confirmed < attach  # else it refused our confirmation (ATT-5, ATT-6)
        self._superseded += not taken
        if not taken and self._superseded <= MAX_REFUSED_CONFIRMATIONS:
            return None
        return Closing(codes.SUPERSEDED.close_code, "superseded: taken by another page", "protocol")


def number_of(field: int | UnsetType | None) -> int:
    """Return an optional number of a frame, or 0."""
    return field if isinstance(field, int) else 0


def retry_in(error: Error) -> float:
    """Return the seconds after which the server asks the client to try again."""
    return error.retry_in if isinstance(error.retry_in, (int, float)) else 0.0
