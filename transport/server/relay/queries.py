"""`Queries`: what a hub asks all of its processes, or the home of a channel."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from msgspec import Raw, msgpack

from transport.bus.calls import ANSWER_WITHIN, Calls
from transport.bus.interface import Bus, NoAnswer, NotReached, Pipe
from transport.bus.text import decode_text, encode_text
from transport.errors import StoreUnavailable
from transport.protocol.codec import Payload
from transport.server.relay.messages import Delivery, decode_delivery
from transport.server.statistics import HubStatistics

ASK_AGAIN_AFTER = 0.05
"""Seconds after a question was cut off. The pipe is often open again at once; but it may take as
long as the other process needs to end, or to be within reach."""


class Local(Protocol):
    """This process, as the others ask it."""

    def deliver(self, channel_id: str, payload: Payload) -> bool:
        """Send a message to a channel here; return whether it took it."""
        ...

    async def saved(self, channel_id: str) -> None:
        """Wait until a channel here is stored as it is now, if processes share a store."""
        ...

    def dismiss(self, subject: str) -> None:
        """End the sessions of a user here."""
        ...

    def count(self) -> HubStatistics:
        """Return the counters of this process."""
        ...


class Queries:
    """Asks the other processes, and answers them.

    Args:
        bus: to the others.
        calls: over it.
        local: answers.
        home_of: returns the name of the home of a session; None if it has none.
    """

    def __init__(
        self,
        bus: Bus,
        calls: Calls,
        local: Local,
        home_of: Callable[[str], Awaitable[str | None]],
    ) -> None:
        self._bus = bus
        self._calls = calls
        self._local = local
        self._home_of = home_of
        for kind in ("deliver", "dismiss", "count"):
            calls.respond(kind, getattr(self, f"_{kind}"))

    # Asking

    async def deliver(self, channel_id: str, payload: Payload) -> bool:
        """Send a message to a channel of another process; return whether it took it.

        Raises:
            TimeoutError: its process lives, but has not answered; it may still take the message.
            StoreUnavailable: the store that knows its process does not answer.
        """
        home = await self._home_of(channel_id)
        if home is None or not await self._lives(home):
            return False
        try:
            pipe = self._bus.pipe_to(home)
            answer = await self._calls.call(pipe, "deliver", Delivery(channel_id, payload))
        except (NotReached, NoAnswer):
            # It is not asked again: it may have acted.
            if not await self._lives(home):
                return False
            raise TimeoutError(
                f"the worker that has channel {channel_id} has not answered in "
                f"{ANSWER_WITHIN:g} s, or could not: then its log has call_failed. It may still "
                "send the message when it goes on"
            ) from None
        return bool(msgpack.decode(answer))

    async def dismiss(self, subject: str) -> None:
        """End the sessions of a user in all other processes.

        Raises:
            TimeoutError: a process that lives has not answered; it ends them when it goes on.
        """
        answers = await self._ask_all("dismiss", encode_text(subject))
        silent = sum(answer is None for answer in answers)
        if silent:
            raise TimeoutError(
                f"{silent} of the other workers have not answered in {ANSWER_WITHIN:g} s, or could "
                "not. One that is stopped ends the user's sessions when it goes on; one that could "
                "not has logged call_failed, and its sessions go on: call it again"
            )

    async def count(self) -> list[HubStatistics]:
        """Return the counters of the other processes that answer."""
        answers = await self._ask_all("count", None)
        return [_decode_statistics(answer) for answer in answers if answer is not None]

    async def _ask_all(self, kind: str, body: Any) -> list[Raw | None]:
        """Return the answers of the processes that live; None in place of a missing one."""
        await self._bus.look()
        answers = await asyncio.gather(*(self._ask(name, kind, body) for name in self._bus.peers))
        return [answer for answer in answers if answer != GONE]

    async def _ask(self, process: str, kind: str, body: Any) -> Raw | None:
        """Ask one process, again if the pipe to it ends: such a question does no harm twice."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                while await self._lives(process):
                    try:
                        return await self._calls.call(self._bus.pipe_to(process), kind, body)
                    except NotReached:
                        await asyncio.sleep(ASK_AGAIN_AFTER)
        except (NoAnswer, TimeoutError):
            return None
        return GONE

    async def _lives(self, process: str) -> bool:
        """Return whether it is another process that lives, and is within reach if it is not cut."""
        is_alive = self._bus.is_alive(process)
        if process == self._bus.name or is_alive is None:
            return False
        try:
            self._bus.pipe_to(process)
        except NotReached:
            return await self._bus.look_for(process)
        return True

    # Answering

    async def _deliver(self, pipe: Pipe, body: Raw) -> bool:
        question = decode_delivery(body)
        is_taken = self._local.deliver(question.channel, question.payload)
        if is_taken:
            with suppress(StoreUnavailable):  # the caller waits no longer
                await self._local.saved(question.channel)
        return is_taken

    async def _dismiss(self, pipe: Pipe, body: Raw) -> None:
        self._local.dismiss(decode_text(msgpack.decode(body)))

    async def _count(self, pipe: Pipe, body: Raw) -> HubStatistics:
        return self._local.count()


GONE = Raw(b"")
"""In place of the answer of a process that is gone."""


def _decode_counter(kind: type, counts: Any) -> Any:
    return Counter(counts)


_decode_statistics = msgpack.Decoder(HubStatistics, dec_hook=_decode_counter).decode
