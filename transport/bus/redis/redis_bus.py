"""`RedisBus`: the bus of processes that share a Redis."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Set
from contextlib import suppress
from pathlib import Path
from typing import Any

from transport.bus.interface import NotReached, Pipe, Receiver
from transport.bus.items import Hello, Item
from transport.bus.redis.census import LOOK_INTERVAL, Census, read_signs
from transport.bus.redis.connections import (
    ANSWER_WITHIN,
    BROKEN,
    Commands,
    Connections,
    Subscription,
    pack,
)
from transport.bus.redis.keys import Keys
from transport.bus.redis.messages import (
    VERSION,
    Kind,
    Message,
    decode_message,
    encode_message,
)
from transport.bus.redis.peer import Peer
from transport.telemetry.log import ERROR, INFO, WARNING, log_event

HELLO_WITHIN = 1.0
"""Seconds that `start` waits for the pipes of a process. One that is stopped may not delay it."""

LEAVE_WITHIN = 3.0
"""Seconds that `leave` waits until the others have taken what was sent to them."""

REGISTERED_FOR = 10.0
"""Seconds that a process can be found after its last look."""

GONE_FOR = 60.0
"""Seconds in which a process that has left is not taken for one that lives, though its lease may
still be there."""

_LOOK = (Path(__file__).parent / "look.lua").read_bytes()


class RedisBus:
    """Implements `Bus` for the processes that share a Redis.

    It needs the lease of this process, which the store keeps: without one, the others count it as
    gone. A process whose lease has ended because it was stopped, or cut off from Redis, is gone for
    the others; when it has one again, it joins them anew.

    Args:
        connections: to Redis.
        keys: of the hub.
        name: of this process, see `Keys.new_name`.
        secret: see `Bus`.
        release: of this package, for the others' logs.

    It belongs to the running event loop.
    """

    def __init__(
        self,
        connections: Connections,
        keys: Keys,
        name: str,
        secret: bytes,
        release: str = "",
    ) -> None:
        self.name = name
        self.secret = secret
        self.hello = Hello(name, release)
        self._keys = keys
        self._connections = connections
        self._receiver: Receiver | None = None
        self._peers: dict[str, Peer] = {}
        self._numbers = itertools.count(1)
        self._census = Census()
        self._gone: dict[str, float] = {}
        """When processes have said bye."""
        self._looking: asyncio.Task[bool] | None = None
        self._next_look: asyncio.Task[bool] | None = None
        self._changed = asyncio.Event()
        self._check = _Check()
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_stopped = False
        self._has_logged: set[str] = set()
        self._loop = asyncio.get_running_loop()
        self._connect()

    def _connect(self) -> None:
        self._commands = Commands(self._connections, self._reconnected)
        self._subscription = Subscription(
            self._connections, self._keys.process(self.name), self.arrived, self._renewed
        )

    # `Bus`

    @property
    def peers(self) -> Set[str]:
        """See `Bus.peers`."""
        return self._peers.keys()

    async def start(self, receiver: Receiver) -> None:
        """See `Bus.start`. First subscribe, then look: of two that start together, one sees the
        other.

        Raises:
            OSError: Redis cannot be reached, or refuses. Call it again later.
        """
        self._receiver = receiver
        self._subscription.start()
        self._commands.start()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._subscription.begun
                has_looked = await self._look_now()
            if not has_looked:
                raise OSError("Redis refuses to let this process find the others: see its log")
        except BaseException as error:
            await self._disconnect()
            self._connect()
            if isinstance(error, BROKEN):
                raise OSError(f"this process cannot subscribe in Redis: {error}") from error
            raise
        with suppress(TimeoutError):  # of one that is stopped
            async with asyncio.timeout(HELLO_WITHIN):
                await self._until(lambda: not any(map(self._is_awaited, self._peers.values())))
        self._watching = self._loop.create_task(self._watch())

    def leave_behind(self, data: bytes, until: float) -> None:
        """See `Bus.leave_behind`: nothing, as sessions are in the store."""

    def left_behind(self, name: str) -> bytes | None:
        """See `Bus.left_behind`: nothing."""
        return None

    async def leave(self) -> None:
        """See `Bus.leave`."""
        if self._is_stopped:
            return
        self._withdraw()
        peers = list(self._peers.values())
        for peer in peers:
            peer.leave()
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN):
                for peer in peers:
                    await peer.over.wait()
        self._say_bye()
        self._closing = self._loop.create_task(self._close())
        await asyncio.wait([self._closing])

    def stop(self) -> None:
        """See `Bus.stop`."""
        if self._loop.is_closed():
            self._is_stopped = True
            self._commands.abandon()
            self._subscription.abandon()
        elif self._closing is None:
            self._withdraw()
            self._say_bye()
            self._closing = self._loop.create_task(self._close())

    async def wait_closed(self) -> None:
        """Wait for the end of the connections, after `stop`."""
        if self._closing is not None:
            await asyncio.wait([self._closing])

    def _withdraw(self) -> None:
        """Look for nobody any more, and let nobody find this process."""
        self._is_stopped = True
        for task in (self._watching, self._looking, self._next_look):
            if task is not None:
                task.cancel()
        self._commands.send(
            pack(b"ZREM", self._keys.registry, self.name.encode()), lambda answer: None
        )

    def _say_bye(self) -> None:
        peers, self._peers = self._peers, {}
        for peer in peers.values():
            peer.say_bye()
            self._loop.call_soon(peer.close)

    async def _close(self) -> None:
        """End the connections once Redis has what was sent, if it soon does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HELLO_WITHIN):
                await self._commands.flush()
        await self._disconnect()

    async def _disconnect(self) -> None:
        await self._commands.stop()
        await self._subscription.stop()

    def pipe_to(self, name: str) -> Pipe:
        """See `Bus.pipe_to`."""
        peer = self._peers.get(name)
        if peer is None or peer.own is None or not peer.own.is_open:
            raise NotReached(name)
        return peer.own

    def receives_from(self, name: str) -> bool:
        """See `Bus.receives_from`."""
        peer = self._peers.get(name)
        return peer is not None and peer.here is not None

    def is_alive(self, name: str) -> bool | None:
        """See `Bus.is_alive`."""
        if not self._keys.is_ours(name):
            return None
        return name == self.name or name in self._peers

    async def look(self) -> None:
        """See `Bus.look`. If Redis does not answer soon, nobody new is known."""
        await self._look_soon()

    async def look_for(self, name: str) -> bool:
        """See `Bus.look_for`. If Redis does not answer soon, the process may live."""
        if name in self._gone:
            return False
        has_looked = await self._look_soon()
        with suppress(TimeoutError):
            async with asyncio.timeout(HELLO_WITHIN):
                await self._until(lambda: not self._is_opening(name))
        is_sure = has_looked and self._census.is_trusted(self._loop.time())
        return name in self._peers or (name not in self._gone and not is_sure)

    # `Host` of the peers

    def publish(self, name: str, message: Message, published: Callable[[Any], None]) -> None:
        """See `Host.publish`."""
        command = pack(b"PUBLISH", self._keys.process(name), encode_message(message))

        def answered(answer: Any) -> None:
            if isinstance(answer, Exception):
                self._log_refusal(answer)
            published(answer)

        self._commands.send(command, answered)

    def opened(self, pipe: Pipe) -> None:
        """See `Host.opened`."""
        if self._receiver is not None:
            self._receiver.opened(pipe)
        self._changed.set()

    def received(self, pipe: Pipe, item: Item) -> None:
        """See `Host.received`."""
        if self._receiver is not None:
            self._receiver.received(pipe, item)

    def ended(self, pipe: Pipe) -> None:
        """See `Host.ended`."""
        if self._receiver is not None:
            self._receiver.ended(pipe)
        self._changed.set()

    # What arrives

    def arrived(self, data: bytes) -> None:
        """Take what was published to this process."""
        message = decode_message(data)
        if isinstance(message, int):
            self._log_unknown(message)
            return
        name = message.sender
        if message.kind is Kind.CHECK:
            if name == self.name:
                self._check.came_back(message.number)
        elif not self._keys.is_ours(name) or name == self.name:
            pass  # not for this process
        elif message.kind is Kind.BYE:
            self._bye(name)
        elif (peer := self._join(name)) is not None:
            peer.take(message)

    def _join(self, name: str) -> Peer | None:
        """Return a process that lives; None if it has left, or this one has."""
        peer = self._peers.get(name)
        if peer is None and not self._is_stopped and name not in self._gone:
            peer = self._peers[name] = Peer(self, name, self._numbers)
            if self._receiver is not None:
                self._receiver.joined(name)
        return peer

    def _log_refusal(self, error: Exception) -> None:
        """Log what Redis refuses, each kind once."""
        kind = str(error).partition(" ")[0]
        if kind not in self._has_logged:
            self._has_logged.add(kind)
            log_event(
                ERROR,
                "redis_refused",
                "Redis refuses what this process needs to reach the others: correct its ACL or "
                "its configuration",
                error=str(error),
            )

    def _log_unknown(self, version: int) -> None:
        """Log, once, that another release runs beside this one."""
        kind = f"version {version}"
        if kind not in self._has_logged:
            self._has_logged.add(kind)
            log_event(
                INFO,
                "unknown_message",
                "another process of this hub runs a release that cannot work together with this "
                "one: each serves its own sessions. Replace the older one",
                version=version,
            )

    def _bye(self, name: str) -> None:
        self._gone[name] = self._loop.time()
        if (peer := self._peers.get(name)) is not None:
            peer.answer_bye()
            self._drop(peer)

    def _drop(self, peer: Peer) -> None:
        """Tell that a process is gone."""
        if not self._is_stopped:
            del self._peers[peer.name]
            self._census.forget(peer.name)
            peer.close()
            if self._receiver is not None:
                self._receiver.left(peer.name)
            self._changed.set()

    # Looking

    async def _watch(self) -> None:
        """Look, and repeat what may be lost, once in a second."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            for peer in self._peers.values():
                peer.tick()
            self._check_subscription()
            self._forget_gone()
            await self._look_soon()

    async def _look_soon(self) -> bool:
        """Look after this call, together with others that want that.

        Returns:
            Whether Redis has answered soon.
        """
        if self._is_stopped:
            return False
        task = self._next_look
        if task is None:
            task = self._loop.create_task(self._look_after(self._looking))
            self._next_look = task
        await asyncio.wait([task], timeout=ANSWER_WITHIN)
        return task.done() and not task.cancelled() and task.result()

    async def _look_after(self, before: asyncio.Task[bool] | None) -> bool:
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._looking, self._next_look = self._next_look, None
        return await self._look_now()

    async def _look_now(self) -> bool:
        """Learn which processes live; return False if Redis refuses to tell."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def set_answer(answer: Any) -> None:
            if not answered.done():
                answered.set_result(answer)

        asked = [self.name, *self._peers]
        words = [
            *(b"EVAL", _LOOK, b"1", self._keys.registry, self._keys.process("")),
            *(self.name.encode(), b"%d" % (REGISTERED_FOR * 1000)),
            *(name.encode() for name in asked),
        ]
        began = self._loop.time()
        self._commands.send(pack(*words), set_answer)
        answer = await answered
        if isinstance(answer, Exception):
            self._log_refusal(answer)
            return False
        now = self._loop.time()
        signs = {sign.name: sign for sign in read_signs(answer)}
        if (own := signs.pop(self.name, None)) is not None and own.lease is None:
            self._census.distrust(now)
        for sign in signs.values():
            peer = self._peers.get(sign.name)
            if peer is None and sign.lease is not None:
                peer = self._join(sign.name)
            if peer is None:
                continue
            if sign.subscribers:
                peer.reached()
            else:
                peer.unreached()
            if self._census.is_gone(sign, began, now):
                self._drop(peer)
        return True

    def _forget_gone(self) -> None:
        now = self._loop.time()
        self._gone = {name: since for name, since in self._gone.items() if now - since < GONE_FOR}

    def _reconnected(self) -> None:
        """Learn that the connection has broken: Redis may be another now."""
        self._census.distrust(self._loop.time())

    # The subscription

    def _renewed(self) -> None:
        """Begin again with all others: what they have sent meanwhile is lost."""
        self._check.reset()
        log_event(
            WARNING,
            "subscription_renewed",
            "this process did not receive from Redis for a moment: the connections that it relays "
            "to or from other processes are cut, and resume. If that is frequent, look at the "
            "network to Redis, and at its client-output-buffer-limit for pubsub",
        )
        for peer in self._peers.values():
            peer.renew()

    def _check_subscription(self) -> None:
        """Renew the subscription if what this process sends to itself does not come back."""
        if self._subscription.is_subscribed:
            number = self._check.next()
            if number is None:
                self._subscription.renew()
            elif number:
                message = Message(VERSION, self.name, Kind.CHECK, number=number)
                self.publish(self.name, message, self._checked)

    def _checked(self, answer: Any) -> None:
        self._check.answered()
        if answer == 0 and self._subscription.is_subscribed:
            self._subscription.renew()

    # Waiting

    def _is_opening(self, name: str) -> bool:
        peer = self._peers.get(name)
        return peer is not None and self._is_awaited(peer)

    def _is_awaited(self, peer: Peer) -> bool:
        """Return whether pipes both ways are about to open."""
        return peer.is_reached and not (
            peer.own is not None and peer.own.is_greeted and peer.here is not None
        )

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


CHECK_TICKS = 2
"""Ticks of a second in which what a process sends to itself comes back."""


class _Check:
    """Numbers what a process sends to itself."""

    def __init__(self) -> None:
        self._sent = 0
        self._came_back = 0
        self._is_answered = True
        self._ticks = 0
        """Since Redis has answered."""

    def next(self) -> int | None:
        """Return the number of what is to be sent now; 0 if nothing; None if one is lost.

        Called once in a tick. It counts no time: after this process stood still, what has come back
        is read before the next tick.
        """
        if self._came_back == self._sent:
            self._sent += 1
            self._ticks = 0
            self._is_answered = False
            return self._sent
        self._ticks += self._is_answered
        return None if self._ticks >= CHECK_TICKS else 0

    def answered(self) -> None:
        """Learn that Redis has passed on the last one."""
        self._is_answered = True

    def came_back(self, number: int) -> None:
        """Learn that one has come back."""
        self._came_back = max(self._came_back, number)

    def reset(self) -> None:
        """Wait no longer for the last one: the subscription is new."""
        self._came_back = self._sent
