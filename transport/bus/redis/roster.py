"""`Roster`: the other processes that live, and what is told of them."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from transport.bus.interface import Pipe, Receiver
from transport.bus.items import Hello, Item
from transport.bus.redis.census import Census, Sign, Verdict
from transport.bus.redis.commands import Commands
from transport.bus.redis.keys import Keys
from transport.bus.redis.messages import Kind, Message, encode_message
from transport.bus.redis.peer import Peer
from transport.stores.redis.commands import pack

GONE_FOR = 60.0
"""Seconds in which a process that has left is not taken for one that lives, though its lease may
still be there."""


class Roster:
    """Knows the other processes. Implements `Host`.

    Args:
        keys: of the hub.
        hello: the first item on each pipe.
        commands: to Redis.

    Attributes:
        receiver: told what happens, from the start on.
        name: of this process.
        hello: see there.
        peers: the processes that live, by name.
        is_closed: whether nobody joins any more.
    """

    def __init__(self, keys: Keys, hello: Hello, commands: Commands) -> None:
        self.receiver: Receiver
        self.name = hello.name
        self.hello = hello
        self.peers: dict[str, Peer] = {}
        self.is_closed = False
        self._keys = keys
        self._commands = commands
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._census = Census()
        self._gone: dict[str, float] = {}
        """When processes have said bye."""
        self._verdicts: dict[str, Verdict] = {}
        """Those of the last look."""
        self._changed = asyncio.Event()

    def has_left(self, name: str) -> bool:
        """Return whether a process has said bye."""
        return name in self._gone

    def seems_gone(self, name: str) -> bool:
        """Return whether the last look says that a process is gone, or it has said bye."""
        return name in self._gone or self._verdicts.get(name) is Verdict.GONE

    # What is learned of them

    def take(self, message: Message) -> None:
        """Take a message of a process."""
        if message.kind is Kind.BYE:
            self._bye(message.sender)
        elif (peer := self._join(message.sender)) is not None:
            peer.take(message)

    def looked(self, signs: list[Sign], began: float, now: float) -> None:
        """Learn what a look has shown; see `Finder`."""
        if any(sign.name == self.name and sign.lease is None for sign in signs):
            self.distrust()  # the store renews it all the time
        self._verdicts = {sign.name: self._census.judge(sign, began, now) for sign in signs}
        for sign in signs:
            if sign.name != self.name:
                self._show(sign, self._verdicts[sign.name])

    def _show(self, sign: Sign, verdict: Verdict) -> None:
        peer = self.peers.get(sign.name)
        if peer is None and verdict is Verdict.LIVES:
            peer = self._join(sign.name)
        if peer is None:
            return
        if sign.subscribers:
            peer.reached()
        else:
            peer.unreached()
        if verdict is Verdict.GONE:
            self._drop(peer)

    def distrust(self) -> None:
        """Learn that Redis may have lost its data."""
        self._census.distrust(self._loop.time())

    def renew(self) -> None:
        """Learn that messages of any of them may be lost."""
        for peer in self.peers.values():
            peer.renew()

    def tick(self) -> None:
        """Repeat what may be lost; called once in a second."""
        for peer in self.peers.values():
            peer.tick()
        now = self._loop.time()
        self._census.forget(now)
        self._gone = {name: since for name, since in self._gone.items() if now - since < GONE_FOR}

    def _join(self, name: str) -> Peer | None:
        """Return a process that lives; None if it has left, or this one has."""
        peer = self.peers.get(name)
        if peer is None and not self.is_closed and name not in self._gone:
            peer = self.peers[name] = Peer(self, name, self._numbers)
            self.receiver.joined(name)
        return peer

    def _bye(self, name: str) -> None:
        self._gone[name] = self._loop.time()
        if (peer := self.peers.get(name)) is not None:
            peer.answer_bye()
            if not self.is_closed:
                self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        """Tell that a process is gone."""
        del self.peers[peer.name]
        peer.close()
        self.receiver.left(peer.name)
        self._changed.set()

    # Leaving them

    async def leave(self) -> None:
        """Wait until all have taken what was sent to them. They get nothing after it."""
        self.is_closed = True
        for peer in self.peers.values():
            peer.leave()
        for peer in list(self.peers.values()):
            await peer.over.wait()

    def close(self) -> None:
        """Say bye, and tell the end of the pipes in a later turn of the loop."""
        self.is_closed = True
        for peer in self.peers.values():
            peer.say_bye()
            self._loop.call_soon(peer.close)
        self.peers.clear()

    # `Host` of the peers

    def publish(self, name: str, message: Message, published: Callable[[Any], None]) -> None:
        """See `Host.publish`."""
        command = pack(b"PUBLISH", self._keys.process(name), encode_message(message))
        self._commands.send(command, published)

    def opened(self, pipe: Pipe) -> None:
        """See `Host.opened`."""
        self.receiver.opened(pipe)
        self._changed.set()

    def received(self, pipe: Pipe, item: Item) -> None:
        """See `Host.received`."""
        self.receiver.received(pipe, item)

    def ended(self, pipe: Pipe) -> None:
        """See `Host.ended`."""
        self.receiver.ended(pipe)
        self._changed.set()

    # Waiting

    async def until_open(self, name: str = "") -> None:
        """Wait until pipes both ways are open to a process, or it is not in reach.

        Args:
            name: of the process; by default all processes.
        """
        while any(peer.is_opening for peer in self._chosen(name)):
            self._changed.clear()
            await self._changed.wait()

    def _chosen(self, name: str) -> list[Peer]:
        return [peer for peer in self.peers.values() if name in ("", peer.name)]
