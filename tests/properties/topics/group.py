"""Processes that publish and read topics of a model store, with members that move between them.

`Run` is one schedule of random faults. `Run.check` knows what each member must have got.
"""

from __future__ import annotations

import asyncio
import random
from typing import NamedTuple

from tests.properties.topics.members import TOPICS, Message, Process, Session, WatchedReader
from transport.protocol.topic_log import Entry, Keep, TopicLog
from transport.server.topics.stored.log_readers import REACHED_WITHIN
from transport.stores.topics.writer import GIVE_UP_AFTER
from transport.testing.topic_model import ModelSubscribeWire, TopicModel

STEPS = {
    "publish": 40,
    "join": 8,
    "born": 6,
    "store": 12,
    "move": 8,
    "kill": 4,
    "leave": 2,
    "cut": 4,
    "silence": 1,
    "pause": 2,
    "resume": 6,
    "refuse": 4,
    "keep": 3,
    "go back": 2,
    "flush": 1,
    "full": 1,
    "fail over": 3,
    "fail over unheard": 4,
}
"""What happens, and how often."""


class Loss(NamedTuple):
    """The store lost entries.

    Attributes:
        at: how many entries had been entered before.
        time: in seconds of the event loop.
        entries: those that were lost, each behind its topic.
    """

    at: int
    time: float
    entries: list[tuple[str, Entry]]


