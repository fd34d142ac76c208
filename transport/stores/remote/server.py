"""`Server`: what a process knows of the server of its store: which run it is, and whether its data
is the one that it had before.

If a connection meets another run, or the data is gone, a *grace* begins: the homes that live write
their sessions again, and nobody claims one meanwhile.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
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
        self._grace_until = clock() + self._times.grace

    @property
    def in_grace(self) -> bool:
        """See `JournaledStore.in_grace`."""
        return self._clock() < self._grace_until

    async def greeted(self, line: Line, wire: Wire, greeting: Greeting) -> None:
        """Learn which server a new connection has met, before anything else is asked over it."""
        birth = greeting.birth
        is_empty = birth.since is None
        if is_empty or birth.run != greeting.run:
            birth = await _ask(wire, SetBirth())
        if self._keeps_secret:
            self.secret = await _ask(wire, ShareSecret(self.secret))
        if self.run != greeting.run:
            self.run = greeting.run
            for other in self.lines:
                if other is not line:
                    other.reconnect()
        self.observe(birth)
        is_other = line.run not in {"", greeting.run}
        if is_other or (line.run and is_empty):
            self.losses += 1
            # What is written because of it must go to this server, so the journal's connection
            # decides. It reconnects at once if another connection has met it first.
            if line is self.lines[0] or not is_other:
                self.note_loss()

    def observe(self, birth: Birth) -> None:
        """Learn since when the server has its data."""
        if birth.since is None or birth.run != self.run:
            self.begin_grace()
        else:
            self._grace_until = self._clock() + self._times.grace - (birth.now - birth.since) / 1000

    def begin_grace(self) -> None:
        """Begin a grace, for this process only."""
        self._grace_until = self._clock() + self._times.grace

    async def restore(self, calls: Calls) -> None:
        """Begin a grace for all processes, and write the secret if the server has lost it."""
        self.begin_grace()
        try:
            self.observe(await calls.ask(SetBirth()))
            if self._keeps_secret:
                self.secret = await calls.ask(ShareSecret(self.secret))
        except StoreUnavailable:
            pass  # the next connection does it

    def note_loss(self) -> None:
        """Tell the process that it must write its sessions again."""
        log_event(
            WARNING,
            "store_lost",
            "the server of the store has lost its data, or is another one: this process writes "
            "its sessions again, and for some seconds no session can move to another process",
        )
        self._lost()


async def _ask(wire: Wire, question: Question[T]) -> T:
    """Ask over a connection that nothing else uses yet."""
    answer: Any
    (answer,) = await wire.ask([question])
    if isinstance(answer, Failed):
        raise Unwilling(answer.text)
    return answer  # type: ignore[no-any-return]
