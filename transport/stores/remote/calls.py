"""`Calls`: what the tasks of a process ask the server, in the order in which they ask."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from transport.errors import StoreUnavailable
from transport.stores.journaled import Failed
from transport.stores.remote.line import Line
from transport.stores.remote.wire import Question, Renew, Take, Unanswered, Unwilling
from transport.telemetry.log import ERROR, log_event

MAX_QUESTIONS = 64
"""Questions that are under way together."""

MAX_CLAIMS = 4
"""Claims among them: each is answered with all messages of a session, and what does not arrive in
time has to be asked again."""

_DEFECT = "a defect of this package"

T = TypeVar("T")


class Calls:
    """Asks the server over one connection, for many tasks.

    A task waits for a future, never for the connection, so that its cancellation costs nothing.

    Args:
        line: the connection; nobody else uses it.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._waiting: deque[tuple[Question[Any], asyncio.Future[Any]]] = deque()
        self._wake = asyncio.Event()

    async def ask(self, question: Question[T]) -> T:
        """Return the answer to a question. The lease is renewed before all that wait.

        Raises:
            StoreUnavailable: it did not come in time, or is an error.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if isinstance(question, Renew):
            self._waiting.appendleft((question, future))
        else:
            self._waiting.append((question, future))
        self._wake.set()
        try:
            async with asyncio.timeout(self._line.times.answer):
                answer = await future
        except TimeoutError:
            reason = self._line.reason or f"no answer within {self._line.times.answer:g} s"
            raise StoreUnavailable(f"the store does not answer ({reason})") from None
        if isinstance(answer, Failed):
            raise StoreUnavailable(f"the store has answered an error: {answer.text}")
        return cast(T, answer)

    async def run(self) -> None:
        """Ask what is waiting, until the task is cancelled."""
        while True:
            batch = self._take()
            if not batch:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                async with asyncio.timeout(self._line.times.answer):
                    wire = await self._line.connected()
                    answers = await wire.ask([question for question, _ in batch])
            except (TimeoutError, Unanswered, Unwilling) as error:
                self._line.failed(error)
                self._waiting.extendleft(reversed(batch))
                await self._line.wait_to_retry()
            except Exception as error:  # noqa: BLE001 - one question must not stop the others
                log_event(ERROR, "store_failed", _DEFECT, call="ask", exc_info=error)
                self._line.drop()
                self._answer(batch, [Failed(_DEFECT)] * len(batch))
            else:
                self._line.answered()
                self._answer(batch, answers)

    def _answer(
        self, batch: list[tuple[Question[Any], asyncio.Future[Any]]], answers: Sequence[Any]
    ) -> None:
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    def _take(self) -> list[tuple[Question[Any], asyncio.Future[Any]]]:
        """Take the next questions of tasks that still wait."""
        batch: list[tuple[Question[Any], asyncio.Future[Any]]] = []
        claims = 0
        while self._waiting and len(batch) < MAX_QUESTIONS and claims < MAX_CLAIMS:
            question, future = self._waiting.popleft()
            if not future.done():
                batch.append((question, future))
                claims += isinstance(question, Take)
        return batch
