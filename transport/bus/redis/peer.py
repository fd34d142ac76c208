"""`Peer`: another process of the hub, and the two pipes to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from transport.bus.interface import Pipe
from transport.bus.items import Hello, Item
from transport.bus.redis.messages import Is, Kind, Message, Part
from transport.bus.redis.pair import Pair
from transport.bus.redis.pipe import RedisPipe
from transport.bus.unread import Unread
from transport.telemetry.log import WARNING, log_event


class Host(Protocol):
    """The bus, as its peers use it."""

    name: str
    hello: Hello

    def publish(self, name: str, message: Message, published: Callable[[Any], None]) -> None:
        """Publish a message to another process.

        Args:
            published: called with the number of processes that it has reached, or an error.
        """
        ...

    def opened(self, pipe: Pipe) -> None:
        """See `Receiver.opened`."""
        ...

    def received(self, pipe: Pipe, item: Item) -> None:
        """See `Receiver.received`."""
        ...

    def ended(self, pipe: Pipe) -> None:
        """See `Receiver.ended`."""
        ...


class Peer:
    """Another process.

    Args:
        host: see `Host`.
        name: of the process.
        numbers: for epochs and pipes, each higher than those before.

    Attributes:
        own: the pipe that this process has opened, while it is open.
        here: the pipe that the other has opened, while it is open.
        is_reached: whether it subscribes, as far as is known.
        over: set when it has taken everything that was sent before `leave`, or cannot.
    """

    def __init__(self, host: Host, name: str, numbers: Iterator[int]) -> None:
        self.name = name
        self.own: RedisPipe | None = None
        self.here: RedisPipe | None = None
        self.is_reached = False
        self.over = asyncio.Event()
        self._host = host
        self._numbers = numbers
        self._loop = asyncio.get_running_loop()
        self._pair = Pair(host.name, host.name < name, numbers, self)
        self._is_leaving = False
        self._has_said_bye = False
        self._last_here = 0
        """The id of the last pipe that the other has opened."""
        self._unpublished = 0
        """Messages that Redis has not answered."""
        self._flushing: asyncio.Handle | None = None
        self._waits = Unread(self._loop.time)

    @property
    def is_opening(self) -> bool:
        """Whether pipes both ways are about to open."""
        is_open = self.own is not None and self.own.is_greeted and self.here is not None
        return self.is_reached and not is_open

    # What the bus learns of it

    def reached(self) -> None:
        """Learn that it subscribes."""
        if not self.is_reached:
            self.is_reached = True
            self._open()
            self._pair.begin()

    def unreached(self) -> None:
        """Learn that it does not subscribe: what was sent is lost."""
        self.is_reached = False
        self.over.set()
        if self._pair.is_bound or self.own is not None:
            self._pair.cut()

    def renew(self) -> None:
        """Learn that something from it may be lost: begin again."""
        if self._pair.is_bound:
            self._pair.cut()
        if self.is_reached:
            self._pair.begin()

    def tick(self) -> None:
        """Repeat what may be lost; called about once in a second."""
        if self.is_reached and not self._unpublished:
            if self._pair.is_bound:
                self._pair.ask()
            else:
                self._pair.begin()

    def take(self, message: Message) -> None:
        """Take a message."""
        was_reached, self.is_reached = self.is_reached, True
        if not was_reached:
            self._open()
        for part in self._pair.received(message):
            self._take(part)
        if not (was_reached or self._pair.is_bound or message.kind is Kind.BROKEN):
            self._pair.begin()
        if self._is_leaving:
            self._check_left()

    def answer_bye(self) -> None:
        """Tell it, as it leaves, what was taken."""
        if self._pair.is_bound:
            self._pair.tell()
        self.over.set()

    # Leaving

    def leave(self) -> None:
        """Send nothing more, ignore what comes, and say bye behind what was sent."""
        self._is_leaving = True
        self.over.clear()
        for pipe in (self.own, self.here):
            if pipe is not None:
                pipe.is_open = False
        if self._pair.is_bound:
            self._pair.flush()
            self._check_left()
        else:
            self.say_bye()
            self.over.set()

    def say_bye(self) -> None:
        """Say bye at once, behind what can be sent at once."""
        self._is_leaving = True
        self._pair.flush()
        if not self._has_said_bye:
            self._has_said_bye = True
            self._pair.say_bye()

    def _check_left(self) -> None:
        """Say bye once everything is sent, and note when everything is taken."""
        if not self._has_said_bye and not self._pair.is_waiting:
            self.say_bye()
        elif self._has_said_bye and self._pair.is_idle:
            self.over.set()

    def close(self) -> None:
        """End the pipes."""
        self._is_leaving = True
        if self._flushing is not None:
            self._flushing.cancel()
        self.over.set()
        for pipe in (self.own, self.here):
            if pipe is not None:
                self._end(pipe)

    # `Owner` of the pair

    def post(self, message: Message) -> None:
        """See `pair.Owner.post`."""
        self._unpublished += 1
        self._host.publish(self.name, message, self._published)

    def _published(self, answer: Any) -> None:
        self._unpublished -= 1
        if not isinstance(answer, int) or answer == 0:
            self.unreached()

    def began(self) -> None:
        """See `pair.Owner.began`."""
        self._flush_soon()

    def cut(self) -> None:
        """See `pair.Owner.cut`."""
        for pipe in (self.here, self.own):
            if pipe is not None:
                self._end(pipe)
        self.over.set()

    # `Owner` of the pipes

    def put(self, pipe: RedisPipe, kind: Is, data: bytes = b"") -> None:
        """See `pipe.Owner.put`."""
        self._pair.put(pipe.id if pipe.is_own else -pipe.id, kind, data)
        self._flush_soon()
        if self._waits.is_stuck(self._pair.unacked_bytes, self._pair.acked_bytes):
            self._end_stuck()

    def greeted(self, pipe: RedisPipe) -> None:
        """See `ReaderOwner.greeted`."""
        self._host.opened(pipe)

    def received(self, pipe: RedisPipe, item: Item) -> None:
        """See `ReaderOwner.received`."""
        self._host.received(pipe, item)

    def end_soon(self, pipe: RedisPipe) -> None:
        """See `pipe.Owner.end_soon`."""
        self._loop.call_soon(self._end, pipe)

    # The pipes

    def _open(self) -> None:
        if self.own is None and not self._is_leaving:
            pipe = RedisPipe(self, next(self._numbers), self._host.hello, is_own=True)
            self.own = pipe

    def _take(self, part: Part) -> None:
        number, kind, data = part
        if number < 0:
            pipe = self.own
        else:
            if number > self._last_here and not self._is_leaving:
                if self.here is not None:
                    self._end(self.here)
                self._last_here = number
                self.here = RedisPipe(self, number, self._host.hello, is_own=False)
            pipe = self.here
        if pipe is None or pipe.id != abs(number) or not pipe.is_open:
            return  # it has ended on this side
        if kind == Is.END:
            self._end(pipe)
        else:
            pipe.take(kind, data)

    def _end(self, pipe: RedisPipe) -> None:
        """Tell the end of a pipe, once, and open the own one anew."""
        if pipe.has_ended:
            return
        pipe.is_open = False
        pipe.has_ended = True
        if pipe is self.here:
            self.here = None
        elif pipe is self.own:
            self.own = None
        self._host.ended(pipe)
        if pipe.is_own and self.is_reached:
            self._open()

    # Sending

    def _flush_soon(self) -> None:
        if self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = None
        self._pair.flush()

    def _end_stuck(self) -> None:
        """End the pipes: the other side takes nothing, or far too little."""
        log_event(
            WARNING,
            "pipe_ended",
            "another worker of this server reads nothing, so the connections it relays are cut",
            peer=self.name,
        )
        for pipe in (self.own, self.here):
            if pipe is not None:
                pipe.is_open = False
        self._loop.call_soon(self._restart)

    def _restart(self) -> None:
        self._pair.cut()
        if self.is_reached:
            self._pair.begin()
