"""Why there is no connection, as exceptions of ``websockets``."""

from __future__ import annotations

import re
from http import HTTPStatus

from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus
from websockets.http11 import Response

from transport import codes
from transport.client.connector import Connector
from transport.errors import ChannelError
from transport.protocol.client.events import Closed
from transport.protocol.frames import Json

NO_APPLICATION = (
    "no WebSocket application is at this URL: the server has a hub here, but its handler is not "
    "as_websocket(...); to open a channel, use transport.connect"
)


class Refused(InvalidStatus):
    """The hub, not the application, has refused the connection.

    Attributes:
        response: has the HTTP status that stands for the refusal; its body is ``reason``.
        reason: why, and what to do.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(_response(status, reason))
        self.reason = reason

    def __str__(self) -> str:
        return f"{super().__str__()}: {self.reason}"


def _response(status: int, body: str = "") -> Response:
    known = status in HTTPStatus.__members__.values()
    return Response(status, HTTPStatus(status).phrase if known else "", Headers(), body.encode())


def accepted_subprotocol(answer: Json) -> str | None:
    """Return the subprotocol with which the application accepts, by downlink message 1 (TGT-1).

    Raises:
        InvalidStatus: it denies the connection.
        InvalidMessage: the message is not an answer.
    """
    match answer:
        case {"accept": str(subprotocol)}:
            return subprotocol
        case {"accept": None}:
            return None
        case {"deny": int(status)}:
            raise InvalidStatus(_response(status))
        case _:
            raise InvalidMessage("the server did not say whether its application accepts")


def refusal(ending: Closed) -> InvalidHandshake:
    """Return the exception for a session that ended before the application's answer."""
    for code in codes.CODES.values():
        if code.close_code == ending.code and code.status is not None:
            return Refused(code.status, ending.reason or code.name)
    return Refused(503, ending.reason or f"closed with {ending.code}")


def unreachable(connector: Connector) -> InvalidHandshake | None:
    """Return the exception if each transport was refused by a status, or for good; else None."""
    reasons = [attempt.reason for attempt in connector.attempts]
    if all(reason == codes.NOT_FOUND.name for reason in reasons):
        return Refused(404, NO_APPLICATION)
    statuses = [_status(reason) for reason in reasons]
    if not all(statuses):
        return None
    listed = "; ".join(f"{name}: {reason}" for name, reason in connector.reasons.items())
    return Refused(statuses[0], listed)


def _status(reason: str) -> int:
    """Return the HTTP status of an attempt that failed for ``reason``.

    It is 0 without one, and for a hub that asks the client to try again.
    """
    if found := re.fullmatch(r"HTTP (\d{3})", reason):
        return int(found[1])
    code = codes.CODES.get(reason)
    if code is None or code.status is None or code.retry is not codes.Retry.NEVER:
        return 0
    return code.status


def reset_before_answer(lost: ChannelError) -> OSError:
    """Return the exception for a session that was lost before the application's answer."""
    return ConnectionResetError(f"the server lost the session before it was accepted ({lost})")
