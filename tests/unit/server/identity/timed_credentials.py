"""An ``authenticate`` for tests, and the ``open`` that resumes a session."""

from __future__ import annotations

import time
from typing import Any

from starlette.requests import HTTPConnection

from tests.support.clients.frame_client import FrameClient
from transport import Identity
from transport.testing import opening


class TimedCredentials:
    """An ``authenticate`` that takes ``[subject, seconds]``, valid for that many seconds.

    Attributes:
        calls: the credentials of each call.
    """

    def __init__(self) -> None:
        self.calls: list[Any] = []

    async def __call__(self, connection: HTTPConnection, credentials: Any) -> Identity | None:
        self.calls.append(credentials)
        if not credentials:
            return None
        subject, seconds = credentials
        return Identity(subject, user=credentials, expires=time.time() + seconds)


def resuming_open(client: FrameClient, credentials: Any, number: int = 2) -> dict[str, Any]:
    """Return the ``open`` that resumes the session of ``client``."""
    return opening(number, session=client.token, credentials=credentials, nonce="n" * 22)
