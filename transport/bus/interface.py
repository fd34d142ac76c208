"""`Bus`: how the processes of one hub reach each other."""

from __future__ import annotations

from collections.abc import Set
from typing import Protocol

from transport.bus.items import Item

NAME_LENGTH = 12
"""Characters of the name of a process, which begins the ids of its sessions."""


class NotReached(Exception):
    """The other process is gone, or the pipe to it has ended; it may have acted before that."""


class NoAnswer(Exception):
    """The other process lives, but has not answered in time; it may still act."""


class Pipe(Protocol):
    """An ordered connection of two processes.

    Attributes:
        peer: the name of the other process; "" until it has said it.
        is_open: whether items still pass.
        is_own: whether this process has opened it.
    """

    peer: str
    is_open: bool
    is_own: bool

    def send(self, item: Item) -> None:
        """Send an item behind those sent before. Nothing is sent once the pipe has ended."""
        ...

    def end(self) -> None:
        """End the pipe: what was sent before and not yet received may be lost."""
        ...


class Receiver(Protocol):
    """What a bus tells its process. The methods must return soon, and not raise."""

    def received(self, pipe: Pipe, item: Item) -> None:
        """Take an item of a pipe; the items of one pipe come in the order of their sending."""
        ...

    def opened(self, pipe: Pipe) -> None:
        """Learn that a pipe is open, and that the other process has answered on it.

        Told once, before its first item. ``pipe.is_own`` says which way it leads: what the other
        process decides it sends on the pipe that it opened, also after one that was cut.
        """
        ...

    def ended(self, pipe: Pipe) -> None:
        """Learn that a pipe has ended; told once, after its last item."""
        ...

    def joined(self, name: str) -> None:
        """Learn that another process serves the hub."""
        ...

    def left(self, name: str) -> None:
        """Learn that another process is gone for good; told after the end of its pipes.

        Over Redis a process that was stopped, or cut off from Redis, for longer than its lease is
        gone as well, and its sessions may be claimed. If it goes on, it joins again.
        """
        ...


class Bus(Protocol):
    """Pipes to the other processes of one hub.

    Between two processes there are two pipes, one opened by each. What a process asks goes over
    the pipe that it opened, and the answers return on the same one. So the end of that pipe is the
    end of everything that was asked on it, and both sides are told.

    Attributes:
        name: the name of this process: 12 hexadecimal digits.
        secret: bytes that the processes of this hub share, and nobody else has.
    """

    name: str
    secret: bytes

    @property
    def peers(self) -> Set[str]:
        """The names of the other processes that live.

        Over Redis: whose lease lives. One that was killed is among them for 1 to 3 s more.
        """
        ...

    @property
    def stalled_at(self) -> float:
        """The time of the event loop at which the pipes carried nothing last; -inf for never.

        Over Redis that is now, while it does not answer. The silence of another process says
        nothing about it then, and what was sent to it arrives later, as long as the pipe is open.
        """
        ...

    async def start(self, receiver: Receiver) -> None:
        """Join the other processes; on return, those that live are known.

        Between this process and each of them, a pipe is open each way. The exception are those that
        do not answer in time.
        """
        ...

    def leave_behind(self, data: bytes, until: float) -> None:
        """Keep data for the others, also for those that come when this process is gone.

        Over Redis nothing is kept: the store has what became of a session.

        Args:
            data: what is kept; once for each process.
            until: the Unix time until which it is kept.

        Raises:
            OSError: it cannot be written.
        """
        ...

    def left_behind(self, name: str) -> bytes | None:
        """Return what a process has left, or None."""
        ...

    async def leave(self) -> None:
        """Leave once the others have read what was sent to them, if they soon do; then `stop`."""
        ...

    def stop(self) -> None:
        """Leave: the others learn at once that this process is gone. Also of a closed loop.

        Over Redis they are told in a later turn of the loop; if it does not run, or Redis does not,
        they notice as if this process was killed.
        """
        ...

    def pipe_to(self, name: str) -> Pipe:
        """Return the pipe that this process has opened to another.

        Raises:
            NotReached: that process is gone.
        """
        ...

    def receives_from(self, name: str) -> bool:
        """Return whether a pipe is open that another process has opened to this one."""
        ...

    def is_alive(self, name: str) -> bool | None:
        """Return whether a process lives; None if its name is not one of this hub's processes.

        False means that it has not been found yet, or is gone: `look_for` tells which.
        """
        ...

    async def look(self) -> None:
        """Look for processes that have come just now: on return they are among `peers`.

        They tell this process, but it may have been busy for so long that they began without it.
        """
        ...

    async def look_for(self, name: str) -> bool:
        """Look for a process that may have come just now; return False if it is gone for good.

        True also means that nobody knows: over Redis, while that does not answer, or may have lost
        its data a moment ago.
        """
        ...
