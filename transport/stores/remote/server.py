"""`Server`: what a process knows of the server of its store: which run it is, and whether its data
is the one that it had before.

If a connection meets another run, or the data is gone, a *grace* begins: the homes that live write
their sessions again, and nobody claims one meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from transport.errors import StoreUnavailable
from transport.stores.journaled import Failed
from transport.stores.remote.calls import Calls
from transport.stores.remote.line import Line
from transport.stores.remote.times import Times
from transport.stores.remote.wire import (
    Birth,
    Greeting,
    Question,
    ReadSecret,
    SetBirth,
    ShareSecret,
    Unwilling,
    Wire,
)
from transport.telemetry.log import WARNING, log_event

T = TypeVar("T")


class Server:
    """The server of a store, as its answers describe it.

    Args:
        clock: returns seconds; see `read_clock`.
        lost: called when it has lost its data, or is another.
        secret: the key of the tokens, unless the server keeps it.
        times: how long a grace lasts.

    Attributes:
        run: the run of the server; "" before the first connection.
        secret: the key of the tokens.
        lines: all connections to it, the journal's first.
        losses: how often a new connection has found that it has lost its data, or is another.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        lost: Callable[[], None],
        secret: bytes | None,
        times: Times,
    ) -> None:
        self._times = times
        self.run = ""
        self.secret = secret or secrets.token_bytes(32)
        self.lines: tuple[Line, ...] = ()
        self.losses = 0
        self._keeps_secret = secret is None
        self._clock = clock
        self._lost = lost
        self._birth = Birth("", None, 0)
        self._grace_until = clock() + self._times.grace

    @property
    def grace_left(self) -> float:
        """See `JournaledStore.grace_left`."""
        return max(0.0, self._grace_until - self._clock())

    async def greeted(self, line: Line, wire: Wire, greeting: Greeting) -> None:
        """Learn which server a new connection has met, before anything else is asked over it."""
        birth = greeting.birth
        if birth.age is None or birth.run != greeting.run:
            birth = await _ask(wire, SetBirth(birth))
        if self._keeps_secret:
            # Who watches the commands of the server sees the key only when it is made.
            if (there := await _ask(wire, ReadSecret())) is None:
                self.secret = await _ask(wire, ShareSecret(self.secret))
            else:
                self.secret = there
        if self.run != greeting.run:
            self.run = greeting.run
            for other in self.lines:
                if other is not line:
                    other.reconnect()
        is_other = line.run not in {"", greeting.run}
        has_lost = self._learn(birth)
        if is_other or has_lost:
            self.losses += 1
        # What is written because another server was met must go to that one, so the connection of
        # the journal decides. It connects again at once if another connection has met it first.
        if has_lost if line is not self.lines[0] else is_other or has_lost:
            self._note_loss()

    def observe(self, birth: Birth) -> None:
        """Learn since when the server has its data, over a connection that has met it before."""
        if self._learn(birth):
            self._note_loss()

    async def lost(self, calls: Calls, birth: Birth) -> None:
        """Learn that the server has lost its data, and begin a grace for all processes.

        Args:
            calls: asks the server.
            birth: what was seen then.
        """
        self._begin_grace()
        with suppress(StoreUnavailable):  # the next connection does it
            if birth.age is None or birth.is_of(self._birth):
                birth = await calls.ask(SetBirth(birth))
            if self._keeps_secret:
                self.secret = await calls.ask(ShareSecret(self.secret))
        self._learn(birth)
        self._note_loss()

    async def begin_grace(self, calls: Calls) -> None:
        """Begin a grace for all processes, though this one knows of no loss."""
        self._begin_grace()
        with suppress(StoreUnavailable):
            self._learn(await calls.ask(SetBirth(self._birth)))

    def _begin_grace(self) -> None:
        self._grace_until = self._clock() + self._times.grace

    def _learn(self, birth: Birth) -> bool:
        """Learn since when the server has its data; return whether others have noticed a loss.

        The first data of another run are no loss: a process that meets them writes its sessions
        again in any case.
        """
        if birth.age is None or birth.run != self.run:
            self._begin_grace()  # who sets it notices the loss
            return False
        before, self._birth = self._birth, birth
        self._grace_until = self._clock() + self._times.grace - birth.age / 1000
        return before.run == birth.run and not birth.is_of(before)

    def _note_loss(self) -> None:
        """Tell the process that it must write its sessions again."""
        log_event(
            WARNING,
            "store_lost",
            "the server of the store has lost its data, or is another one, or its clock was set: "
            "this process writes its sessions again, and for some seconds no session can move to "
            "another process",
        )
        self._lost()


async def _ask(wire: Wire, question: Question[T]) -> T:
    """Ask over a connection that nothing else uses yet."""
    answer: Any
    (answer,) = await wire.ask([question])
    if isinstance(answer, Failed):
        raise Unwilling(answer.text)
    return answer  # type: ignore[no-any-return]
