"""`RedisBus`: the bus of processes that share a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Set
from contextlib import suppress

from transport.bus.interface import NotReached, Pipe, Receiver
from transport.bus.items import Hello
from transport.bus.redis.census import LOOK_INTERVAL
from transport.bus.redis.commands import Commands
from transport.bus.redis.connections import ANSWER_WITHIN
from transport.bus.redis.finder import Finder
from transport.bus.redis.keys import Keys
from transport.bus.redis.messages import decode_message
from transport.bus.redis.roster import Roster
from transport.bus.redis.subscription import Subscription
from transport.errors import StoreUnavailable
from transport.stores.redis.connections import BROKEN, Connections
from transport.stores.redis.faults import Refused, Unreached, explain_error
from transport.telemetry.log import INFO, WARNING, log_event

HELLO_WITHIN = 1.0
"""Seconds that `start` waits for the pipes of a process. One that is stopped may not delay it."""

NO_ANSWER = f"it does not answer within {ANSWER_WITHIN:g} s"

LEAVE_WITHIN = 3.0
"""Seconds that `leave` waits until the others have taken what was sent to them."""


class RedisBus:
    """Implements `Bus` for the processes that share a Redis.

    It needs the lease of this process, which the store keeps: without one, the others count it as
    gone. A process whose lease has ended because it was stopped, or cut off from Redis, is gone for
    the others; when it has one again, it joins them anew.

    Args:
        connections: to Redis.
        keys: of the hub.
        name: of this process, see `Keys.new_name`.
        secret: see `Bus`; empty if the store keeps one.
        release: of this package, for the others' logs.

    It belongs to the running event loop.
    """

    def __init__(
        self,
        connections: Connections,
        keys: Keys,
        name: str,
        secret: bytes = b"",
        release: str = "",
    ) -> None:
        self.name = name
        self.secret = secret
        self._keys = keys
        self._loop = asyncio.get_running_loop()
        self._commands = Commands(connections, self._reconnected)
        self._roster = Roster(keys, Hello(name, release), self._commands)
        self._finder = Finder(keys, name, self._commands, self.peers, self._roster.looked)
        self._subscription = Subscription(
            connections, keys.process(name), self._commands, self.arrived, self._renewed
        )
        self._watching: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._unknown_versions: set[int] = set()

    # `Bus`

    @property
    def peers(self) -> Set[str]:
        """See `Bus.peers`."""
        return self._roster.peers.keys()

    @property
    def stalled_at(self) -> float:
        """See `Bus.stalled_at`."""
        return max(self._commands.stalled_at, self._subscription.stalled_at)

    async def start(self, receiver: Receiver) -> None:
        """See `Bus.start`. First subscribe, then look: of two that start together, one sees the
        other.

        Raises:
            StoreUnavailable: Redis cannot be reached, or refuses. Call it again later.
        """
        self._roster.receiver = receiver
        self._subscription.start()
        self._commands.start()
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                await self._subscription.begun
                if not await self._finder.look():
                    raise Refused(self._finder.refusal or NO_ANSWER)
        except (*BROKEN, Refused, Unreached) as error:
            await self._disconnect()
            reason = explain_error(error) or NO_ANSWER
            raise StoreUnavailable(f"Redis cannot be used: {reason}") from None
        except BaseException:
            await self._disconnect()
            raise
        self._commands.logs_refusals = True
        with suppress(TimeoutError):  # of one that is stopped
            async with asyncio.timeout(HELLO_WITHIN):
                await self._roster.until_open()
        self._watching = self._loop.create_task(self._watch())

    def leave_behind(self, data: bytes, until: float) -> None:
        """See `Bus.leave_behind`: nothing, as sessions are in the store."""

    def left_behind(self, name: str) -> bytes | None:
        """See `Bus.left_behind`: nothing."""
        return None

    async def leave(self) -> None:
        """See `Bus.leave`."""
        if self._closing is None:
            self._withdraw()
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_WITHIN):
                    await self._roster.leave()
            self.stop()
            await self.wait_closed()

    def stop(self) -> None:
        """See `Bus.stop`."""
        if self._loop.is_closed():
            self._roster.is_closed = True
            self._commands.abandon()
            self._subscription.abandon()
        elif self._closing is None:
            self._withdraw()
            self._roster.close()
            self._closing = self._loop.create_task(self._close())

    async def wait_closed(self) -> None:
        """Wait for the end of the connections, after `stop`."""
        if self._closing is not None:
            await asyncio.wait([self._closing])

    def pipe_to(self, name: str) -> Pipe:
        """See `Bus.pipe_to`."""
        peer = self._roster.peers.get(name)
        if peer is None or peer.own is None or not peer.own.is_open:
            raise NotReached(name)
        return peer.own

    def receives_from(self, name: str) -> bool:
        """See `Bus.receives_from`."""
        peer = self._roster.peers.get(name)
        return peer is not None and peer.here is not None

    def is_alive(self, name: str) -> bool | None:
        """See `Bus.is_alive`."""
        if not self._keys.is_ours(name):
            return None
        return name == self.name or name in self.peers

    async def look(self) -> None:
        """See `Bus.look`. If Redis does not answer soon, nobody new is known."""
        await self._finder.look()

    async def look_for(self, name: str) -> bool:
        """See `Bus.look_for`. If Redis does not answer soon, the process may live."""
        if self._roster.has_left(name):
            return False
        has_looked = await self._finder.look(name)
        with suppress(TimeoutError):
            async with asyncio.timeout(HELLO_WITHIN):
                await self._roster.until_open(name)
        return name in self.peers or not (has_looked and self._roster.seems_gone(name))

    # Its connections

    def arrived(self, data: bytes) -> None:
        """Take what was published to this process."""
        message = decode_message(data)
        if isinstance(message, int):
            self._log_unknown(message)
        elif self._keys.is_ours(message.sender) and message.sender != self.name:
            self._roster.take(message)

    def _log_unknown(self, version: int) -> None:
        """Log, once, that another release runs beside this one."""
        if version not in self._unknown_versions:
            self._unknown_versions.add(version)
            log_event(
                INFO,
                "unknown_message",
                "another process of this hub runs a release that cannot work together with this "
                "one: each serves its own sessions. Replace the older one",
                version=version,
            )

    def _reconnected(self) -> None:
        """Learn that the connection for commands had broken: Redis may be another now."""
        self._roster.distrust()

    def _renewed(self) -> None:
        """Begin again with all others: what they have sent meanwhile is lost."""
        log_event(
            WARNING,
            "subscription_renewed",
            "this process did not receive from Redis for a moment: the connections that it relays "
            "to or from other processes are cut, and resume. If that is frequent, look at the "
            "network to Redis, and at its client-output-buffer-limit for pubsub",
        )
        self._roster.renew()

    async def _watch(self) -> None:
        """Look, and repeat what may be lost, once in a second."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL)
            self._roster.tick()
            self._subscription.tick()
            await self._finder.look()

    def _withdraw(self) -> None:
        """Look for nobody any more, and let nobody find this process."""
        if self._watching is not None:
            self._watching.cancel()
        self._finder.leave()

    async def _close(self) -> None:
        """End the connections once Redis has what was sent, if it soon does."""
        with suppress(TimeoutError):
            async with asyncio.timeout(HELLO_WITHIN):
                await self._commands.flush()
        await self._disconnect()

    async def _disconnect(self) -> None:
        await self._commands.stop()
        await self._subscription.stop()
