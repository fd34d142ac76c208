"""`Calls`: questions to other processes, each with one answer, over the pipes of a bus."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Raw, msgpack

from transport.bus.interface import NoAnswer, NotReached, Pipe
from transport.bus.items import Answer, Call, CallItem, Cancel
from transport.telemetry.log import ERROR, log_event

Respond = Callable[[Pipe, Raw], Awaitable[Any]]
"""Answers one kind of call: the pipe that it came on, and its body. Returns the answer's body."""

ANSWER_WITHIN = 3.0
"""Seconds in which a process that is not stopped answers."""


class Calls:
    """The calls of one process, both ways."""

    def __init__(self) -> None:
        self._responders: dict[str, Respond] = {}
        self._ids = itertools.count()
        self._waiting: dict[tuple[Pipe, int], asyncio.Future[Answer]] = {}
        self._answering: dict[tuple[Pipe, int], asyncio.Task[None]] = {}

    def respond(self, kind: str, respond: Respond) -> None:
        """Answer a kind of call by this function."""
        self._responders[kind] = respond

    async def call(
        self, pipe: Pipe, kind: str, body: Any, within: float | None = ANSWER_WITHIN
    ) -> Raw:
        """Ask the process at the other end of a pipe, which this process has opened.

        Args:
            pipe: to the other process.
            kind: what is asked.
            body: the question, as msgspec encodes it.
            within: seconds to wait; None to wait until the pipe ends.

        Raises:
            NotReached: the pipe has ended.
            NoAnswer: the other process did not answer in time, or could not.
        """
        if not pipe.is_open:
            raise NotReached(pipe.peer)
        question = Raw(msgpack.encode(body))
        key = pipe, next(self._ids)
        answered = self._waiting[key] = asyncio.get_running_loop().create_future()
        pipe.send(Call(key[1], kind, question))
        try:
            async with asyncio.timeout(within):
                answer: Answer = await answered
        except BaseException as error:
            if not isinstance(error, TimeoutError):
                if not answered.done() or answered.cancelled():
                    pipe.send(Cancel(key[1]))
                raise
            if answered.cancelled():
                pipe.send(Cancel(key[1]))
                raise NoAnswer(f"{pipe.peer} did not answer {kind} in {within} s") from None
            # This process stood still: the answer was read just before the timer fired.
            answer = answered.result()
        finally:
            del self._waiting[key]
        if answer.failed:
            raise NoAnswer(f"{pipe.peer} could not answer {kind}")
        return answer.body

    def received(self, pipe: Pipe, item: CallItem) -> None:
        """Take an item of a call."""
        key = pipe, item.id
        match item:
            case Call():
                task = asyncio.get_running_loop().create_task(self._answer(pipe, item))
                self._answering[key] = task
                task.add_done_callback(lambda _: self._answering.pop(key, None))
            case Cancel():
                if (task := self._answering.get(key)) is not None:  # type: ignore[assignment]
                    task.cancel()
            case Answer():
                answered = self._waiting.get(key)
                if answered is not None and not answered.done():
                    answered.set_result(item)

    def ended(self, pipe: Pipe) -> None:
        """End the calls of a pipe: those that wait fail, and those that are answered are cancelled.

        So a process that dies keeps nobody waiting, and leaves no poll parked at another.
        """
        for (each, _), answered in self._waiting.items():
            if each is pipe and not answered.done():
                answered.set_exception(NotReached(pipe.peer))
        for (each, _), task in list(self._answering.items()):
            if each is pipe:
                task.cancel()

    def stop(self) -> None:
        """Cancel the calls that are being answered."""
        for task in list(self._answering.values()):
            task.cancel()

    async def _answer(self, pipe: Pipe, call: Call) -> None:
        answer = Answer(call.id, failed=True)
        try:
            respond = self._responders.get(call.kind)
            if respond is not None:
                answer = Answer(call.id, Raw(msgpack.encode(await respond(pipe, call.body))))
        except Exception:  # noqa: BLE001 - a defect of one call; the others go on
            log_event(
                ERROR,
                "call_failed",
                "a question of another worker of this server could not be answered: please report "
                "the exception below",
                call=call.kind,
                exc_info=True,
            )
        pipe.send(answer)
