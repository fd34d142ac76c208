"""Processes that publish, on pipes that deliver when a test says so, under a clock of the test.

`Net` has `Process`es. What one sends waits in its pipe until `Net.deliver` or `Net.settle`. A
process can be stopped (it reads nothing, and goes on later), killed, or cut from another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Set
from typing import Any, cast

from transport.bus.interface import Bus, NotReached, Pipe
from transport.bus.items import Item, decode_item, encode_item
from transport.protocol.codec import Payload
from transport.server.clock import Clock
from transport.server.topics.owned.topics import TICK_INTERVAL, Topics


class NetPipe:
    """One end of a pipe. Implements `Pipe`."""

    def __init__(self, process: Process, peer: str, *, is_own: bool) -> None:
        self.process = process
        self.peer = peer
        self.is_own = is_own
        self.is_open = True
        self.other: NetPipe
        self.arrived: deque[bytes] = deque()

    def send(self, item: Item) -> None:
        if self.is_open:
            self.other.arrived.append(encode_item(item))

    def end(self) -> None:
        raise NotImplementedError


class Process:
    """One process: its members, and what they got.

    Attributes:
        got: the messages of each topic in the order of their arrival.
        resets: how often the members of each topic were reset.
        is_stopped: whether it reads nothing.
    """

    def __init__(self, net: Net, name: str) -> None:
        self.name = name
        self.net = net
        self.got: dict[str, list[Payload]] = {}
        self.resets: dict[str, int] = {}
        self.is_stopped = False
        self.time = 0.0
        self.stopped = (0.0, 0.0)
        """For how long it was stopped last, and when by its clock."""
        self.own: dict[str, NetPipe] = {}
        self.accepted: dict[str, NetPipe] = {}
        self.left: set[str] = set()
        clock = cast("Clock", self)
        self.loop = net.loop
        self.now = lambda: self.time
        self.published = Topics(cast("Bus", self), self, clock)

    def was_stopped(self, seconds: float, within: float) -> bool:
        length, end = self.stopped
        return length >= seconds and self.time - end <= within

    # `Members`

    def deliver(self, topic: str, payload: Payload) -> None:
        self.got.setdefault(topic, []).append(payload)

    def topics(self) -> Iterable[str]:
        return list(self.net.topics)

    def reset(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self.resets[topic] = self.resets.get(topic, 0) + 1

    # `Bus`

    @property
    def peers(self) -> Set[str]:
        return self.own.keys()

    def receives_from(self, name: str) -> bool:
        return name in self.accepted and self.accepted[name].is_open

    def pipe_to(self, name: str) -> Pipe:
        pipe = self.own.get(name)
        if pipe is None or not pipe.is_open:
            raise NotReached(name)
        return cast("Pipe", pipe)


class Net:
    """The processes.

    Args:
        names: of the first ones.
        topics: in which each process has members.
    """

    def __init__(self, names: str, topics: Iterable[str] = ("t",)) -> None:
        self.loop = asyncio.get_running_loop()
        self.topics = list(topics)
        self.processes: dict[str, Process] = {}
        for name in names:
            self.join(name)

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    def join(self, name: str) -> Process:
        """Start one more process; on return it has pipes both ways with each other one."""
        new = Process(self, name)
        for other in self.processes.values():
            self.connect(new, other)
            self.connect(other, new)
        self.processes[name] = new
        new.published.begin()
        return new

    def connect(self, one: Process, two: Process) -> None:
        """Open the pipe of one process to another."""
        mine, theirs = NetPipe(one, two.name, is_own=True), NetPipe(two, one.name, is_own=False)
        mine.other, theirs.other = theirs, mine
        one.own[two.name] = mine
        two.accepted[one.name] = theirs
        if one.name in self.processes and two.name in self.processes:
            one.published.opened(cast("Pipe", mine))
            two.published.opened(cast("Pipe", theirs))

    def cut(self, one: Process, two: Process) -> None:
        """End the pipe of one process to another: what is on its way is lost."""
        pipe = one.own[two.name]
        for end in (pipe, pipe.other):
            end.arrived.clear()
            end.is_open = False
            end.process.published.ended(cast("Pipe", end))

    def kill(self, name: str, lose: Callable[[int], int] = lambda sent: 0) -> None:
        """End a process. What it had sent arrives, but for what was still in its memory.

        Args:
            name: of the process.
            lose: given how many items are under way in a pipe, returns how many of the last are
                lost.
        """
        dead = self.processes.pop(name)
        for other in self.processes.values():
            for end in (other.accepted[name], other.own[name]):
                was_stopped, other.is_stopped = other.is_stopped, False
                for _ in range(lose(len(end.arrived))):
                    end.arrived.pop()
                while end.arrived:
                    self._read(end)
                other.is_stopped = was_stopped
                end.is_open = False
                other.published.ended(cast("Pipe", end))
            del other.own[name]
            del other.accepted[name]
            other.published.left(name)
        dead.published.stop()

    def pipes(self) -> list[NetPipe]:
        """Return the ends at which something can be read now."""
        return [
            pipe
            for process in self.processes.values()
            if not process.is_stopped
            for pipe in (*process.own.values(), *process.accepted.values())
            if pipe.arrived
        ]

    def _read(self, pipe: NetPipe) -> None:
        item: Any = decode_item(pipe.arrived.popleft())
        pipe.process.published.received(cast("Pipe", pipe), item)

    async def deliver(self, pipe: NetPipe) -> None:
        """Let a process read one item."""
        self._read(pipe)
        await asyncio.sleep(0)  # it tells what it has taken

    async def settle(self) -> None:
        """Deliver everything that can be read."""
        await asyncio.sleep(0)
        while pipes := self.pipes():
            for pipe in pipes:
                await self.deliver(pipe)
        await asyncio.sleep(0)

    async def wait(self, seconds: float) -> None:
        """Let time pass in the processes that are not stopped."""
        for _ in range(round(seconds / TICK_INTERVAL)):
            for process in list(self.processes.values()):
                length, end = process.stopped
                if process.is_stopped:
                    begun = length if end == process.time else 0.0
                    process.stopped = begun + TICK_INTERVAL, process.time
                else:
                    process.time += TICK_INTERVAL
                    process.published.tick()
            await self.settle()
