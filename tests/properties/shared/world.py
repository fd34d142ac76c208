"""`StoredWorld`: processes of one hub that share a store, and what must hold whatever happens.

The processes run the real hub over a bus and a store in memory; the clients run the real session of
a client. The same steps are the same run.

Whatever happens to processes, and whenever the store pauses or loses data: each side gets what the
other has sent once and in order, as long as the store or the home of a session lives. A handler is
given again at most ``limits.unstored`` messages when another process goes on. What a client is told
is true. When nothing more happens, everything comes to rest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from tests.properties.processes.state import LIMITS
from tests.properties.processes.steps import MAX_PROCESSES
from tests.properties.shared.client import StoredClient
from tests.properties.shared.state import AFTER_FAULT
from tests.properties.shared.steps import StoredSteps
from transport.testing.cluster import cluster

REST = 60.0
"""Seconds in which all that lives comes to rest: a connection that is mute is given up after 15 s,
and the attempts after it are at most 8 s apart."""
PROMPT = 1.0
"""Seconds in which messages arrive and are acknowledged, both ways, when nothing fails."""
TOLD_WITHIN = 6.0
"""Seconds in which clients have their sessions again after a kill: a second to know that the home
is gone, and the pauses between attempts."""
LOOKS = 30
"""How often it is looked whether everything is at rest."""
LEAVES_WITHIN = 4.0
"""Seconds in which nothing is left of a client that has gone: more than a call takes."""


class StoredWorld(StoredSteps):
    """Plays the steps of a schedule, and judges what remains."""

    async def play(self, count: int, steps: list[tuple[str, tuple[int, ...]]]) -> None:
        """Make the steps with some processes, then let everything come to rest."""
        making = cluster(self.make_hub, count, delay=self.delay, store=self.store)
        async with making as self.processes:
            await asyncio.sleep(AFTER_FAULT)  # the grace of a store that is new
            try:
                for name, arguments in steps:
                    result = getattr(self, name)(*arguments)
                    if isinstance(result, Awaitable):
                        await result
                    self.check()
                await self.rest()
                await self._expire()
            finally:
                for client in self.clients:
                    await client.stop()
        self.check()

    async def rest(self) -> None:
        """End all faults; everything that lives comes to rest, and then works at once."""
        self.go_on()
        self.mend()
        self.most_delay = 0.0
        for task in (*self.ending.values(), *self.joining):
            await task
        await self._settle_within(REST, "after the faults")
        while len(self.alive()) < MAX_PROCESSES:
            await self._join()  # one of them is killed below
        await asyncio.sleep(AFTER_FAULT)
        self.check()
        for index, client in enumerate(self.open_clients()):
            client.say(2, 0)
            self.push(index, 1)
            self.flush(index, 1)
        await self._settle_within(PROMPT, "after a few messages")
        await self._go_elsewhere(self.kill, "a kill")
        for client in self.open_clients():
            client.say(2, 3)
        await asyncio.sleep(0)
        await self._go_elsewhere(self.shut_down, "a shutdown")
        self._check_complete()

    async def _go_elsewhere(self, end: Callable[[int], None], what: str) -> None:
        """End a process: its sessions go on elsewhere, and nothing is given again."""
        again = self.journal.again
        sessions = {client: client.session for client in self.open_clients()}
        end(self.random.randrange(MAX_PROCESSES))
        for ending in self.ending.values():
            await ending
        await self._settle_within(TOLD_WITHIN, f"after {what}")
        for client, before in sessions.items():
            assert client.session == before, f"client {client.index} has lost {before}"
        assert self.journal.again == again, f"messages were given again after {what}"

    async def _settle_within(self, seconds: float, when: str) -> None:
        left: list[str] = []
        for _ in range(LOOKS):
            await asyncio.sleep(seconds / LOOKS)
            self.check()
            left = list(self._unsettled())
            if not left:
                return
        raise AssertionError(f"not at rest {seconds} s {when}: {'; '.join(left)}")

    def _unsettled(self) -> Iterator[str]:
        """Yield what is not at rest, in words."""
        for client in self._open():
            session = self.journal.sessions.get(client.session)
            if client.newest_link is None or session is None:
                yield f"client {client.index} is not connected: {client.problem}"
                continue
            if client.is_settled != set(range(1, client.sent + 1)):
                yield f"client {client.index} does not know what became of its messages"
            part = session.parts[-1]
            runtime = self._runtime(part.home)  # None once its process has stopped
            runner = runtime.registry.get(session.id) if runtime is not None else None
            if part.is_over or runner is None:
                yield f"client {client.index} has a session that is over"
            elif runner.session.outgoing.last != len(client.got) or not part.orders.empty():
                yield f"client {client.index} has not received what was sent"

    def _check_complete(self) -> None:
        """Check that each client has all replies of its session, and knows what is true."""
        for client in self._open():
            session = self.journal.sessions[client.session]
            replies = [each for each in client.got if each[0] == "reply"]
            for given in session.given.values():
                indexes = [index for _, *whose, index in replies if tuple(whose) == given]
                assert indexes == list(range(len(indexes))), f"replies to {given}: {indexes}"
        for client in self.clients:
            handed = client.not_handled & self.journal.handed.get(client.index, set())
            assert not handed, f"told as not handled, and handed out: {handed}"

    def _open(self) -> list[StoredClient]:
        return [each for each in self.clients if each.closed is None]

    async def _expire(self) -> None:
        """Let all clients vanish, and their sessions expire: nothing is left of them."""
        for client in self.clients:
            client.cut(noticed=self.random.random() < 0.5)
        await asyncio.sleep(2 * LIMITS.ttl)
        for client in self.clients:
            await client.stop()
        await asyncio.sleep(LEAVES_WITHIN)
        living = [index for index in range(len(self.processes)) if self.processes[index].is_alive]
        for index in living:
            self._check_left(index)
        names = {each.name for each in self.store.connections}
        assert names <= {self.store_of(index).name for index in living}, names
        assert len(self.store.connections) <= 2 * len(living), self.store.connections
        now = self.store.now
        left = [name for name in self.store.data.leases if self.store.data.lease(name, now)]
        assert len(left) == len(living), f"leases: {left}"

    def _runtime(self, index: int) -> Any:
        return self.processes[index].app._lifecycle.current  # type: ignore[attr-defined]

    def _check_left(self, index: int) -> None:
        """Check that a process keeps nothing, as no client is there."""
        process, runtime = self.processes[index], self._runtime(index)
        relay, store = runtime._relay, self.store_of(index)
        left = [
            *runtime.registry.runners,
            *runtime.registry._tasks,
            *runtime.registry._closing,
            *relay._calls._waiting,
            *relay._calls._answering,
            *relay.edge._links,
            *relay.openings._arriving,
            *relay._home._links,
            *runtime.opener._admitted,
            *store._flights._dirty,
            *store._calls._waiting,
        ]
        assert not left, f"{process} keeps {left}"
        coroutines: list[Any] = [task.get_coro() for task in process._part.tasks]
        names = Counter(each.__qualname__ for each in coroutines)
        assert not names - TASKS, f"{process} runs {names}"


TASKS = Counter(
    {
        "Calls.run": 1,
        "Flights.run": 1,
        "Lease.run": 1,
        "LogReaders._change_subscriptions": 1,
        "LogReaders._receive": 1,
        "Queue.get": 1,
        "Reads.run": 1,
        "StoredTopics.run": 1,
        "Lifespan._run": 1,
        "keep_running": 3,  # the writer and the readers of topics, and the dismissals
    }
)
"""The tasks of a process that has nothing to do."""
