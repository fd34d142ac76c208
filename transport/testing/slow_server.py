"""`SlowServer` and its connections: commands that take a while, or get lost, and notices.

Each connection has its commands executed in order, one by one, each after a random time. What was
sent over a connection that was dropped may be executed late, or not.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from transport.stores.topics.wire import Broken, Notice
from transport.waiting import resolve


class SlowServer:
    """A server with connections that are slow and break, and with subscribers.

    Args:
        seed: of the random times.
        latency: seconds for each way of a command, at most.

    Attributes:
        connections: those that there are, and those that were dropped and have commands left.
    """

    def __init__(self, seed: int, latency: float) -> None:
        self.random = random.Random(seed)
        self.latency = latency
        self.connections: list[Connection] = []
        self.loop = asyncio.get_running_loop()
        # What it does goes on when the process is gone that has asked for it.
        self.context = contextvars.copy_context()
        self._runs = asyncio.Event()
        self._runs.set()

    def tell(self, topic: str, notice: Notice) -> None:
        """Notify the subscribers of a topic."""
        for connection in self.connections:
            if topic in connection.topics:
                connection.send(notice)

    async def ready(self) -> None:
        """Wait until the next command may be executed."""
        await asyncio.sleep(self.random.uniform(0.1, 1.0) * self.latency)
        await self._runs.wait()

    # Faults

    def pause(self) -> None:
        """Execute nothing until `resume`."""
        self._runs.clear()

    def resume(self) -> None:
        self._runs.set()

    def cut(self) -> None:
        """End all connections; what was sent over them may run late."""
        for connection in list(self.connections):
            connection.end()

    def silence(self) -> None:
        """Let nothing arrive over the subscriptions that there are, which stay open."""
        for connection in self.connections:
            connection.is_silent = True


class Connection:
    """One connection, as the server has it: it executes one command after the other.

    Attributes:
        topics: what it is subscribed to; "" is for echoes.
        is_open: whether the client still has it.
        is_silent: whether nothing arrives any more, though it stays open.
    """

    def __init__(self, server: SlowServer) -> None:
        self.topics: set[str] = set()
        self.is_open = True
        self.is_silent = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.notices: asyncio.Queue[Notice] = asyncio.Queue()
        self._server = server
        self._commands: deque[tuple[Callable[[], Any], asyncio.Future[Any]]] = deque()
        self._serving: asyncio.Task[None] | None = None
        self._sent: deque[Callable[[], None]] = deque()
        self._arrives = 0.0
        server.connections.append(self)

    def end(self) -> None:
        """End it. Some of what was sent is executed later."""
        if self.is_open:
            for _ in range(self._server.random.randrange(len(self._commands) + 1)):
                self._commands.pop()
            self._close()

    def kill(self) -> None:
        """End it, and execute nothing that is left."""
        if self._serving is not None:
            self._serving.cancel()
        self._commands.clear()
        self._close()

    def _close(self) -> None:
        self.is_open = False
        self.topics.clear()
        resolve(self.ended)
        if not self._commands and self in self._server.connections:
            self._server.connections.remove(self)

    async def execute(self, *commands: Callable[[], Any]) -> list[Any]:
        """Send commands; return the answers.

        Raises:
            Broken: the connection ended, or an answer was an error.
        """
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Any]] = [loop.create_future() for _ in commands]
        self._commands.extend(zip(commands, futures, strict=True))
        if self._serving is None or self._serving.done():
            self._serving = self._server.loop.create_task(
                self._serve(), context=self._server.context
            )
        for future in futures:
            await self._answer(future)
        answers = [future.result() for future in futures]
        for answer in answers:
            if isinstance(answer, Broken):
                raise answer
        return answers

    async def _answer(self, future: asyncio.Future[Any]) -> None:
        waiting: list[asyncio.Future[Any]] = [future, self.ended]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if not future.done():
            raise Broken("cut")

    async def _serve(self) -> None:
        while self._commands:
            await self._server.ready()
            if self._commands:
                command, future = self._commands.popleft()
                try:
                    answer = command()
                except Broken as error:
                    answer = error
                self._arrive_later(partial(_resolve, future, answer))
        if not self.is_open and self in self._server.connections:
            self._server.connections.remove(self)

    def send(self, *notices: Notice) -> None:
        """Let notices arrive after a while, behind those before them."""
        if self.is_open and not self.is_silent:
            self._arrive_later(partial(self._notice, notices))

    def _notice(self, notices: tuple[Notice, ...]) -> None:
        for notice in notices:
            self.notices.put_nowait(notice)

    def _arrive_later(self, arrive: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        delay = self._server.random.uniform(0.1, 1.0) * self._server.latency
        self._arrives = max(self._arrives, loop.time() + delay)
        self._sent.append(arrive)
        loop.call_at(self._arrives, self._arrive, context=self._server.context)

    def _arrive(self) -> None:
        self._sent.popleft()()

    async def receive(self) -> Notice:
        """Return the next notice. Raises `Broken` when the connection ends."""
        if not self.notices.empty() and self.is_open:
            return self.notices.get_nowait()
        arrival = asyncio.ensure_future(self.notices.get())
        try:
            waiting: list[asyncio.Future[Any]] = [arrival, self.ended]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self.ended.done():
                raise Broken("cut")
            return arrival.result()
        finally:
            arrival.cancel()


def _resolve(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():
        future.set_result(answer)
