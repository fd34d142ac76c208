"""`LogReaders`: subscribes to the topics that have members in a process, and reads them."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, deque
from collections.abc import Callable, Sequence
from itertools import islice

from transport.errors import StoreUnavailable
from transport.server.topics.stored.log_reader import LogReader, Member
from transport.server.topics.stored.questions import (
    DismissalLook,
    ReadDismissals,
    ReadTopics,
    SendEcho,
)
from transport.server.topics.stored.reads import Question, Reads
from transport.server.topics.stored.refusals import Refusals
from transport.stores.pause import Pause
from transport.stores.topics.wire import (
    ANSWER_WITHIN,
    Arrived,
    Broken,
    Echo,
    Subscribed,
    TopicStore,
)
from transport.waiting import Waiters, resolve

MAX_BATCH = 1000
"""Topics that one command subscribes to or reads."""

MAX_NOTICES = 64
"""What is taken from the subscription before other tasks get their turn."""

ECHO_INTERVAL = 2.0
"""Seconds after which something must have arrived that this process has sent to itself. A
subscription can stay open, and silent, at a server that was replaced."""

ARRIVES_WITHIN = 1.0
"""Seconds after which an entry that was published is read, as it has not arrived."""

REACHED_WITHIN = 5.0
"""Seconds for which a publisher waits for the members of its process."""


class LogReaders:
    """The readers of one process.

    Args:
        store: makes the connections.
        tell: called with a topic, and the number of an entry of it that the store has lost; see
            `LogReader`.
    """

    def __init__(self, store: TopicStore, tell: Callable[[str, int], None]) -> None:
        self._tell = tell
        self._subscription = store.subscribe_wire()
        self._readers: dict[str, LogReader] = {}
        self._is_connected = False
        """Whether topics can be subscribed to."""
        self._to_subscribe: dict[str, None] = {}
        self._to_unsubscribe: dict[str, None] = {}
        self._unconfirmed: Counter[str] = Counter()
        """How often a topic was subscribed to, and that has not been confirmed."""
        self._subscribed: set[str] = set()
        self._changed = asyncio.Event()
        """Something is to be subscribed to or not any longer."""
        self._asked: dict[str, None] = {}
        """The topics that are to be read, the first asked for first."""
        self._looks: deque[DismissalLook] = deque()
        """What is to be asked of dismissals, the first asked for first."""
        self._kinds = deque([self._next_dismissals, self._next_readings])
        """Of questions. They take turns, so that neither waits for the end of the other."""
        self._reads = Reads(store.read_wire(), self._next_question)
        self._waiters = Waiters()
        self._echo = SendEcho()
        self._check_at = 0.0
        """When an echo is due, in seconds of the event loop."""

    # Members

    async def join(self, topic: str, member: Member) -> None:
        """Add a member that gets everything that is published after this returns.

        If the caller is cancelled, the member is added nevertheless, or may be.
        """
        joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader(topic).join(member, lambda: resolve(joined))
        await joined

    def resume(self, topic: str, member: Member, *, has_taken: bool) -> None:
        """Add a member that gets everything above its cursor; see `LogReader.resume`."""
        reader = self._reader(topic)
        reader.resume(member, has_taken=has_taken)
        self._remove_if_empty(topic, reader)

    def leave(self, topic: str, member: Member) -> None:
        """Remove a member, if it is one."""
        if (reader := self._readers.get(topic)) is not None:
            reader.leave(member)
            self._remove_if_empty(topic, reader)
            self._waiters.changed()

    def newest(self, topic: str) -> int:
        """Return the highest number of a topic that this process knows; 0 for none."""
        reader = self._readers.get(topic)
        return 0 if reader is None else reader.newest

    async def reached(self, topic: str, number: int) -> None:
        """Wait until the members of a topic in this process have everything up to a number.

        Returns after some seconds in any case: they get it once the subscription works again.
        """
        loop = asyncio.get_running_loop()
        last = loop.time() + REACHED_WITHIN
        while not self._has_reached(topic, number) and loop.time() < last:
            try:
                async with asyncio.timeout(ARRIVES_WITHIN):
                    await self._waiters.until(lambda: self._has_reached(topic, number))
            except TimeoutError:
                if (reader := self._readers.get(topic)) is not None:
                    reader.check()

    def _has_reached(self, topic: str, number: int) -> bool:
        reader = self._readers.get(topic)
        return reader is None or reader.has_reached(number)

    def _reader(self, topic: str) -> LogReader:
        reader = self._readers.get(topic)
        if reader is None:
            reader = self._readers[topic] = LogReader(
                lambda: self._ask(topic), lambda number: self._tell(topic, number)
            )
            if topic in self._to_unsubscribe:
                del self._to_unsubscribe[topic]
                if topic in self._subscribed:
                    reader.subscribed()
            else:
                self._to_subscribe[topic] = None
                self._changed.set()
        return reader

    def _remove_if_empty(self, topic: str, reader: LogReader) -> None:
        if len(reader) or self._readers.get(topic) is not reader:
            return
        del self._readers[topic]
        self._asked.pop(topic, None)
        if topic in self._to_subscribe:
            del self._to_subscribe[topic]
        else:
            self._to_unsubscribe[topic] = None
            self._changed.set()

    # The subscription

    async def run(self) -> None:
        """Subscribe and read, until the task is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reads.run())
            pause, refusals = Pause(), Refusals()
            try:
                while True:
                    try:
                        async with asyncio.timeout(ANSWER_WITHIN):
                            await self._subscription.connect()
                        async with asyncio.TaskGroup() as subscribed:
                            self._connected()
                            subscribed.create_task(self._receive(pause, refusals))
                            subscribed.create_task(self._change_subscriptions())
                    except* (TimeoutError, Broken) as group:
                        for error in group.exceptions:
                            refusals.failed(error)
                        self._disconnected()
                        await pause.wait()
            finally:
                self._disconnected()

    def _connected(self) -> None:
        self._is_connected = True
        self._to_subscribe = dict.fromkeys(self._readers)
        self._to_unsubscribe.clear()
        self._changed.set()

    async def _receive(self, pause: Pause, refusals: Refusals) -> None:
        """Take what arrives, until the connection breaks."""
        loop = asyncio.get_running_loop()
        for count in itertools.count(1):
            notice = await self._subscription.receive()
            self._echo.heard_at = loop.time()
            if count % MAX_NOTICES == 0:
                await asyncio.sleep(0)  # what has arrived already is returned without a pause
            pause.reset()
            refusals.worked()
            match notice:
                case Arrived(topic, entry):
                    if (reader := self._readers.get(topic)) is not None:
                        reader.arrived(entry)
                        self._offered(topic, reader)
                case Subscribed(topic):
                    self._confirmed(topic)
                case Echo(token):
                    self._echo.arrived(token)

    def _disconnected(self) -> None:
        self._subscription.drop()
        self._is_connected = False
        self._subscribed.clear()
        self._unconfirmed.clear()
        self._echo.forget()
        for reader in self._readers.values():
            reader.unsubscribed()

    def _confirmed(self, topic: str) -> None:
        self._unconfirmed[topic] -= 1
        if self._unconfirmed[topic] > 0:
            return  # it was subscribed to, given up, and subscribed to again
        del self._unconfirmed[topic]
        if (reader := self._readers.get(topic)) is not None:
            self._subscribed.add(topic)
            reader.subscribed()

    async def _change_subscriptions(self) -> None:
        """Subscribe to what has members, and no longer to what has none."""
        while True:
            await self._changed.wait()
            if ended := _take(self._to_unsubscribe):
                self._subscribed.difference_update(ended)
                await self._subscription.unsubscribe(ended)
            elif begun := _take(self._to_subscribe):
                self._unconfirmed.update(begun)
                await self._subscription.subscribe(begun)
            else:
                self._changed.clear()

    # Reading

    async def dismissals(self, subjects: Sequence[str]) -> list[int]:
        """Return when each of the subjects was dismissed last, in microseconds of the store's time.

        0 for one that was not, or so long ago that its sessions of then have ended.

        Raises:
            StoreUnavailable: the store did not answer in time.
        """
        times: list[int] = []
        for at in range(0, len(subjects), MAX_BATCH):
            look = DismissalLook(subjects[at : at + MAX_BATCH])
            self._looks.append(look)
            self._reads.wake()
            try:
                async with asyncio.timeout(ANSWER_WITHIN):
                    times += await look.times
            except TimeoutError:
                raise StoreUnavailable("the store does not answer") from None
        return times

    def _ask(self, topic: str) -> None:
        self._asked[topic] = None
        self._reads.wake()

    def _next_question(self) -> tuple[Question | None, float]:
        """See `Reads`."""
        now = asyncio.get_running_loop().time()
        if now >= self._check_at:
            self._check_at = now + ECHO_INTERVAL
            if self._should_echo():
                return self._echo, self._check_at
        for kind in tuple(self._kinds):
            self._kinds.rotate(-1)
            if (question := kind()) is not None:
                return question, self._check_at
        return None, now if self._asked else self._check_at

    def _next_dismissals(self) -> Question | None:
        looks: list[DismissalLook] = []
        count = 0
        while self._looks and count + len(self._looks[0].subjects) <= MAX_BATCH:
            look = self._looks.popleft()
            if not look.times.done():
                looks.append(look)
                count += len(look.subjects)
        return ReadDismissals(looks) if looks else None

    def _next_readings(self) -> Question | None:
        readings = {
            topic: (reader, after)
            for topic in _take(self._asked)
            if (reader := self._readers.get(topic)) is not None
            and (after := reader.begin_read()) is not None
        }
        return ReadTopics(readings, self._offered) if readings else None

    def _should_echo(self) -> bool:
        """Return whether to send an echo now. Ends the subscription if the last one is missing."""
        if not self._is_connected or not self._readers:
            return False
        if self._echo.is_under_way:
            if self._echo.heard_at + ECHO_INTERVAL <= asyncio.get_running_loop().time():
                self._subscription.drop()
            return False
        return True

    def _offered(self, topic: str, reader: LogReader) -> None:
        """Wake publishers, and give the topic up if its last member was reset."""
        self._waiters.changed()
        self._remove_if_empty(topic, reader)


def _take(topics: dict[str, None]) -> list[str]:
    """Remove and return the first topics, as many as a batch has."""
    taken = list(islice(topics, MAX_BATCH))
    for topic in taken:
        del topics[topic]
    return taken
