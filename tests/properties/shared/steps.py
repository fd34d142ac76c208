"""`StoredSteps`: what a schedule does with processes, their store and their clients."""

from __future__ import annotations

import asyncio
from random import Random

from tests.properties.processes.steps import DELAYS, MAX_CLIENTS, MAX_PROCESSES, TRANSPORTS, Steps
from tests.properties.shared.client import StoredClient
from tests.properties.shared.state import StoredState
from transport.testing.store_data import Data

PAUSES = (0.0, 0.0, 0.001, 0.01, 0.05, 0.2, 1.0, 4.0, 7.0)
"""Seconds that pass in the step ``wait``: the last are longer than a lease with others."""
LATE = (0.5, 2.0, 4.0, 8.0)
"""Seconds that a write of the step ``hold`` is late."""


class StoredSteps(StoredState, Steps):
    """The steps of a world, with small numbers as arguments."""

    def __init__(self, source: Random) -> None:
        super().__init__(source)
        self.joining: list[asyncio.Task[None]] = []

    def come(self, transport: int) -> None:
        """Let a client open a channel."""
        if len(self.open_clients()) < MAX_CLIENTS:
            client = StoredClient(self, len(self.clients), TRANSPORTS[transport])
            self.clients.append(client)
            client.resume()

    # Steps of handlers

    def _act(self, index: int, name: str, count: int) -> None:
        client = self._client(index)
        session = self.journal.sessions.get(client.session) if client is not None else None
        if session is not None:
            session.parts[-1].orders.put_nowait((name, count))

    def push(self, index: int, count: int) -> None:
        """Let the handler of a client send."""
        self._act(index, "push", count)

    def offer(self, index: int, count: int) -> None:
        """Let the hub of a client's handler send to it."""
        self._act(index, "offer", count)

    def flush(self, index: int, count: int) -> None:
        """Let the handler of a client send, and wait until that is stored."""
        self._act(index, "flush", count)

    # Steps of processes

    def kill(self, index: int) -> None:
        """Kill a process, but not the last one."""
        self.note_losses()
        super().kill(index)
        self.note_losses()

    def stop(self, index: int) -> None:
        """Stop a process."""
        super().stop(index)
        self.note_losses()

    def shut_down(self, index: int) -> None:
        """Shut a process down, but not the last one."""
        super().shut_down(index)
        self.note_losses()

    def join(self) -> None:  # type: ignore[override]
        """Start a process. It has joined the others when the store answers."""
        if len(self.alive()) < MAX_PROCESSES:
            self.joining.append(asyncio.create_task(self._join()))

    async def _join(self) -> None:
        self.fault()
        await self.processes.start()
        self.fault()

    # Steps of the store

    def pause(self) -> None:
        """Let the store execute nothing."""
        self.fault()
        self.is_paused = True
        self.store.pause()

    def resume(self) -> None:
        """Let the store go on."""
        self.note_losses()
        self.fault()
        self.is_paused = False
        self.store.resume()
        self.note_losses()

    def hold(self, late: int) -> None:
        """Let the next flight arrive late, after it was repeated."""
        self.fault()
        self.store.hold_writes(LATE[late])

    def lag(self, level: int) -> None:
        """Set how long a command takes to the store."""
        self.store.delay = DELAYS[level]

    def refuse(self) -> None:
        """Let the store refuse what writes."""
        self.fault()
        self.store.refusal = "OOM command not allowed"

    def accept(self) -> None:
        """End `refuse`."""
        self.fault()
        self.store.refusal = ""

    def break_off(self, index: int) -> None:
        """Cut the connections of a process to the store."""
        chosen = self._living(index)
        if chosen is not None:
            self.fault()
            for store in self.processes[chosen].stores:
                self.store.cut(store.name)

    def deafen(self, index: int) -> None:
        """Let a process lose the connection on which others reach it."""
        chosen = self._living(index)
        if chosen is not None:
            self.fault()
            self.store.deaf.update(store.name for store in self.processes[chosen].stores)

    def hear(self) -> None:
        """End `deafen`."""
        self.fault()
        self.store.deaf.clear()

    def save(self) -> None:
        """Save what the store has, for `go_back`."""
        self.saved = self.store.data.copy()

    def go_back(self) -> None:
        """Let the store restart with what it had."""
        self.fault()
        self.is_paused = False
        self.has_lost = True
        self.store.restart(self.saved)
        self.note_losses()

    def restart(self, has_data: int) -> None:
        """Let the store restart, with or without its data."""
        self.fault()
        self.is_paused = False
        self.has_lost = self.has_lost or not has_data
        self.store.restart(None if has_data else Data())
        self.note_losses()

    def forget_all(self) -> None:
        """Let the store lose everything."""
        self.fault()
        self.has_lost = True
        self.store.forget_all()
        self.note_losses()

    def forget(self, index: int) -> None:
        """Let the store lose the session of a client, which nobody notices but its home."""
        client = self._client(index)
        if client is not None:
            self.fault()
            self.has_lost = True
            self.store.forget(client.session)
            if client.session in self.journal.sessions:
                self.journal.sessions[client.session].is_damaged = True

    def mend(self) -> None:
        """End all faults of the store."""
        if self.is_paused:
            self.resume()
        if self.store.refusal:
            self.accept()
        if self.store.deaf:
            self.hear()
        self.store.delay = 0.0
        self.store.hold_writes_no_more()

    # Time

    async def wait(self, pause: int) -> None:
        """Let time pass."""
        await asyncio.sleep(PAUSES[pause])
        self.note_losses()
