"""How a connection has ended, in the terms of ``websockets``."""

from __future__ import annotations

from websockets.exceptions import ConnectionClosed, ConnectionClosedError, ConnectionClosedOK
from websockets.exceptions import ProtocolError as InvalidClose
from websockets.frames import Close

from transport import codes
from transport.codes import MAX_CLOSE_REASON
from transport.errors import ChannelClosed, ChannelError
from transport.protocol.client.events import Closed

_ABNORMAL = 1006
_OK_CODES = (1000, 1001)
_POLICY_VIOLATION = 1008

_REPLACED_CODES = (1002, 1003, 1007, 1009, 1010)
"""Codes of a WebSocket that a session cannot be closed with (CLS-9)."""


def sendable_close(code: int, reason: str) -> Close:
    """Return the close that is sent for these arguments of ``close()``.

    A code that a session lacks becomes 1008, with the code in the reason.

    Raises:
        ProtocolError: of ``websockets``: the code or the reason is not one of a close frame.
    """
    code = int(code)
    if not (codes.is_close_code(code) or code in _REPLACED_CODES):
        raise InvalidClose("invalid status code")
    if not codes.is_close_reason(reason):
        raise InvalidClose("control frame too long")
    if code in _REPLACED_CODES:
        text = f"{code}: {reason}" if reason else f"{code}"
        reason = text.encode()[:MAX_CLOSE_REASON].decode(errors="ignore")
        code = _POLICY_VIOLATION
    return Close(code, reason)


def received_close(ending: Closed | None, lost: ChannelError | None) -> Close | None:
    """Return the close that the server sent; None if the connection ended without one.

    Args:
        ending: how the channel ended.
        lost: why the session was lost, if it was.
    """
    if lost is not None or ending is None or ending.is_abandoned or _has_loss(ending):
        return None
    return Close(ending.code, ending.reason)


def _has_loss(ending: Closed) -> bool:
    """Return whether messages before the application's close were lost (CLS-5)."""
    return ending.by == "app" and not ending.clean


def closed_error(
    ending: Closed | None, lost: ChannelError | None, sent: Close | None
) -> ConnectionClosed:
    """Return the exception for a connection that has ended.

    Args:
        ending, lost: as for `received_close`.
        sent: the close that this side has sent; None if it has sent none.
    """
    received = received_close(ending, lost)
    order: bool | None = None
    if received is not None and sent is not None:
        order = False
    elif received is not None and ending is not None and ending.clean:
        sent, order = received, True  # the client has answered it
    is_ok = all(close is not None and close.code in _OK_CODES for close in (received, sent))
    error = (ConnectionClosedOK if is_ok else ConnectionClosedError)(received, sent, order)
    if received is None:
        error.__cause__ = lost
        if lost is None and ending is not None:
            error.__cause__ = ChannelClosed(ending.code, ending.reason)
    return error


def close_code(received: Close | None) -> int:
    """Return the code of a connection that has ended with ``received``."""
    return _ABNORMAL if received is None else int(received.code)
