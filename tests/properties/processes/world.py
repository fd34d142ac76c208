"""`World`: processes of one hub, their clients, and what must hold whatever happens to them.

The processes run the real hub over a bus in memory; the clients run the real session of a client.
Everything random comes from the seed of the world, so the same steps are the same run.

Whatever happens, each message is handed to a handler at most once, and in order; what a client is
told of it is true. When nothing more happens, everything that lives comes to rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any

from tests.properties.processes.application import EVERYONE, TOPICS
from tests.properties.processes.state import AFTERMATH, LIMITS
from tests.properties.processes.steps import MAX_PROCESSES, Steps
from transport.testing.cluster import cluster

REST = 45.0
"""Seconds in which all that lives comes to rest: a connection that is mute is given up after 15 s,
and the attempts after it are at most 8 s apart."""

PROMPT = 1.0
"""Seconds in which messages arrive and are acknowledged, both ways, when nothing fails."""
TOLD_WITHIN = 3.0
"""Seconds in which clients learn that a process is gone, and have their sessions, or new ones."""
MUTE = 17.0
"""Seconds after which a cut is known that the server did not notice."""
LOOKS = 30
"""How often it is looked whether everything is at rest."""
LEAVES_WITHIN = 4.0
"""Seconds in which nothing is left of a client that has gone: more than a call takes."""


class World(Steps):
    """Plays the steps of a schedule, and judges what remains."""

    async def play(self, count: int, steps: list[tuple[str, tuple[int, ...]]]) -> None:
        """Make the steps with some processes, then let everything come to rest."""
        async with cluster(self.make_hub, count, delay=self.delay) as self.processes:
            try:
                for name, arguments in steps:
                    result = getattr(self, name)(*arguments)
                    if isinstance(result, Awaitable):
                        await result
                    self.check()
                await self.rest()
                await self._vanish()
            finally:
                for client in self.clients:
                    await client.stop()
            await asyncio.sleep(LEAVES_WITHIN)
            self._check_bookkeeping()
        self.check()

    async def rest(self) -> None:
        """End all faults; everything that lives comes to rest, and then works at once."""
        self.go_on()
        self.most_delay = 0.0
        for ending in self.ending.values():
            await ending
        # The last fault may not be known yet, and a process that was stopped trusts no other yet.
        await asyncio.sleep(AFTERMATH)
        await self._settle_within(REST, "after the faults")
        while len(self.alive()) < MAX_PROCESSES:
            await self.join()  # two of them are killed below
        self._check_topics()
        for index, client in enumerate(self.open_clients()):
            client.say(2, 0)
            self.push(index, 1)
            self.publish(index, index % len(TOPICS), 1)
            self.deliver(index, index + 1)
        await self._settle_within(PROMPT, "after a few messages")
        sessions = {client: client.session for client in self.open_clients()}
        self.kill(self.random.randrange(MAX_PROCESSES))
        await self._settle_within(TOLD_WITHIN, "after a kill")
        for client, before in sessions.items():
            session = self.journal.sessions[before]
            if self.processes[session.home].is_alive:
                assert client.session == before, f"client {client.index} has lost {session}"
        self._check_topics()
        self._check_fates()

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
        for index, count in self.journal.running.items():
            if count and self.processes[index].is_alive:
                yield f"{count} calls of process {index} have not returned"
        for client in self.open_clients():
            session = self.journal.sessions.get(client.session)
            if client.newest_link is None or session is None:
                yield f"client {client.index} is not connected"
                continue
            if client.is_settled != set(range(1, client.sent + 1)):
                yield f"client {client.index} does not know what became of its messages"
            runtime = self._runtime(session.home)  # None once its process has stopped
            runner = runtime.registry.get(session.id) if runtime is not None else None
            if session.is_over or runner is None:
                yield f"client {client.index} has a session that is over"
            elif runner.session.outgoing.last != client.last or not session.orders.empty():
                yield f"client {client.index} has not received what was sent"

    def _check_topics(self) -> None:
        """Check that each member has what was sent to many, and what was sent to it."""
        journal = self.journal
        for client in self.open_clients():
            session, taken = journal.sessions[client.session], client.taken.get(client.session, ())
            for one in journal.publications:
                if one.is_done and session.member_since.get(one.topic, one.since) < one.since:
                    assert one.number in taken, f"client {client.index} has missed {one}"
            for delivery in journal.deliveries.values():
                if delivery.answer and delivery.session == session.id:
                    assert -delivery.number in taken, f"client {client.index} misses {delivery}"
        for dismissal in journal.dismissals:
            for session in journal.sessions.values():
                is_older = session.member_since[EVERYONE] < dismissal.since
                if dismissal.is_done and is_older and session.subject == dismissal.subject:
                    assert session.is_over, f"{session} goes on after {dismissal}"

    def _check_fates(self) -> None:
        for client in self.clients:
            handed = client.not_handled.intersection(self.journal.handed.get(client.index, ()))
            assert not handed, f"told as not handled, and handed out: {handed}"

    async def _vanish(self) -> None:
        """Let all clients vanish, and a process: the others keep nothing on the pipes to it."""
        await asyncio.sleep(MUTE)
        is_noticed = self.random.random() < 0.5
        for client in self.clients:
            client.cut(noticed=is_noticed)
        self.kill(self.random.randrange(MAX_PROCESSES))
        await asyncio.sleep(PROMPT)
        for index, process in enumerate(self.everyone()):
            if process.is_alive:
                relay = self._runtime(index)._relay
                links = [*relay.edge._links, *relay._home._links, *relay._calls._answering]
                assert all(pipe.is_open for pipe, _ in links), f"{process} keeps {links}"
        if is_noticed:
            await asyncio.sleep(LIMITS.poll_hold)  # a poll stays parked whose client has left
            self._check_bookkeeping()

    def _runtime(self, index: int) -> Any:
        return self.processes[index].app._lifecycle.current  # type: ignore[attr-defined]

    def _check_bookkeeping(self) -> None:
        """Check that nothing is left of connections and questions, as no client is there."""
        for index, process in enumerate(self.everyone()):
            if not process.is_alive:
                continue
            relay = self._runtime(index)._relay
            left = [
                *relay._calls._waiting,
                *relay._calls._answering,
                *relay.edge._links,
                *relay.openings._beginning,
                *relay._home._links,
                *relay._topics._writer._unanswered,
            ]
            assert not left, f"{process} keeps {left}"
            recipients = relay._topics._owner._recipients.values()
            assert not any(each.is_pending for each in recipients), f"{process} waits"
