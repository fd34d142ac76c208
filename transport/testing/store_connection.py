"""`Connection`: a connection of a process to the `StoreModel`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from transport.stores.remote.wire import Unanswered


class Connection:
    """One connection of a process to the server.

    Attributes:
        name: of the process.
        is_cut: whether it has ended.
        last_arrival: when what was sent last arrives. Nothing overtakes it.
        answers: those that are awaited.
    """

    def __init__(self, name: str, ended: Callable[[Connection, None], None]) -> None:
        self.name = name
        self.is_cut = False
        self.last_arrival = 0.0
        self.answers: dict[asyncio.Future[Any], None] = {}
        self._ended = ended

    def cut(self) -> None:
        """End it: what is awaited is not answered."""
        self.is_cut = True
        self._ended(self, None)
        for answer in self.answers:
            fail(answer, Unanswered("the connection has ended"))


def resolve(future: asyncio.Future[Any], result: object) -> None:
    """Answer what is still awaited."""
    if not future.done():
        future.set_result(result)


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    """Let what is still awaited raise."""
    if not future.done():
        future.set_exception(error)
