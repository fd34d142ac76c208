"""`Calls`: questions to other processes, each with one answer, over the pipes of a bus."""

from __future__ import annotations

import asyncio
import itertools
import math
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
    """The calls of one process, both ways.

    Args:
        stalled_at: see `Bus.stalled_at`.
    """

    def __init__(self, stalled_at: Callable[[], float] = lambda: -math.inf) -> None:
        self._stalled_at = stalled_at
        self._responders: dict[str, Respond] = {}
        self._ids = itertools.count()
        self._waiting: dict[tuple[Pipe, int], asyncio.Future[Answer | None]] = {}
        self._answering: dict[tuple[Pipe, int], asyncio.Task[None]] = {}

    def respond(self, kind: str, respond: Respond) -> None:
        """Answer a kind of call by this function."""
        self._responders[kind] = respond

    async def call(
        self,
        pipe: Pipe,
        kind: str,
        body: Any,
        within: float | None = ANSWER_WITHIN,
        *,
        stalled: float = 0.0,
    ) -> Raw:
        """Ask the process at the other end of a pipe, which this process has opened.

        Args:
            pipe: to the other process.
            kind: what is asked.
            body: the question, as msgspec encodes it.
            within: seconds to wait; None to wait until the pipe ends.
            stalled: seconds to wait in all, if they are more, while the pipes carry nothing: the
                silence of the other process says nothing about it then.

        Raises:
            NotReached: the pipe has ended.
            NoAnswer: the other process did not answer in time, or could not.
        """
        if not pipe.is_open:
            raise NotReached(pipe.peer)
        question = Raw(msgpack.encode(body))
        key = pipe, next(self._ids)
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[Answer | None] = loop.create_future()
        self._waiting[key] = answered
        pipe.send(Call(key[1], kind, question))
        patience = None if within is None else _Patience(answered, within, stalled, self)
        try:
            answer = await answered
        except asyncio.CancelledError:
            pipe.send(Cancel(key[1]))
            raise
        finally:
            if patience is not None:
                patience.timer.cancel()
            del self._waiting[key]
        if answer is None:
            pipe.send(Cancel(key[1]))
            raise NoAnswer(f"{pipe.peer} did not answer {kind} in {within} s")
        if answer.failed:
            raise NoAnswer(f"{pipe.peer} could not answer {kind}")
        return answer.body

    @property
    def stalled_at(self) -> float:
        """See `Bus.stalled_at`."""
        return self._stalled_at()

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


class _Patience:
    """Ends the wait for an answer.

    If this process stood still, what has arrived meanwhile is read before the timer fires.

    Args:
        answered: set to None then.
        within, stalled: see `Calls.call`.
        calls: see `Calls.stalled_at`.

    Attributes:
        timer: fires next.
    """

    __slots__ = ("_answered", "_calls", "_latest", "_loop", "_within", "timer")

    def __init__(
        self, answered: asyncio.Future[Answer | None], within: float, stalled: float, calls: Calls
    ) -> None:
        self._answered = answered
        self._within = within
        self._calls = calls
        self._loop = asyncio.get_running_loop()
        self._latest = self._loop.time() + stalled
        self.timer = self._loop.call_later(within, self._check)

    def _check(self) -> None:
        """Give up, unless the pipes have only begun to carry something again."""
        until = min(self._calls.stalled_at + self._within, self._latest)
        if until > self._loop.time():
            self.timer = self._loop.call_at(until, self._check)
        elif not self._answered.done():
            self._answered.set_result(None)
