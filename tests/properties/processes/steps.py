"""`Steps`: what a schedule does with the processes and clients of a world."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.properties.processes.application import TOPICS
from tests.properties.processes.client import ModelClient
from tests.properties.processes.state import State
from transport.protocol.frames import TransportKind

TRANSPORTS = tuple(TransportKind)
MAX_PROCESSES = 4
MAX_CLIENTS = 4
MAX_UNSETTLED = 20

DELAYS = (0.0, 0.001, 0.02, 0.3)
"""Seconds: the longest that an item takes between processes."""
PAUSES = (0.0, 0.0, 0.001, 0.01, 0.05, 0.2, 1.0, 4.0)
"""Seconds that pass in the step ``wait``."""


class Steps(State):
    """The steps of a world, with small numbers as arguments."""

    # Steps of clients

    def come(self, transport: int) -> None:
        """Let a client open a channel."""
        if len(self.open_clients()) < MAX_CLIENTS:
            client = ModelClient(self, len(self.clients), TRANSPORTS[transport])
            self.clients.append(client)
            client.resume()

    def _client(self, index: int) -> ModelClient | None:
        clients = self.open_clients()
        return clients[index % len(clients)] if clients else None

    def say(self, index: int, count: int, replies: int, delay: int) -> None:
        """Let a client send."""
        client = self._client(index)
        if client is not None and client.sent - len(client.is_settled) < MAX_UNSETTLED:
            for _ in range(count):
                client.say(replies, delay * delay)

    def cut(self, index: int, noticed: int) -> None:
        """Cut a client's connections; it comes back at once."""
        client = self._client(index)
        if client is not None:
            client.cut(noticed=bool(noticed))
            client.resume()

    def move(self, index: int, transport: int) -> None:
        """Let a client attach over another transport, while it has a connection."""
        client = self._client(index)
        if client is not None:
            client.transport = TRANSPORTS[transport]
            client.attach()

    # Steps of handlers

    def _order(self, index: int, name: str, *arguments: Any) -> None:
        """Let the handler of a client do something."""
        client = self._client(index)
        session = self.journal.sessions.get(client.session) if client is not None else None
        if session is not None:
            session.orders.put_nowait((name, arguments))

    def push(self, index: int, count: int) -> None:
        """Let the handler of a client send."""
        self._order(index, "push", count)

    def publish(self, index: int, topic: int, count: int) -> None:
        """Let the handler of a client send to many."""
        for _ in range(count):
            self._order(index, "publish", TOPICS[topic])

    def deliver(self, index: int, other: int) -> None:
        """Let the handler of a client send to another client."""
        client = self._client(other)
        if client is not None and client.session:
            self._order(index, "deliver", client.session)

    def dismiss(self, index: int, other: int) -> None:
        """Let the handler of a client end the sessions of another client's user."""
        client = self._client(other)
        if client is not None:
            self._order(index, "dismiss", client.credentials)

    # Steps of processes

    def _living(self, index: int, *, leaves: int = 0) -> int | None:
        """Return the index of a process that lives and does not end, if more than some do."""
        living = [
            each
            for each in range(len(self.processes))
            if self.processes[each].is_alive and each not in self.ending
        ]
        return living[index % len(living)] if len(living) > leaves else None

    def kill(self, index: int) -> None:
        """Kill a process, but not the last one."""
        chosen = self._living(index, leaves=1)
        if chosen is not None:
            self.fault()
            self.processes.kill(chosen)

    def stop(self, index: int) -> None:
        """Stop a process."""
        chosen = self._living(index)
        if chosen is not None:
            self.processes.stop(chosen)

    def go_on(self) -> None:
        """Let all processes that are stopped go on."""
        for index, process in enumerate(self.everyone()):
            if process.is_alive and process.is_stopped:
                self.fault()
                self.processes.go_on(index)

    async def join(self) -> None:
        """Start a process."""
        if len(self.alive()) < MAX_PROCESSES:
            self.fault()
            await self.processes.start()
            self.fault()

    def shut_down(self, index: int) -> None:
        """Shut a process down, but not the last one."""
        chosen = self._living(index, leaves=1)
        if chosen is not None and not self.processes[chosen].is_stopped:
            self.ending[chosen] = asyncio.create_task(self._shut_down(chosen))

    async def _shut_down(self, index: int) -> None:
        self.fault()
        await self.processes.shut_down(index)
        self.fault()

    def cut_pipes(self, index: int, other: int) -> None:
        """Cut the pipes between two processes."""
        one, two = self._living(index), self._living(other)
        if one is not None and two is not None and one != two:
            self.fault()
            self.processes.cut(one, two)

    def slow(self, level: int) -> None:
        """Set how long items take between processes."""
        self.most_delay = DELAYS[level]

    # Time

    async def wait(self, pause: int) -> None:
        """Let time pass."""
        await asyncio.sleep(PAUSES[pause])

    async def turn(self, count: int) -> None:
        """Let the event loop turn a few times."""
        for _ in range(count):
            await asyncio.sleep(0)
