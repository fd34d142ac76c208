"""Random faults between processes that publish: no gap without a reset, nothing twice, in order."""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from tests.unit.server.topics.owned.net import Net, Process
from transport.server.topics.owned.recipient import LEFT_OUT_AFTER
from transport.server.topics.owned.writer import PASSED_OVER_AFTER

SCHEDULES = int(os.environ.get("TOPIC_SCHEDULES", "300"))
STEPS = 60
REST = (LEFT_OUT_AFTER + PASSED_OVER_AFTER) * 4


def gave_up(one: Process) -> bool:
    """Return whether another process out of its reach misses something."""
    recipients = one.published._owner._recipients.values()
    return any(each._missed is not None and each._pipe is None for each in recipients)


class Schedule:
    """One run of random faults.

    Args:
        seed: of the random choices.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.net = Net("abc", topics=["t", "u"])
        self.names = iter("defghijklmnop")
        self.published: list[tuple[str, str, str, asyncio.Task[None]]] = []
        """Writer, topic, message, and the call."""
        self.born: dict[str, int] = dict.fromkeys("abc", 0)
        """How many publications there were when each process came."""
        self.cuts: set[tuple[str, str]] = set()
        self.gave_up: set[str] = set()
        """Processes that were cut from another for so long that they gave it up. None of these is
        killed: what it has to tell the other could end with it. Real pipes open again at once."""
        self.had_resets: dict[str, int] = {}

    async def step(self) -> None:
        living = list(self.net.processes.values())
        one = self.random.choice(living)
        kind = self.random.choices(
            ["publish", "deliver", "wait", "cut", "mend", "stop", "go on", "kill", "join"],
            [30, 40, 8, 4, 6, 3, 5, 1, 1],
        )[0]
        match kind:
            case "publish" if not one.is_stopped:
                for _ in range(self.random.randrange(1, 4)):
                    self.publish(one)
                await asyncio.sleep(0)
            case "deliver":
                for _ in range(self.random.randrange(1, 8)):
                    if pipes := self.net.pipes():
                        await self.net.deliver(self.random.choice(pipes))
            case "wait":
                await self.net.wait(self.random.choice([0.25, 1.0, 4.0]))
            case "cut" if len(living) > 1:
                other = self.random.choice([each for each in living if each is not one])
                if (one.name, other.name) not in self.cuts:
                    self.net.cut(one, other)
                    self.cuts.add((one.name, other.name))
            case "mend":
                self.mend()
            case "stop" if sum(not each.is_stopped for each in living) > 1:
                one.is_stopped = True
            case "go on":
                one.is_stopped = False
            case "kill" if len(living) > 2 and not self.cuts and one.name not in self.gave_up:
                self.net.kill(one.name, lambda sent: self.random.randrange(sent + 1))
            case "join" if not self.cuts:
                name = next(self.names)
                self.net.join(name)
                self.born[name] = len(self.published)

    def publish(self, one: Process) -> None:
        topic = self.random.choice("tu")
        message = f"{one.name}{len(self.published)}"
        task = asyncio.ensure_future(one.published.publish(topic, message))
        self.published.append((one.name, topic, message, task))

    def mend(self) -> None:
        self.gave_up |= {one for one, _ in self.cuts if gave_up(self.net[one])}
        for one, two in self.cuts:
            self.net.connect(self.net[one], self.net[two])
        self.cuts.clear()

    async def rest(self) -> None:
        """End all faults, and let everything arrive."""
        self.mend()
        for process in self.net.processes.values():
            process.is_stopped = False
        await self.net.settle()
        await self.net.wait(REST)

    def check(self) -> None:
        living = self.net.processes
        for index, (writer, topic, message, task) in enumerate(self.published):
            if writer in living:
                assert task.done(), f"{message} is not answered"
            is_answered = task.done() and task.exception() is None
            assert is_answered or writer not in living
            for name, process in living.items():
                got = process.got.get(topic, [])
                assert got.count(message) <= 1, f"{name} got {message} twice"
                is_due = is_answered and self.born[name] <= index and not process.resets.get(topic)
                assert not is_due or message in got, f"{name} misses {message} in silence"
        for name, process in living.items():
            for topic, got in process.got.items():
                if process.resets.get(topic):
                    continue
                for writer in self.born:
                    numbers = [int(str(each)[1:]) for each in got if str(each)[0] == writer]
                    assert numbers == sorted(numbers), f"{name} got {got} of {topic}"
        for process in living.values():
            assert not process.published._owner.is_pending
            assert not process.published._writer.is_pending


async def play(seed: int) -> Schedule:
    schedule = Schedule(seed)
    for _ in range(STEPS):
        await schedule.step()
    await schedule.rest()
    schedule.check()
    for *_, task in schedule.published:
        task.cancel()
    await asyncio.gather(*(task for *_, task in schedule.published), return_exceptions=True)
    return schedule


@pytest.mark.parametrize("start", range(0, SCHEDULES, 100))
async def test_random_faults_lose_and_double_nothing(start: int) -> None:
    for seed in range(start, min(start + 100, SCHEDULES)):
        try:
            await play(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error


async def test_most_schedules_reset_nobody() -> None:
    """The check above says nothing of members that are reset."""
    schedules = [await play(seed) for seed in range(50)]
    processes = [one for each in schedules for one in each.net.processes.values()]
    assert sum(not one.resets for one in processes) > len(processes) / 2
    assert any(one.resets for one in processes)
