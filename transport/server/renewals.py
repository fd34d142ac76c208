"""`Renewals`: the fresh credentials that come on one connection (REN-1)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from msgspec import UNSET

from transport import codes
from transport.errors import ProtocolError


class Renewer(Protocol):
    """A session's credentials, as its links see them."""

    def count_renewal(self) -> None:
        """Count a renewal.

        Raises:
            ProtocolError: ``too_many``.
        """
        ...

    async def renew(self, credentials: Any) -> None:
        """Check fresh credentials, and accept them.

        Raises:
            ProtocolError: they are refused, or cannot be checked now.
        """
        ...


class RelayedRenewer:
    """Implements `Renewer` for a connection of another process, which alone has its request."""

    def count_renewal(self) -> None:
        """See `Renewer.count_renewal`."""
        raise relayed_renewal_error()

    async def renew(self, credentials: Any) -> None:
        """See `Renewer.renew`."""
        raise relayed_renewal_error()


def relayed_renewal_error() -> ProtocolError:
    """Return the error of fresh credentials that another process has passed on (REN-1)."""
    return ProtocolError(
        codes.BAD_FRAME, "credentials are checked by the process that has the connection"
    )


class Renewals:
    """Checks fresh credentials in a task, one after the other: other frames are received meanwhile.

    Args:
        renewer: of the session.
    """

    __slots__ = ("_newest", "_renewer", "_task")

    def __init__(self, renewer: Renewer) -> None:
        self._renewer = renewer
        self._newest: Any = UNSET
        """The newest that wait to be checked: older ones no longer matter."""
        self._task: asyncio.Task[None] | None = None

    def receive(self, credentials: Any, fail: Callable[[ProtocolError], None]) -> None:
        """Take fresh credentials.

        Args:
            credentials: what the client sent.
            fail: called with the error if they are refused, or cannot be checked.

        Raises:
            ProtocolError: ``too_many``.
        """
        self._renewer.count_renewal()
        self._newest = credentials
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._check(fail))

    def cancel(self) -> None:
        """Check nothing more: the connection is gone."""
        if self._task is not None:
            self._task.cancel()

    async def _check(self, fail: Callable[[ProtocolError], None]) -> None:
        try:
            while (credentials := self._newest) is not UNSET:
                self._newest = UNSET
                await self._renewer.renew(credentials)
        except ProtocolError as error:
            fail(error)
        finally:
            self._task = None