class Run:
    """One schedule.

    Args:
        seed: of the random choices.
        store: made for it.
    """

    def __init__(self, seed: int, store: TopicModel | None = None) -> None:
        self.random = random.Random(seed)
        random.seed(seed)  # pauses between attempts to connect
        keep = Keep(self.random.choice([4, 30, 1000]), 1 << 20)
        self.store = store or TopicModel(seed, latency=0.02, keep=keep, room=300)
        self.processes = [Process(self) for _ in range(3)]
        self.everybody: list[Session] = []
        self.calls: list[asyncio.Task[None]] = []
        self.knows: dict[Message, int] = {}
        """The highest number that the process of each publication knew before it."""
        self.kept: tuple[dict[str, TopicLog], list[tuple[str, Entry]]] | None = None
        self.surviving: list[tuple[str, Entry]] = []
        """The entries that the store has not lost, as of the last loss; then come all later."""
        self.counted = 0
        self.resets = self.unavailable = self.answered = 0
        self.is_quiet = True
        """Whether there was no fault yet."""
        self.lost: list[Loss] = []
        self.told: dict[Message, set[Message]] = {}
        self.full = 0.0

    def overflows(self) -> bool:
        return self.random.random() < self.full

    # What happens

    async def play(self, steps: int) -> None:
        """Play the schedule, end all faults, and let everything come to rest."""
        for _ in range(steps):
            await self.step()
            await asyncio.sleep(self.random.choice([0, 0.001, 0.01, 0.01, 0.05, 0.05, 0.5]))
        self.store.refuses = ""
        self.store.resume()
        for _ in range(3):  # so that the last messages come while members do
            self.burst()
            self.join(self.processes[0])
            self.move(self.processes[1], all_of_it=False)
            await asyncio.sleep(self.random.choice([0, 0.01, 0.03]))
            self.random.choice([self.store.cut, self.burst, self.burst])()
        await asyncio.sleep(GIVE_UP_AFTER + 1)
        self.check()
        for process in self.processes:
            assert not process.task.done(), process.task.exception()
            for topic in TOPICS:
                self.call(process, topic)
        await asyncio.sleep(REACHED_WITHIN + 1)
        assert all(call.done() for call in self.calls)
        for call in self.calls:
            if not call.cancelled():
                call.result()
        self.check()
        self.check_losses_are_told()

    async def stop(self) -> None:
        for process in self.processes:
            process.task.cancel()
        for call in self.calls:
            call.cancel()
        await asyncio.wait([*(process.task for process in self.processes), *self.calls])

    def call(self, process: Process, topic: str, exclude: str = "") -> None:
        if process not in self.processes:
            return
        self.calls.append(asyncio.create_task(process.publish(topic, exclude)))

    async def step(self) -> None:
        one = self.random.choice(self.processes)
        kind = self.random.choices(list(STEPS), list(STEPS.values()))[0]
        if kind not in {"publish", "join", "born", "store", "resume", "keep"}:
            self.is_quiet = False
        if kind in {"join", "born", "move", "kill", "cut", "refuse", "fail over"}:
            if kind == "fail over":
                self.kept = self.store.snapshot(), self.entries()
            self.burst()
            await asyncio.sleep(self.random.choice([0, 0.01, 0.03, 0.1]))
        match kind:
            case "publish":
                self.burst()
            case "join":
                self.join(one)
            case "born":
                session = self.session(one)
                session.base = session.now.cursor = self.store.now()
                session.began_at = asyncio.get_running_loop().time()
                session.has_joined = True
                session.step()
                one.topics.resume(session.topic, session, has_taken=False)
            case "store":
                for session in self.everybody:
                    if self.random.random() < 0.5:
                        session.step()
            case "move" | "kill" if len(self.processes) > 1:
                self.move(one, all_of_it=kind == "kill")
            case "leave" if self.everybody:
                self.remove(self.random.choice(self.everybody))
            case "cut":
                self.store.cut()
            case "silence":
                self.store.silence()
            case "pause":
                self.store.pause()
            case "resume":
                self.store.resume()
                self.store.refuses = ""
            case "refuse":
                self.store.refuses = "OOM"
                asyncio.get_running_loop().call_later(
                    self.random.choice([0.01, 0.02, 5]), setattr, self.store, "refuses", ""
                )
            case "keep":
                self.kept = self.store.snapshot(), self.entries()
            case "go back" | "fail over" if self.kept is not None:
                logs, entries = self.kept
                self.lose(entries)
                self.store.go_back(logs)
                if kind == "fail over":
                    self.move(one, all_of_it=self.random.random() < 0.5)
            case "fail over unheard":
                await self.fail_over_unheard(one, self.random.choice(self.processes))
            case "flush":
                self.lose([])
                self.store.flush()
            case "full":
                self.full = self.random.choice([0, 0.05])
            case _:
                pass

    async def fail_over_unheard(self, deaf: Process, other: Process) -> None:
        """Lose what one process has not heard of, and perhaps let that publish first."""
        topic = self.random.choice(TOPICS)
        logs, entries = self.store.snapshot(), self.entries()
        self.deafen(deaf)
        self.call(other, topic, self.excluded(topic))
        await asyncio.sleep(self.random.choice([0.02, 0.05, 0.1]))
        self.lose(entries)
        self.store.go_back(logs)
        if self.random.random() < 0.7:
            self.call(deaf, topic)

    def deafen(self, process: Process) -> None:
        """Let nothing arrive at a process, over the subscription that it has."""
        subscription = process.topics._readers._subscription
        assert isinstance(subscription, ModelSubscribeWire)
        if subscription.is_connected:
            subscription.connection.is_silent = True

    def burst(self) -> None:
        """Let processes publish, one after the other or at once."""
        loop = asyncio.get_running_loop()
        topic = self.random.choice(TOPICS)
        at = loop.time()
        for _ in range(self.random.choice([1, 2, 4, 8])):
            process = self.random.choice(self.processes)
            loop.call_at(at, self.call, process, topic, self.excluded(topic))
            at += self.random.choice([0, 0, 0.002, 0.01])

    def excluded(self, topic: str) -> str:
        members = [each.id for each in self.everybody if each.topic == topic]
        return self.random.choice(members) if members and self.random.random() < 0.2 else ""

    def remove(self, session: Session) -> None:
        self.everybody.remove(session)
        session.process.sessions.remove(session)
        session.process.topics.leave(session.topic, session)

    def session(self, process: Process) -> Session:
        name = f"s{len(self.everybody)}-{self.random.randrange(10**6)}"
        session = Session(self, name, self.random.choice(TOPICS))
        session.process = process
        process.sessions.append(session)
        self.everybody.append(session)
        return session

    def join(self, process: Process) -> None:
        session = self.session(process)

        async def join() -> None:
            await process.topics.join(session.topic, session)
            session.has_joined = True

        call = asyncio.create_task(join())
        self.calls.append(call)
        process.joins.append(call)

    def move(self, one: Process, *, all_of_it: bool) -> None:
        """Let another process claim sessions from what is stored; end the first one perhaps."""
        others = [each for each in self.processes if each is not one]
        now = asyncio.get_running_loop().time()
        for session in list(one.sessions):
            if all_of_it or self.random.random() < 0.5:
                session.moved_at = now
                if session.stored.cursor is None or session.was_reset:
                    self.remove(session)
                    continue
                one.topics.leave(session.topic, session)
                one.sessions.remove(session)
                session.restore()
                session.came_with = session.cursor
                other = session.process = self.random.choice(others)
                other.sessions.append(session)
                has_taken = session.stored.has_taken or self.random.random() < 0.5
                other.topics.resume(session.topic, session, has_taken=has_taken)
        if all_of_it:
            one.task.cancel()
            for join in one.joins:
                join.cancel()
            self.processes.remove(one)
            self.processes.append(Process(self))

    # What must be

    def entries(self) -> list[tuple[str, Entry]]:
        """Return the messages that the store has had entered and not lost."""
        later = self.store.entered[self.counted :]
        return self.surviving + [(topic, entry) for topic, entry in later if not entry.is_mark]

    def note_what_was_told(self) -> None:
        """Note which lost message each publication told of, as the first one after the loss."""
        for loss in self.lost:
            for topic in TOPICS:
                first = next((e for t, e in self.store.entered[loss.at :] if t == topic), None)
                if first is not None:
                    message = first.writer, first.serial
                    self.told.setdefault(message, set()).update(
                        (e.writer, e.serial)
                        for t, e in loss.entries
                        if t == topic and e.number == self.knows.get(message, first.known)
                    )

    def lose(self, left: list[tuple[str, Entry]]) -> None:
        kept = {entry.number for _, entry in left}
        lost = [(topic, entry) for topic, entry in self.entries() if entry.number not in kept]
        now = asyncio.get_running_loop().time()
        self.lost.append(Loss(len(self.store.entered), now, lost))
        self.surviving = left
        self.counted = len(self.store.entered)

    def check_losses_are_told(self) -> None:
        """Check that nobody has missed a lost message that a process knows which still lives."""
        for loss in self.lost:
            for topic, entry in loss.entries:
                message = entry.writer, entry.serial
                seen = [self.saw(process, topic).get(message) for process in self.processes]
                if entry.number not in seen:
                    continue
                for session in self.everybody:
                    is_due = session.base < entry.number and entry.exclude != session.id
                    was_there = session.began_at <= loss.time and session.came_with < entry.number
                    if session.topic == topic and was_there and is_due:
                        got = {(e.writer, e.serial) for e in session.now.got}
                        assert session.was_reset or message in got, (
                            f"{session.id} of {session.base} was not told of {message}, which the "
                            f"store lost as {entry.number}"
                        )

    def saw(self, process: Process, topic: str) -> dict[Message, int]:
        """Return what a process has seen of a topic."""
        reader = process.topics._readers._readers.get(topic)
        assert isinstance(reader, WatchedReader | None)
        return {} if reader is None else reader.saw

    def check(self) -> None:
        """Check what each member got."""
        instances: dict[Message, list[int]] = {}
        excludes: dict[Message, str] = {}
        topic_of: dict[Message, str] = {}
        for topic, entry in self.store.entered:
            message = entry.writer, entry.serial
            instances.setdefault(message, []).append(entry.number)
            excludes[message] = entry.exclude
            topic_of[message] = topic
        surviving = [(topic, (e.writer, e.serial)) for topic, e in self.entries()]
        self.note_what_was_told()
        for session in self.everybody:
            got = [(e.writer, e.serial) for e in session.now.got]
            assert len(set(got)) == len(got), f"{session.id} got a message twice"
            numbers = [e.number for e in session.now.got]
            assert numbers == sorted(numbers)
            for writer in {writer for writer, _ in got}:
                serials = [serial for name, serial in got if name == writer]
                assert serials == sorted(serials), f"{session.id} got messages out of order"
            assert all(excludes[each] != session.id for each in got)
            assert all(topic_of[each] == session.topic for each in got)
            if session.was_reset:
                continue
            due = {each for topic, each in surviving if topic == session.topic}
            saw = self.saw(session.process, session.topic)
            due |= {each for each, at in saw.items() if at > session.came_with}
            for message in got:
                due |= self.told.get(message, set())
            for message in due - set(got):
                first = min(instances[message])
                is_due = first > session.base and excludes[message] != session.id
                assert not is_due, (
                    f"{session.id} of {session.base} misses {message} at {instances[message]}"
                )
