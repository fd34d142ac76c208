"""`UnixBus`: the bus of the workers of one machine, on Unix sockets in a private directory."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Set
from contextlib import suppress

from transport.bus.directory import Directory
from transport.bus.interface import NotReached, Pipe, Receiver
from transport.bus.items import Hello, Item
from transport.bus.listener import Listener
from transport.bus.pipe import UnixPipe
from transport.telemetry.log import ERROR, log_event

LOOK_INTERVAL = 1.0
"""Seconds between two looks into the directory."""

HELLO_WITHIN = 1.0
"""Seconds that `start` waits for the answer of a worker, and for its own pipe. One that is stopped
may not delay it."""

LEAVE_WITHIN = 3.0
"""Seconds that `leave` waits until the others have read. One that is stopped may not delay it."""


class UnixBus:
    """Implements `Bus` for the workers that share a directory.

    Args:
        directory: of the workers.
        release: of this package, for the others' logs.

    It belongs to the running event loop.
    """

    def __init__(self, directory: Directory, release: str = "") -> None:
        self.name = directory.name
        self.secret = directory.secret
        self.directory = directory
        self._hello = Hello(self.name, release)
        self._receiver: Receiver | None = None
        self._pipes: dict[str, UnixPipe] = {}
        """The pipes that this process has opened, by the name of the other. While one is opened
        anew, the one that ended is still here."""
        self._accepted: set[UnixPipe] = set()
        self._pipes_here: dict[str, UnixPipe] = {}
        """Those of them that are open, by the name of the process that has opened it."""
        self._connecting: dict[str, asyncio.Task[bool]] = {}
        self._changed: dict[str, asyncio.Event] = {}
        """Set when a pipe opens or ends, while `_connect` waits for both of a worker."""
        self._beginning: set[asyncio.Task[None]] = set()
        """They make pipes of connections."""
        self._listener: Listener | None = None
        self._watching: asyncio.Task[None] | None = None
        self._is_failing = False
        self._is_stopped = False
        self._loop = asyncio.get_running_loop()

    @property
    def is_running(self) -> bool:
        """Whether it was not stopped, and neither was its event loop."""
        return not self._is_stopped and self._loop.is_running()

    # `Bus`

    @property
    def peers(self) -> Set[str]:
        """See `Bus.peers`."""
        return self._pipes.keys()

    @property
    def stalled_at(self) -> float:
        """See `Bus.stalled_at`: the system carries them."""
        return -math.inf

    async def start(self, receiver: Receiver) -> None:
        """See `Bus.start`. First listen, then look: of two that start together, one sees the other.

        Raises:
            OSError, RuntimeError: the socket cannot be made. Call it again later.
        """
        self._receiver = receiver
        self.directory.keep()
        self.directory.forget()
        self._listen()
        await self.look()
        self._watching = self._loop.create_task(self._watch())

    def leave_behind(self, data: bytes, until: float) -> None:
        """See `Bus.leave_behind`."""
        self.directory.leave(self.name, data, until)

    def left_behind(self, name: str) -> bytes | None:
        """See `Bus.left_behind`."""
        return self.directory.left(name)

    async def leave(self) -> None:
        """See `Bus.leave`."""
        self._withdraw()
        pipes = [*self._pipes.values(), *self._accepted]
        for pipe in pipes:
            pipe.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN):
                for pipe in pipes:
                    await pipe.over.wait()

    def stop(self) -> None:
        """See `Bus.stop`."""
        self._withdraw()
        pipes, self._pipes = self._pipes, {}
        for pipe in (*pipes.values(), *self._accepted):
            if self._loop.is_closed():
                pipe.abandon()
            else:
                pipe.close()

    def _withdraw(self) -> None:
        """Connect to nobody any more, and let nobody connect."""
        self._is_stopped = True
        if self._listener is not None:
            self._listener.close()
        if not self._loop.is_closed():
            for task in (self._watching, *self._connecting.values()):
                if task is not None:
                    task.cancel()

    def pipe_to(self, name: str) -> Pipe:
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
        if not self.directory.is_ours(name):
            return None
        return name == self.name or name in self._pipes

    async def look(self) -> None:
        """See `Bus.look`. Connect also to those again whose pipe has ended."""
        for name in self.directory.names() | self._pipes.keys():
            self._connect_soon(name)
        if self._connecting:
            await asyncio.wait(self._connecting.values())

    async def look_for(self, name: str) -> bool:
        """See `Bus.look_for`. The socket of a worker that is gone is missing, or refuses."""
        self._connect_soon(name)
        if (task := self._connecting.get(name)) is not None:
            await asyncio.wait([task])
        return name in self._pipes or self.directory.socket(name).exists()

    # `Owner` of the pipes

    def greeted(self, pipe: UnixPipe) -> None:
        """Tell that a pipe is open, and connect to a worker that has just come."""
        if not pipe.is_own:
            self._pipes_here[pipe.peer] = pipe
            self._connect_soon(pipe.peer)
        if self._receiver is not None:
            self._receiver.opened(pipe)
        self._wake(pipe)

    def received(self, pipe: UnixPipe, item: Item) -> None:
        """Pass an item on."""
        if self._receiver is not None:
            self._receiver.received(pipe, item)

    def ended(self, pipe: UnixPipe) -> None:
        """Find out whether the other worker still lives."""
        self._accepted.discard(pipe)
        if self._pipes_here.get(pipe.peer) is pipe:
            del self._pipes_here[pipe.peer]
        if self._receiver is not None:
            self._receiver.ended(pipe)
        if pipe.peer in self._pipes:
            self._connect_soon(pipe.peer)
        self._wake(pipe)

    def _wake(self, pipe: UnixPipe) -> None:
        if (changed := self._changed.get(pipe.peer)) is not None:
            changed.set()

    # Listening

    def _listen(self) -> None:
        if self._listener is not None:
            self._listener.close()
        self._listener = Listener(self.directory.socket(self.name), self._accept)

    def _accept(self, one: socket.socket) -> None:
        pipe = UnixPipe(self, self._hello, one)
        self._accepted.add(pipe)
        task = self._loop.create_task(pipe.begin())
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    # Looking

    async def _watch(self) -> None:
        """Find the others, and put back what a cleaner of temporary files has removed."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            try:
                self.directory.keep()
                if self.name not in self.directory.names():
                    self._listen()
                await self.look()
                self._is_failing = False
            except Exception:  # noqa: BLE001 - logged with its traceback; tried again
                if not self._is_failing:
                    self._is_failing = True
                    log_event(
                        ERROR,
                        "workers_failed",
                        "new workers of this server cannot find this one until its directory is "
                        "in order again",
                        path=str(self.directory.path),
                        exc_info=True,
                    )

    def _connect_soon(self, name: str) -> None:
        if self._is_stopped:
            return
        pipe = self._pipes.get(name)
        is_due = name != self.name and name not in self._connecting
        if is_due and (pipe is None or not pipe.is_open):
            task = self._loop.create_task(self._connect(name))
            self._connecting[name] = task
            task.add_done_callback(lambda task: self._tried(name, task))

    def _tried(self, name: str, task: asyncio.Task[bool]) -> None:
        """Learn that an attempt is over; try again if its pipe has opened and ended meanwhile."""
        del self._connecting[name]
        if not task.cancelled() and task.result():
            self._connect_soon(name)

    async def _connect(self, name: str) -> bool:
        """Open the pipe to another worker, or remove the socket of one that is gone.

        Returns:
            Whether the pipe opened and has ended.
        """
        pipe: UnixPipe | None = None
        self._changed[name] = asyncio.Event()
        try:
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            pipe = UnixPipe(self, self._hello, one, name)
            await pipe.connect(str(self.directory.socket(name)))
            is_new = name not in self._pipes
            self._pipes[name] = pipe
            if is_new and self._receiver is not None:
                self._receiver.joined(name)
            # One that is stopped accepts and does not answer. It lives, and must not delay us.
            async with asyncio.timeout(HELLO_WITHIN):
                await self._until_both_ways(pipe)
        except (ConnectionRefusedError, FileNotFoundError):
            self.directory.socket(name).unlink(missing_ok=True)  # names never return
            # One that still holds its own pipe to us lives: a cleaner has removed its socket.
            is_gone = not self.receives_from(name) and self._pipes.pop(name, None) is not None
            if is_gone and self._receiver is not None:
                self._receiver.left(name)
        except (OSError, TimeoutError):
            pass  # it lives, and `_watch` tries again if there is no pipe
        finally:
            del self._changed[name]
        return pipe is not None and pipe.is_greeted and not pipe.is_open

    async def _until_both_ways(self, pipe: UnixPipe) -> None:
        """Wait until a pipe and one from its peer are open, or it has ended."""
        changed = self._changed[pipe.peer]
        while pipe.is_open and not (pipe.is_greeted and self.receives_from(pipe.peer)):
            changed.clear()
            await changed.wait()
