"""`LostRecords`: sessions that the store does not have, and another process may still have.

If the store loses the record of one session, as when somebody deletes its key, only the home of the
session can notice that: when it writes next, which may be after `TOUCH` seconds. So before another
process tells a client that its session is unknown, it asks all processes, and the one that has the
session writes it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import islice
from typing import NamedTuple

from transport.bus.calls import ANSWER_WITHIN
from transport.server.relay.asking import unavailable

MAX_ASKED = 500
"""Sessions in a question: each process looks for them in one turn of its loop."""


class Rewritten(NamedTuple):
    """The answers of all processes.

    Attributes:
        sessions: the ids of those that have been written again.
        is_complete: whether all processes have answered.
    """

    sessions: set[str]
    is_complete: bool


class LostRecords:
    """Looks for the homes of sessions that the store does not have.

    One question is under way at a time, and asks for all sessions that are wanted by then: when
    many clients return whose sessions have expired, each process is asked a few times only.

    Args:
        rewrite: lets the processes that have these sessions write them again.
    """

    def __init__(self, rewrite: Callable[[Sequence[str]], Awaitable[Rewritten]]) -> None:
        self._rewrite = rewrite
        self._wanted: dict[str, asyncio.Future[bool | None]] = {}
        """For each session whether it has a home; None if that is not known."""
        self._asking: asyncio.Task[None] | None = None

    async def is_held(self, session_id: str) -> bool:
        """Return whether a living process has a session; then the store has it again.

        Raises:
            ProtocolError: ``unavailable``: not all of them have answered.
        """
        loop = asyncio.get_running_loop()
        answer = self._wanted.get(session_id)
        if answer is None:
            answer = self._wanted[session_id] = loop.create_future()
        if self._asking is None or self._asking.done():
            self._asking = loop.create_task(self._ask())
        await asyncio.wait([answer], timeout=2 * ANSWER_WITHIN)
        is_held = answer.result() if answer.done() else None
        if is_held is None:
            raise unavailable()
        return is_held

    def stop(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self) -> None:
        while self._wanted:
            asked = dict(islice(self._wanted.items(), MAX_ASKED))
            for session_id in asked:
                del self._wanted[session_id]
            rewritten = Rewritten(set(), is_complete=False)
            try:
                rewritten = await self._rewrite(list(asked))
            finally:
                for session_id, answer in asked.items():
                    is_held = session_id in rewritten.sessions
                    answer.set_result(is_held or (False if rewritten.is_complete else None))
