"""`World`: processes of one hub, their clients, and what must hold whatever happens to them.

The processes run the real hub over a bus in memory; the clients run the real session of a client.
Everything random comes from the seed of the world, so the same steps are the same run.

Whatever happens, each message is handed to a handler at most once, and in order; what a client is
told of it is true. When nothing more happens, everything that lives comes to rest.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Message, Receive, Scope, Send

from tests.properties.processes.application import EVERYONE, TOPICS, Journal
from tests.properties.processes.client import ModelClient
from transport import Channel, Hub, Identity, Limits, codes
from transport.bus.workers import Workers
from transport.protocol.client.events import Closed, WasReset
from transport.protocol.frames import ResetReason, TransportKind
from transport.testing.cluster import Cluster, Process, cluster

TRANSPORTS = tuple(TransportKind)
LIMITS = Limits(
    heartbeat=5, poll_hold=5, ttl=60, stream=20, drain_grace=2, drain_window=1, window_messages=8
)
MAX_PROCESSES = 4
MAX_CLIENTS = 4
MAX_UNSETTLED = 20

DELAYS = (0.0, 0.001, 0.02, 0.3)
"""Seconds: the longest that an item takes between processes."""
PAUSES = (0.0, 0.0, 0.001, 0.01, 0.05, 0.2, 1.0, 4.0)
"""Seconds that pass in the step ``wait``."""

ERROR = '{"type":"error"'
"""Begins the frame that refuses something."""

AFTERMATH = 6.0
"""Seconds after a fault in which a client may be told ``unavailable``: a call is answered in 3 s,
or given up; clients that were told to come again later are not told so by a process."""
REST = 45.0
"""Seconds in which all that lives comes to rest: a connection that is mute is given up after 15 s,
and the attempts after it are at most 8 s apart."""

PROMPT = 1.0
"""Seconds in which messages arrive and are acknowledged, both ways, when nothing fails."""
TOLD_WITHIN = 3.0
"""Seconds in which clients learn that a process is gone, and have their sessions, or new ones."""
LOOKS = 30
"""How often it is looked whether everything is at rest."""
LEAVES_WITHIN = 4.0
"""Seconds in which nothing is left of a client that has gone: more than a call takes."""


class World:
    """Processes and clients.

    Args:
        processes: the cluster, without a process yet.
        random: the source of everything random.
    """

    def __init__(self, source: Random) -> None:
        self.random = source
        self.journal = Journal()
        self.clients: list[ModelClient] = []
        self.failures: list[BaseException] = []
        self.refusals: list[str] = []
        self.most_delay = 0.0
        self._processes: Cluster
        self._made = 0
        self._last_fault = 0.0
        self._ending: dict[int, asyncio.Task[None]] = {}

    async def play(self, count: int, steps: list[tuple[str, tuple[int, ...]]]) -> None:
        """Make the steps with some processes, then let everything come to rest."""
        async with cluster(self._make_hub, count, delay=self._delay) as self._processes:
            try:
                for name, arguments in steps:
                    result = getattr(self, name)(*arguments)
                    if isinstance(result, Awaitable):
                        await result
                    self._check()
                await self.rest()
            finally:
                for client in self.clients:
                    await client.stop()
            await asyncio.sleep(LEAVES_WITHIN)
            self._check_bookkeeping()
        self._check()

    def _make_hub(self, store: Workers) -> Hub:
        home, self._made = self._made, self._made + 1

        async def handle(channel: Channel) -> None:
            await self.journal.handle(hub, channel, home)

        async def authenticate(_: HTTPConnection, credentials: Any) -> Identity:
            return Identity(credentials, user=credentials)

        hub = Hub(handle, store=store, limits=LIMITS, name="model", authenticate=authenticate)
        return hub

    def _delay(self) -> float:
        return self.random.uniform(0, self.most_delay)

    # What clients reach

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a random process serve a request, also one that is stopped."""
        alive = [each for each in self._all() if each.is_accepting]
        running = [each for each in alive if not each.is_stopped]
        among = alive if not running or self.random.random() < 0.1 else running

        async def watch(message: Message) -> None:
            text = message.get("body") or message.get("text") or b""
            text = text.decode() if isinstance(text, bytes) else text
            if (at := text.find(ERROR)) >= 0:
                with self.noting_failures():
                    self._check_error(json.JSONDecoder().raw_decode(text, at)[0])
            await send(message)

        if among:
            await self.random.choice(among)(scope, receive, watch)

    def _check_error(self, error: dict[str, Any]) -> None:
        assert error["code"] not in ("internal", "bad_frame", "gap", "window_exceeded"), error
        if error["code"] == "unavailable":
            assert self._is_disturbed, f"{error} without a fault"

    @property
    def _is_disturbed(self) -> bool:
        now = asyncio.get_running_loop().time()
        return now - self._last_fault <= AFTERMATH or any(each.is_stopped for each in self._alive())

    def check_reset(self, client: ModelClient, event: WasReset) -> None:
        """Check the reason of a reset."""
        [index] = [
            index
            for index, process in enumerate(self._all())
            if any(client.session.startswith(bus.name) for bus in process._buses)
        ]
        home = self._processes[index]
        what = f"client {client.index} is told {event.reason} of a session at {home}"
        match event.reason:
            case ResetReason.RESTARTED:
                assert not home.is_alive, what
            case ResetReason.SHUTDOWN:
                assert index in self._ending, what
            case ResetReason.OVERFLOW:  # it missed a message for many, or had no room for one
                assert self._is_disturbed or self.journal.publications, what
            case _:
                raise AssertionError(what)

    def check_closed(self, client: ModelClient, event: Closed) -> None:
        """Check why a channel ended."""
        what = f"client {client.index} was closed: {event}"
        assert event.code == codes.UNAUTHORIZED.close_code, what
        assert any(each.subject == client.credentials for each in self.journal.dismissals), what

    @contextmanager
    def noting_failures(self) -> Iterator[None]:
        """Keep what fails in a task or a callback."""
        try:
            yield
        except AssertionError as error:
            self.failures.append(error)

    def _check(self) -> None:
        if self.failures:
            raise self.failures[0]
        for client in self.clients:
            client.check()

    def _all(self) -> list[Process]:
        return [self._processes[index] for index in range(len(self._processes))]

    def _alive(self) -> list[Process]:
        return [each for each in self._all() if each.is_alive]

    def _fault(self) -> None:
        self._last_fault = asyncio.get_running_loop().time()

    # Steps of clients

    def come(self, transport: int) -> None:
        """Let a client open a channel."""
        if len(self._open_clients()) < MAX_CLIENTS:
            client = ModelClient(self, len(self.clients), TRANSPORTS[transport])
            self.clients.append(client)
            client.resume()

    def _open_clients(self) -> list[ModelClient]:
        return [each for each in self.clients if each.closed is None]

    def _client(self, index: int) -> ModelClient | None:
        clients = self._open_clients()
        return clients[index % len(clients)] if clients else None

    def say(self, index: int, count: int, replies: int, delay: int) -> None:
        """Let a client send."""
        client = self._client(index)
        if client is not None and client.sent - len(client.is_settled) < MAX_UNSETTLED:
            for _ in range(count):
                client.say(replies, delay * delay)

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

    # Steps of processes

    def _living(self, index: int, *, leaves: int = 0) -> int | None:
        """Return the index of a process that lives and does not end, if more than some do."""
        living = [
            each
            for each in range(len(self._processes))
            if self._processes[each].is_alive and each not in self._ending
        ]
        return living[index % len(living)] if len(living) > leaves else None

    def kill(self, index: int) -> None:
        """Kill a process, but not the last one."""
        chosen = self._living(index, leaves=1)
        if chosen is not None:
            self._fault()
            self._processes.kill(chosen)

    def stop(self, index: int) -> None:
        """Stop a process."""
        chosen = self._living(index)
        if chosen is not None:
            self._processes.stop(chosen)

    def go_on(self) -> None:
        """Let all processes that are stopped go on."""
        for index, process in enumerate(self._all()):
            if process.is_alive and process.is_stopped:
                self._fault()
                self._processes.go_on(index)

    async def join(self) -> None:
        """Start a process."""
        if len(self._alive()) < MAX_PROCESSES:
            self._fault()
            await self._processes.start()
            self._fault()

    def shut_down(self, index: int) -> None:
        """Shut a process down, but not the last one."""
        chosen = self._living(index, leaves=1)
        if chosen is not None and not self._processes[chosen].is_stopped:
            self._ending[chosen] = asyncio.create_task(self._shut_down(chosen))

    async def _shut_down(self, index: int) -> None:
        self._fault()
        await self._processes.shut_down(index)
        self._fault()

    def cut_pipes(self, index: int, other: int) -> None:
        """Cut the pipes between two processes."""
        one, two = self._living(index), self._living(other)
        if one is not None and two is not None and one != two:
            self._fault()
            self._processes.cut(one, two)

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

    # The end

    async def rest(self) -> None:
        """End all faults; everything that lives comes to rest, and then works at once."""
        self.go_on()
        self.most_delay = 0.0
        for ending in self._ending.values():
            await ending
        await asyncio.sleep(2.0)  # the last fault may not be known yet
        await self._settle_within(REST, "after the faults")
        self._check_topics()
        for index, client in enumerate(self._open_clients()):
            client.say(2, 0)
            self.push(index, 1)
            self.publish(index, index % len(TOPICS), 1)
            self.deliver(index, index + 1)
        await self._settle_within(PROMPT, "after a few messages")
        sessions = {client: client.session for client in self._open_clients()}
        self.kill(self.random.randrange(MAX_PROCESSES))
        await self._settle_within(TOLD_WITHIN, "after a kill")
        for client, before in sessions.items():
            session = self.journal.sessions[before]
            if self._processes[session.home].is_alive:
                assert client.session == before, f"client {client.index} has lost {session}"
        self._check_topics()
        self._check_fates()

    async def _settle_within(self, seconds: float, when: str) -> None:
        left: list[str] = []
        for _ in range(LOOKS):
            await asyncio.sleep(seconds / LOOKS)
            self._check()
            left = list(self._unsettled())
            if not left:
                return
        raise AssertionError(f"not at rest {seconds} s {when}: {'; '.join(left)}")

    def _unsettled(self) -> Iterator[str]:
        """Yield what is not at rest, in words."""
        for index, count in self.journal.running.items():
            if count and self._processes[index].is_alive:
                yield f"{count} calls of process {index} have not returned"
        for client in self._open_clients():
            session = self.journal.sessions.get(client.session)
            if client.newest_link is None or session is None:
                yield f"client {client.index} is not connected"
                continue
            if client.is_settled != set(range(1, client.sent + 1)):
                yield f"client {client.index} does not know what became of its messages"
            runner = self._runtime(session.home).registry.get(session.id)
            if session.is_over or runner is None:
                yield f"client {client.index} has a session that is over"
            elif runner.session.outgoing.last != client.last or not session.orders.empty():
                yield f"client {client.index} has not received what was sent"

    def _check_topics(self) -> None:
        """Check that each member has what was sent to many, and what was sent to it."""
        journal = self.journal
        for client in self._open_clients():
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

    def _runtime(self, index: int) -> Any:
        return self._processes[index].app._lifecycle.current  # type: ignore[attr-defined]

    def _check_bookkeeping(self) -> None:
        """Check that nothing is left of connections and questions, as no client is there."""
        for index, process in enumerate(self._all()):
            if not process.is_alive:
                continue
            relay = self._runtime(index)._relay
            left = [
                *relay._calls._waiting,
                *relay._calls._answering,
                *relay.edge._links,
                *relay.edge._beginning,
                *relay._home._links,
                *relay._topics._writer._unanswered,
                *relay._topics._writer._turns,
            ]
            assert not left, f"{process} keeps {left}"
            recipients = relay._topics._owner._recipients.values()
            assert not any(each.is_pending for each in recipients), f"{process} waits"
