"""What an ``error`` frame means for the channel. Pure."""

from __future__ import annotations

from transport import codes
from transport.codes import CODES, Code, Retry
from transport.protocol.client.events import Closing
from transport.protocol.frames import Error

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


def fatal_closing(error: Error) -> Closing | None:
    """Return how ``error`` ends the channel; None if the client may try again."""
    code = FATAL.get(error.code)
    if code is None:
        return None
    return Closing(code.close_code, f"{error.code}: {error.message}", "protocol")


def retry_in(error: Error) -> float:
    """Return the seconds after which the server asks the client to try again."""
    return error.retry_in if isinstance(error.retry_in, (int, float)) else 0.0
