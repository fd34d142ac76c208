"""The table of codes: one row for each way in which a request, connection or session can end.

PROTOCOL.md section 13 has the same table; `tests/contracts/test_codes.py` compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Retry(StrEnum):
    """What a client may do after a code."""

    SAME_SESSION = "same"
    """Resume the same session."""
    NEW_SESSION = "new"
    """Open a new session: this one is over."""
    NEVER = "no"
    """Tell the application: the same attempt would fail again."""


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the table.

    Attributes:
        name: the name in an ``error`` frame.
        websocket: the WebSocket close code; None if the code cannot occur there.
        status: the HTTP status; None if the code cannot occur there.
        retry: what the client may do.
    """

    name: str
    websocket: int | None
    status: int | None
    retry: Retry

    @property
    def close_code(self) -> int:
        """The WebSocket close code; 4400 (a protocol violation) for a row without one."""
        return 4400 if self.websocket is None else self.websocket


NORMAL = Code("normal", 1000, None, Retry.NEVER)
INTERNAL = Code("internal", 1011, 500, Retry.NEW_SESSION)
RESTART = Code("restart", 1012, 503, Retry.SAME_SESSION)
UNAVAILABLE = Code("unavailable", 1013, 503, Retry.SAME_SESSION)
BAD_JSON = Code("bad_json", 4400, 400, Retry.NEVER)
BAD_FRAME = Code("bad_frame", 4400, 400, Retry.NEVER)
BAD_NUMBER = Code("bad_number", 4400, 400, Retry.NEVER)
UNAUTHORIZED = Code("unauthorized", 4401, 401, Retry.NEVER)
FORBIDDEN_ORIGIN = Code("forbidden_origin", 4403, 403, Retry.NEVER)
UNKNOWN_SESSION = Code("unknown_session", 4404, 404, Retry.SAME_SESSION)
NOT_FOUND = Code("not_found", 4404, 404, Retry.NEVER)
UNSUPPORTED_VERSION = Code("unsupported_version", 4406, 400, Retry.NEVER)
METHOD_NOT_ALLOWED = Code("method_not_allowed", None, 405, Retry.NEVER)
TIMEOUT = Code("timeout", 4408, 408, Retry.SAME_SESSION)
SUPERSEDED = Code("superseded", 4409, 409, Retry.NEVER)
GAP = Code("gap", 4410, 409, Retry.SAME_SESSION)
NOT_ATTACHED = Code("not_attached", 4411, 409, Retry.SAME_SESSION)
WINDOW_EXCEEDED = Code("window_exceeded", 4412, 413, Retry.NEVER)
TOO_LARGE = Code("too_large", 4413, 413, Retry.NEVER)
NOT_READ = Code("not_read", None, None, Retry.NEVER)
UNSUPPORTED_MEDIA_TYPE = Code("unsupported_media_type", None, 415, Retry.NEVER)
RESET = Code("reset", 4416, None, Retry.NEW_SESSION)
WRONG_PROCESS = Code("wrong_process", 4421, 421, Retry.SAME_SESSION)
UPGRADE_REQUIRED = Code("upgrade_required", None, 426, Retry.NEVER)
TOO_MANY = Code("too_many", 4429, 429, Retry.SAME_SESSION)
HEADERS_TOO_LARGE = Code("headers_too_large", 4431, 431, Retry.NEVER)

CODES: dict[str, Code] = {
    code.name: code
    for code in (
        NORMAL,
        INTERNAL,
        RESTART,
        UNAVAILABLE,
        BAD_JSON,
        BAD_FRAME,
        BAD_NUMBER,
        UNAUTHORIZED,
        FORBIDDEN_ORIGIN,
        UNKNOWN_SESSION,
        NOT_FOUND,
        UNSUPPORTED_VERSION,
        METHOD_NOT_ALLOWED,
        TIMEOUT,
        SUPERSEDED,
        GAP,
        NOT_ATTACHED,
        WINDOW_EXCEEDED,
        TOO_LARGE,
        NOT_READ,
        UNSUPPORTED_MEDIA_TYPE,
        RESET,
        WRONG_PROCESS,
        UPGRADE_REQUIRED,
        TOO_MANY,
        HEADERS_TOO_LARGE,
    )
}


MAX_CLOSE_REASON = 123
"""Bytes of a close reason in UTF-8: what the close frame of a WebSocket holds (RFC 6455, 5.5)."""

CLOSE_CODES = "1000, 1001, 1008, 1011-1014 or 3000-4999"
"""The close codes of `is_close_code`, for people."""


def is_close_code(code: int) -> bool:
    """Return whether ``code`` may close a session (CLS-9).

    RFC 6455 section 7.4 reserves the others of 1000-2999 for what happens on a WebSocket.
    """
    return code in (1000, 1001, 1008) or 1011 <= code <= 1014 or 3000 <= code <= 4999


def is_close_reason(reason: str) -> bool:
    """Return whether ``reason`` is short enough for a close."""
    return len(reason.encode()) <= MAX_CLOSE_REASON


def check_close(code: int, reason: str) -> None:
    """Check the arguments of an application's ``close()``.

    Raises:
        ValueError: ``code`` may not close a session, or ``reason`` is too long.
    """
    if not is_close_code(code):
        raise ValueError(f"a close code is {CLOSE_CODES}, not {code}")
    if not is_close_reason(reason):
        raise ValueError(f"a close reason has at most {MAX_CLOSE_REASON} bytes")
