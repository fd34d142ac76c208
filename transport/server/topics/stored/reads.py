"""`Reads`: the connection over which a process reads topics, one question at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from transport.server.topics.stored.refusals import Refusals
from transport.stores.pause import Pause
from transport.stores.topics.wire import ANSWER_WITHIN, Broken, ReadWire


class Question(Protocol):
    """Something to ask of the store."""

    async def ask(self, wire: ReadWire) -> None:
        """Ask, and take the answer. Raises `Broken`."""
        ...

    def failed(self) -> None:
        """Learn that there is no answer."""
        ...


class Reads:
    """Asks what `next_question` returns, and waits if that is None.

    Args:
        wire: the connection; nobody else uses it.
        next_question: returns what to ask next, and when to call it again if that is None: a time
            of the event loop.
    """

    def __init__(
        self, wire: ReadWire, next_question: Callable[[], tuple[Question | None, float]]
    ) -> None:
        self._wire = wire
        self._next_question = next_question
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Call `next_question` now: there is something to ask."""
        self._wake.set()

    async def run(self) -> None:
        """Ask, until the task is cancelled."""
        pause, refusals = Pause(), Refusals()
        is_connected = False
        try:
            while True:
                self._wake.clear()
                question, again = self._next_question()
                if question is None:
                    with suppress(TimeoutError):
                        async with asyncio.timeout_at(again):
                            await self._wake.wait()
                    continue
                try:
                    async with asyncio.timeout(ANSWER_WITHIN):
                        if not is_connected:
                            await self._wire.connect()
                            is_connected = True
                        await question.ask(self._wire)
                except (TimeoutError, Broken) as error:
                    refusals.failed(error)
                    self._wire.drop()
                    is_connected = False
                    question.failed()
                    await pause.wait()
                else:
                    pause.reset()
                    refusals.worked()
        finally:
            self._wire.drop()
