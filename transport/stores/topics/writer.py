"""`TopicWriter`: publishes over one connection, each publication once and in order."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex

from msgspec.structs import replace

from transport.errors import StoreUnavailable
from transport.protocol.codec import Payload, size_of
from transport.protocol.topic_log import MARK, Publication, Unentered
from transport.stores.journaled import Failed
from transport.stores.pause import Pause
from transport.stores.topics.wire import ANSWER_WITHIN, Append, Appended, Broken, PublishWire

GIVE_UP_AFTER = 15.0
"""Seconds for a publication: as long as a store that fails over may take. Far below the time after
which a store forgets writers."""

MAX_BATCH, MAX_BATCH_BYTES = 64, 1 << 20
"""Publications that are sent together: about a millisecond of the store."""

MAX_UNANSWERED, MAX_UNANSWERED_BYTES = 10_000, 16 << 20
"""Publications that may wait for a store that is slow or away; at least one, however large."""

MAX_KNOWN = 10_000
"""Topics of which the last number is remembered. One that is forgotten costs nothing, unless the
store also loses the end of it: then members in other processes do not learn of that."""


@dataclass(slots=True, eq=False)
class _Unanswered:
    """A publication on its way.

    Attributes:
        append: what is sent.
        done: resolved with the number of the topic's last entry.
        size: of the payload in bytes.
        timer: gives it up.
        since: the store's time before it was sent first; 0 if it was not sent yet.
    """

    append: Append
    done: asyncio.Future[int]
    size: int
    timer: asyncio.TimerHandle
    since: int = 0


class TopicWriter:
    """Publishes for one process.

    One batch is under way at a time; what comes meanwhile goes with the next. When a connection
    fails, everything that is not answered is sent again in order, over a new one. The store drops
    what it has, also if the old connection's commands run late.

    Args:
        wire: the connection; nobody else uses it.

    Attributes:
        name: of this writer; no other has it.
    """

    def __init__(self, wire: PublishWire) -> None:
        self.name = token_hex(6)
        self._wire = wire
        self._is_connected = False
        self._reason = ""
        """Why the connection does not work; "" while it does."""
        self._serial = 0
        self._queue: deque[_Unanswered] = deque()
        """In the order of their serials; those that were given up are removed when they are met."""
        self._waiting = 0
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._time = 0
        """The latest time of the store that it has told."""
        self._known: OrderedDict[str, int] = OrderedDict()
        """The last number of topics, the most recently used topic last."""

    async def publish(
        self,
        topic: str,
        payload: Payload,
        *,
        exclude: str = "",
        known: int = 0,
        dismisses: str | None = None,
    ) -> int:
        """Publish a message; return the number of the topic's last entry once it is in the log.

        If the caller is cancelled, it is published nevertheless.

        Args:
            topic: the name of the topic.
            payload: the message.
            exclude: the id of a session that does not get it.
            known: the highest number of the topic that this process has seen.
            dismisses: see `Append`.

        Raises:
            StoreUnavailable: the store did not answer in time, or cannot enter it. Unless the
                message says otherwise, it may be published nevertheless, but not after a later one
                of this writer.
        """
        size = size_of(payload)
        is_too_much = self._waiting_bytes + size > MAX_UNANSWERED_BYTES and self._waiting
        if is_too_much or self._waiting >= MAX_UNANSWERED:
            raise StoreUnavailable(
                f"{self._waiting} messages wait for the store already; this one was not sent"
            )
        self._serial += 1
        loop = asyncio.get_running_loop()
        publication = Publication(
            writer=self.name, serial=self._serial, payload=payload, exclude=exclude, known=known
        )
        done: asyncio.Future[int] = loop.create_future()
        done.add_done_callback(_retrieve)
        timer = loop.call_later(GIVE_UP_AFTER, self._give_up, done)
        one = _Unanswered(Append(topic, publication, dismisses), done, size, timer)
        self._queue.append(one)
        self._waiting += 1
        self._waiting_bytes += size
        self._wake.set()
        await asyncio.wait([done])
        return done.result()

    async def flush(self) -> None:
        """Wait until everything that was published before is answered, or given up."""
        if waiting := [one.done for one in self._queue if not one.done.done()]:
            await asyncio.wait(waiting)

    async def run(self) -> None:
        """Send what is published, until the task is cancelled; then fail what has no answer."""
        pause = Pause()
        reason = "a defect of this package, see the log for topics_failed"
        try:
            while True:
                while self._queue and self._queue[0].done.done():
                    self._forget(self._queue.popleft())
                if not self._queue:
                    self._wake.clear()
                    await self._wake.wait()
                    continue
                try:
                    async with asyncio.timeout(ANSWER_WITHIN):
                        await self._send_batch()
                except (TimeoutError, Broken) as error:
                    self._disconnect(str(error) or f"no answer within {ANSWER_WITHIN:g} s")
                    await pause.wait()
                else:
                    pause.reset()
        except asyncio.CancelledError:
            reason = "the process stops"
            raise
        finally:
            self._disconnect(reason)
            while self._queue:
                one = self._queue.popleft()
                self._fail(one.done, f"{reason}; perhaps some members got the message")
                self._forget(one)

    async def _send_batch(self) -> None:
        if not self._is_connected:
            self._time = await self._wire.connect()
            self._is_connected = True
        batch = list(self._next_batch())
        answers = await self._wire.publish([one.append for one in batch])
        is_early = False
        for one, answer in zip(batch, answers, strict=True):
            match answer:
                case Appended(number, now):
                    self._time = max(self._time, now)
                    self._note(one.append.topic, number)
                    if not one.done.done():
                        one.done.set_result(number)
                case Failed(text):
                    self._fail(one.done, f"the store cannot enter the message: {text}")
                case Unentered():
                    is_early = True
        if is_early:
            raise Broken("a message before this one was not entered")

    def _next_batch(self) -> Iterator[_Unanswered]:
        """Yield what is sent next, each with what the store needs to know about it."""
        count = size = 0
        last: dict[str, int] = {}
        for one in self._queue:
            if one.done.done():
                continue
            count += 1
            size += one.size
            if count > MAX_BATCH or (count > 1 and size > MAX_BATCH_BYTES):
                return
            topic, publication = one.append.topic, one.append.publication
            known = publication.known
            if not one.since and publication.payload != MARK:
                known = max(known, self._known.get(topic, 0))
            publication = replace(
                publication, known=known, since=one.since, follows=last.get(topic, 0)
            )
            one.since = one.since or self._time
            one.append = replace(one.append, publication=publication)
            last[topic] = publication.serial
            yield one

    def _note(self, topic: str, number: int) -> None:
        """Remember the last number of a topic."""
        self._known[topic] = max(number, self._known.pop(topic, 0))
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _disconnect(self, reason: str) -> None:
        self._reason = reason
        self._is_connected = False
        self._wire.drop()

    def _give_up(self, done: asyncio.Future[int]) -> None:
        reason = self._reason or f"no answer within {GIVE_UP_AFTER:g} s"
        self._fail(
            done, f"the store does not take the message ({reason}); perhaps some members get it"
        )

    def _fail(self, done: asyncio.Future[int], text: str) -> None:
        if not done.done():
            done.set_exception(StoreUnavailable(text))

    def _forget(self, one: _Unanswered) -> None:
        one.timer.cancel()
        self._waiting -= 1
        self._waiting_bytes -= one.size


def _retrieve(done: asyncio.Future[int]) -> None:
    """Take the error of a publication, so that it is not logged if its caller was cancelled."""
    if not done.cancelled():
        done.exception()
