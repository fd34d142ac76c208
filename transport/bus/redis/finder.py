"""`Finder`: looks for the other processes of a hub, and lets them find this one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from redis.exceptions import ResponseError

from transport.bus.redis.census import Sign
from transport.bus.redis.commands import Commands
from transport.bus.redis.connections import ANSWER_WITHIN
from transport.bus.redis.keys import Keys
from transport.stores.redis.commands import pack
from transport.stores.redis.faults import explain_error

REGISTERED_FOR = 10.0
"""Seconds that a process can be found after its last look."""

_LOOK = (Path(__file__).parent / "look.lua").read_bytes()


class Finder:
    """Looks in Redis.

    Args:
        keys: of the hub.
        name: of this process.
        commands: to Redis.
        known: the names of the other processes that are known.
        looked: called with what a look has shown, when it began, and the time, in seconds.

    Attributes:
        refusal: why Redis has refused the last look; "" if it has not.
    """

    def __init__(
        self,
        keys: Keys,
        name: str,
        commands: Commands,
        known: Iterable[str],
        looked: Callable[[list[Sign], float, float], None],
    ) -> None:
        self.refusal = ""
        self._keys = keys
        self._name = name
        self._commands = commands
        self._known = known
        self._looked = looked
        self._loop = asyncio.get_running_loop()
        self._present: asyncio.Future[bool] | None = None
        """Of the look that is under way."""
        self._next: asyncio.Future[bool] | None = None
        """Of the one that begins after it."""
        self._asked: set[str] = set()
        """Processes that the next look is to show."""
        self._has_left = False

    async def look(self, name: str = "") -> bool:
        """Look after this call, together with others that want that.

        Args:
            name: of a process that the look is to show in any case.

        Returns:
            Whether Redis has soon answered.
        """
        if self._has_left:
            return False
        if name:
            self._asked.add(name)
        looking = self._next or self._loop.create_future()
        if self._present is None:
            self._begin(looking)
        else:
            self._next = looking
        await asyncio.wait([looking], timeout=ANSWER_WITHIN)
        return looking.done() and looking.result()

    def leave(self) -> None:
        """Let nobody find this process any more."""
        self._has_left = True
        for looking in (self._present, self._next):
            if looking is not None and not looking.done():
                looking.set_result(False)
        leave = pack(b"ZREM", self._keys.registry, self._name.encode())
        self._commands.send(leave, lambda answer: None)

    def _begin(self, looking: asyncio.Future[bool]) -> None:
        self._present = looking
        began = self._loop.time()
        words = [
            *(b"EVAL", _LOOK, b"1", self._keys.registry, self._keys.process("")),
            *(self._name.encode(), b"%d" % (REGISTERED_FOR * 1000)),
            *(name.encode() for name in {*self._known, *self._asked}),
        ]
        self._asked.clear()
        self._commands.send(pack(*words), lambda answer: self._answered(answer, looking, began))

    def _answered(self, answer: Any, looking: asyncio.Future[bool], began: float) -> None:
        if self._has_left:
            return
        has_looked = not isinstance(answer, ResponseError)
        self.refusal = "" if has_looked else explain_error(answer)
        if has_looked:
            self._looked(
                [Sign(name.decode(), lease, count) for name, lease, count in answer],
                began,
                self._loop.time(),
            )
        looking.set_result(has_looked)
        self._present = None
        if (after := self._next) is not None:
            self._next = None
            self._begin(after)
