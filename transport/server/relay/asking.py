"""`Asking`: asks the homes of sessions."""

from __future__ import annotations

import asyncio
from typing import Any

from msgspec import Raw

from transport import codes
from transport.bus.calls import ANSWER_WITHIN, Calls
from transport.bus.interface import Bus, NoAnswer, NotReached, Pipe
from transport.errors import ProtocolError
from transport.protocol.frames import EncodedFrame
from transport.server.relay.homes import Homes
from transport.server.relay.messages import Held, Refused, Renewed, decode_answered, decode_id
from transport.stores.tokens import Credential

RETRY_IN = 1.0
"""Seconds after which a client asks again for a session whose home does not answer."""


class Asking:
    """What an edge asks the home of a session.

    Args:
        bus: to the other processes.
        calls: over it.
        homes: finds that of a session.
    """

    def __init__(self, bus: Bus, calls: Calls, homes: Homes) -> None:
        self._bus = bus
        self._calls = calls
        self._homes = homes

    async def held_session(self, credential: Credential) -> str:
        """See `OpeningElsewhere.held_session`."""
        home = await self._homes.find(credential.id)
        if home is None:
            return ""
        try:
            pipe = self._bus.pipe_to(home)
            return decode_id(await self.ask(pipe, "held", Held(*credential)))
        except NotReached:
            await self.check_gone(credential.id)
            return ""

    async def renewed(self, home: str, outcome: Renewed) -> list[Any]:
        """Tell a home how a renewal ended, and return its answer.

        Raises:
            ProtocolError: it refuses the renewal; ``unavailable`` if it does not answer.
        """
        try:
            return await self.answer(home, "renew", outcome)
        except NotReached:
            raise unavailable() from None

    async def answer(
        self,
        home: str,
        kind: str,
        question: Any,
        within: float = ANSWER_WITHIN,
        *,
        stalled: float = 0.0,
    ) -> list[EncodedFrame]:
        """Return the frames that a home answers.

        Args:
            home: the process.
            kind, question, within, stalled: see `Calls.call`.

        Raises:
            NotReached: it is gone, or out of reach.
            ProtocolError: as it says; ``unavailable`` if it does not answer.
        """
        pipe = self._bus.pipe_to(home)
        answer = decode_answered(await self.ask(pipe, kind, question, within, stalled=stalled))
        if isinstance(answer, Refused):
            raise answer.failure.error()
        return answer.frames

    async def ask(
        self,
        pipe: Pipe,
        kind: str,
        question: Any,
        within: float = ANSWER_WITHIN,
        *,
        stalled: float = 0.0,
    ) -> Raw:
        """Return the answer of the home at the other end of a pipe.

        Raises:
            NotReached: it is gone, or out of reach.
            ProtocolError: ``unavailable``: it does not answer.
        """
        try:
            return await self._calls.call(pipe, kind, question, within, stalled=stalled)
        except NoAnswer:
            raise unavailable() from None

    @property
    def is_stalled(self) -> bool:
        """Whether the pipes carry nothing, or have only begun to again."""
        return asyncio.get_running_loop().time() - self._bus.stalled_at < ANSWER_WITHIN

    async def look_for(self, home: str) -> bool:
        """Return whether a home that was not reached is there after all; see `Bus.look_for`."""
        return await self._bus.look_for(home)

    async def check_gone(self, session_id: str) -> None:
        """Return if the home of a session, which was not reached, is gone: so is the session.

        Raises:
            ProtocolError: ``unavailable``: it lives.
        """
        if not await self._homes.is_gone(session_id):
            raise unavailable()


def unavailable() -> ProtocolError:
    """Return the error of a session whose home does not answer."""
    return ProtocolError(
        codes.UNAVAILABLE,
        "the process that has this session does not answer",
        retry_in=RETRY_IN,
    )


def not_attached() -> ProtocolError:
    """Return the error of a request whose session has no home now."""
    return ProtocolError(
        codes.NOT_ATTACHED, "the process that had this session is gone: open it again"
    )
