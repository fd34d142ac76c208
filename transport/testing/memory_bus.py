"""`MemoryBus`: the bus of processes that share an event loop, in a test.

It keeps the contract of `Bus` as the one on Unix sockets does: each item is encoded and decoded,
and what a process is told, it is told in its own context. So one that is suspended takes nothing,
and takes what has arrived, in order, when it goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import secrets
from collections import deque
from collections.abc import Callable, Set
from enum import Enum

from transport.bus.interface import NAME_LENGTH, NotReached, Receiver
from transport.bus.items import Hello, Item, decode_item, encode_item

HELLO_WITHIN = 1.0
"""Seconds that `MemoryBus.start` waits for the others. One that is stopped may not delay it."""

TAG_LENGTH = 4


class _Signal(Enum):
    BEGIN = "the pipe was opened"
    END = "the other process has ended it, or is gone"


class MemoryNetwork:
    """What the processes of one hub share.

    Attributes:
        delay: returns the seconds that the next item takes from one process to another.
        buses: of the processes that live, by name.
        left: what processes have left behind, by name.
        secret: see `Bus`.
        tag: begins the name of each process that the bus has named.
        named: the other names of processes, of all times.
        stalled_at: see `Bus.stalled_at`.
        lapsed: names of processes that live, and count as gone, see `lapse`.
    """

    def __init__(self, delay: Callable[[], float] = lambda: 0.0) -> None:
        self.delay = delay
        self.buses: dict[str, MemoryBus] = {}
        self.left: dict[str, bytes] = {}
        self.secret = secrets.token_bytes(32)
        self.tag = secrets.token_hex(TAG_LENGTH // 2)
        self.named: set[str] = set()
        self.lapsed: set[str] = set()
        self._is_stalled = False
        self._stalled_at = -math.inf
        self._held: list[tuple[Callable[[], object], contextvars.Context]] = []
        """What was to arrive meanwhile, in order."""

    def lapse(self, name: str) -> None:
        """Let a process count as gone, as over Redis one whose lease has ended, until
        `end_lapse`."""
        self.lapsed.add(name)
        for bus in self.buses.values():
            if bus.name != name:
                bus.call_soon(bus.cut, name)

    def end_lapse(self, name: str) -> None:
        """Let a process join the others again: it learns that its pipes have ended."""
        self.lapsed.discard(name)

    @property
    def is_stalled(self) -> bool:
        """Whether nothing passes; what is sent meanwhile arrives after that. May be set."""
        return self._is_stalled

    @is_stalled.setter
    def is_stalled(self, is_stalled: bool) -> None:
        self._stalled_at = self.stalled_at
        self._is_stalled = is_stalled
        if not is_stalled:
            loop = asyncio.get_running_loop()
            held, self._held = self._held, []
            for arrive, context in held:
                loop.call_soon(arrive, context=context)

    @property
    def stalled_at(self) -> float:
        """See `Bus.stalled_at`."""
        return asyncio.get_running_loop().time() if self._is_stalled else self._stalled_at

    def hold(self, arrive: Callable[[], object], context: contextvars.Context) -> None:
        """Call this in its context when nothing is stalled any more."""
        self._held.append((arrive, context))


class MemoryPipe:
    """One end of a pipe. Implements `Pipe`.

    Args:
        bus: of the process that has this end.
        other: the bus at the other end.
        is_own: whether this process has opened it.

    Attributes:
        target: the other end.
    """

    def __init__(self, bus: MemoryBus, other: MemoryBus, *, is_own: bool) -> None:
        self.peer = other.name if is_own else ""
        self.is_open = True
        self.is_own = is_own
        self.is_greeted = False
        self.target: MemoryPipe | None = None
        self.other = other
        self._bus = bus
        self._lane: deque[bytes | _Signal] = deque()
        """What is under way to the other end. Nothing overtakes anything."""
        self._last_arrival = 0.0

    # `Pipe`

    def send(self, item: Item) -> None:
        """See `Pipe.send`."""
        if self.is_open:
            self.post(encode_item(item))

    def end(self) -> None:
        """See `Pipe.end`. What is under way is lost, in both directions."""
        if self.is_open:
            assert self.target is not None
            for pipe in (self, self.target):
                pipe._lane = deque(each for each in pipe._lane if isinstance(each, _Signal))
            self.close()

    def close(self) -> None:
        """End the pipe; what was sent on it arrives."""
        if self.is_open:
            self.is_open = False
            self.post(_Signal.END)
            self._bus.call_soon(self._bus.ended, self)

    def post(self, what: bytes | _Signal) -> None:
        """Let something arrive at the other end, behind what was sent before."""
        network, loop, context = self._bus.network, self._bus.loop, self.other.context
        if loop.is_closed():
            return
        self._lane.append(what)
        self._last_arrival = max(self._last_arrival, loop.time() + network.delay())
        if self._last_arrival > loop.time():
            loop.call_at(self._last_arrival, self._arrive, context=context)
        else:
            loop.call_soon(self._arrive, context=context)

    def _arrive(self) -> None:
        """Deliver what is next; called in the process of the other end."""
        assert self.target is not None
        if self._bus.network.is_stalled:
            self._bus.network.hold(self._arrive, self.other.context)
        elif self._lane:
            self.target._take(self._lane.popleft())

    def _take(self, what: bytes | _Signal) -> None:
        if not self.is_open or self._bus.has_vanished:
            return
        if what is _Signal.BEGIN:
            self.send(self._bus.hello)
        elif what is _Signal.END:
            self.is_open = False
            self._bus.ended(self)
        else:
            assert isinstance(what, bytes)
            item = decode_item(what)
            if self.is_greeted:
                self._bus.received(self, item)
            else:
                assert isinstance(item, Hello), item
                self.is_greeted = True
                self.peer = item.name
                self._bus.greeted(self)


class MemoryBus:
    """Implements `Bus` for the processes that share a network.

    Args:
        network: of the processes.
        name: of the process; by default a new one.

    Attributes:
        context: in which the process is told what happens.
        loop: the event loop of all processes.
        hello: the first item that it sends on each pipe.
        has_vanished: whether the process is gone, without having stopped the bus.
        joined: set once it has started, or is gone.
    """

    def __init__(self, network: MemoryNetwork, name: str | None = None) -> None:
        self.name = name or network.tag + secrets.token_hex((NAME_LENGTH - TAG_LENGTH) // 2)
        if name is not None:
            network.named.add(name)
        self.secret = network.secret
        self.network = network
        self.context = contextvars.copy_context()
        self.loop = asyncio.get_running_loop()
        self.hello = Hello(self.name)
        self.has_vanished = False
        self.joined = asyncio.Event()
        self._receiver: Receiver | None = None
        self._pipes: dict[str, MemoryPipe] = {}
        """The pipes that this process has opened. While one is opened anew, the one that ended is
        still here."""
        self._pipes_here: dict[str, MemoryPipe] = {}
        """Those that others have opened, and that are open."""
        self._ends: dict[MemoryPipe, None] = {}
        """Of all pipes, also of those that this process has not accepted yet."""
        self._connecting: set[str] = set()
        self._changed = asyncio.Event()
        self._is_stopped = False

    def call_soon(self, callback: Callable[..., object], *arguments: object) -> None:
        """Call a function in this process."""
        if not self.loop.is_closed():
            self.loop.call_soon(callback, *arguments, context=self.context)

    # `Bus`

    @property
    def peers(self) -> Set[str]:
        """See `Bus.peers`."""
        return self._pipes.keys()

    @property
    def stalled_at(self) -> float:
        """See `Bus.stalled_at`."""
        return self.network.stalled_at

    async def start(self, receiver: Receiver) -> None:
        """See `Bus.start`."""
        self._receiver = receiver
        self.network.buses[self.name] = self
        for name in list(self.network.buses):
            self._connect(name)
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                while not all(map(self._is_joined, self._pipes)):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass  # one that is stopped
        self.joined.set()

    def _is_joined(self, name: str) -> bool:
        """Return whether there are pipes both ways."""
        return self._pipes[name].is_greeted and self.receives_from(name)

    def leave_behind(self, data: bytes, until: float) -> None:
        """See `Bus.leave_behind`."""
        self.network.left[self.name] = data

    def left_behind(self, name: str) -> bytes | None:
        """See `Bus.left_behind`."""
        return self.network.left.get(name)

    async def leave(self) -> None:
        """See `Bus.leave`. What was sent arrives in any case."""

    def stop(self) -> None:
        """See `Bus.stop`."""
        if not self._is_stopped and not self.has_vanished:
            self._is_stopped = True
            self._leave_network()

    def vanish(self) -> None:
        """Be gone, as a process that is killed: it is told nothing more."""
        if not self._is_stopped:
            self._leave_network()
        self.has_vanished = True

    def _leave_network(self) -> None:
        self.joined.set()
        self.network.buses.pop(self.name, None)
        self._pipes.clear()
        for pipe in list(self._ends):
            pipe.close()

    def pipe_to(self, name: str) -> MemoryPipe:
        """See `Bus.pipe_to`."""
        pipe = self._pipes.get(name)
        if pipe is None or not pipe.is_open:
            raise NotReached(name)
        return pipe

    def receives_from(self, name: str) -> bool:
        """See `Bus.receives_from`."""
        return name in self._pipes_here

    def is_alive(self, name: str) -> bool | None:
        """See `Bus.is_alive`."""
        is_tagged = name.startswith(self.network.tag) and len(name) == NAME_LENGTH
        if not is_tagged and name not in self.network.named:
            return None
        return name == self.name or name in self._pipes

    async def look(self) -> None:
        """See `Bus.look`."""
        for name in list(self.network.buses):
            self._connect(name)

    async def look_for(self, name: str) -> bool:
        """See `Bus.look_for`."""
        self._connect(name)
        return name in self._pipes

    # Its pipes

    def cut(self, name: str) -> None:
        """End the pipes to another process, and lose what is under way."""
        for pipe in list(self._ends):
            if pipe.other.name == name:
                pipe.end()

    def greeted(self, pipe: MemoryPipe) -> None:
        """Tell that a pipe is open, and connect to a process that has just come."""
        if not pipe.is_own:
            self._pipes_here[pipe.peer] = pipe
            self._connect(pipe.peer)
        if self._receiver is not None:
            self._receiver.opened(pipe)
        self._changed.set()

    def received(self, pipe: MemoryPipe, item: Item) -> None:
        """Pass an item on."""
        if self._receiver is not None:
            self._receiver.received(pipe, item)

    def ended(self, pipe: MemoryPipe) -> None:
        """Find out whether the other process still lives."""
        if self.has_vanished:
            return
        self._ends.pop(pipe, None)
        if self._pipes_here.get(pipe.peer) is pipe:
            del self._pipes_here[pipe.peer]
        if self._receiver is not None:
            self._receiver.ended(pipe)
        if pipe.peer in self._pipes:
            self._connect_soon(pipe.peer)
        self._changed.set()

    def _connect_soon(self, name: str) -> None:
        """Connect again, after the time that an item takes."""
        if name not in self._connecting:
            self._connecting.add(name)
            self.loop.call_later(self.network.delay(), self._connect, name, context=self.context)

    def _connect(self, name: str) -> None:
        """Open the pipe to another process unless it is open, or learn that it is gone."""
        self._connecting.discard(name)
        known = self._pipes.get(name)
        if self._is_stopped or self.has_vanished or name == self.name:
            return
        if known is not None and known.is_open:
            return
        other = None if name in self.network.lapsed else self.network.buses.get(name)
        if other is None:
            # One whose own pipe to us has not ended is not gone yet.
            if known is not None and not self.receives_from(name):
                del self._pipes[name]
                if self._receiver is not None:
                    self._receiver.left(name)
            return
        pipe, target = MemoryPipe(self, other, is_own=True), MemoryPipe(other, self, is_own=False)
        pipe.target, target.target = target, pipe
        self._ends[pipe] = other._ends[target] = None
        pipe.post(_Signal.BEGIN)
        pipe.send(self.hello)
        self._pipes[name] = pipe
        if known is None and self._receiver is not None:
            self._receiver.joined(name)
