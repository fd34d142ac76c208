"""What a process asks of the topics of a store, over the connection that `Reads` has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from transport.protocol.topic_log import Reading
from transport.server.topics.stored.log_reader import LogReader
from transport.stores.journaled import Failed
from transport.stores.topics.wire import ReadWire
from transport.telemetry.log import ERROR, log_event


class ReadTopics:
    """Reads topics, for their readers. Implements `Question`.

    Args:
        readings: the readers by their topics, each with the cursor above which to read.
        offered: called with each when it has what was read.
    """

    def __init__(
        self,
        readings: dict[str, tuple[LogReader, int]],
        offered: Callable[[str, LogReader], None],
    ) -> None:
        self._readings = readings
        self._offered = offered

    async def ask(self, wire: ReadWire) -> None:
        """See `Question.ask`."""
        asked = [(topic, after) for topic, (_, after) in self._readings.items()]
        answers = await wire.read(asked)
        for (topic, (reader, _)), answer in zip(self._readings.items(), answers, strict=True):
            reader.read(_readable(topic, answer))
            self._offered(topic, reader)

    def failed(self) -> None:
        """See `Question.failed`."""
        for reader, _ in self._readings.values():
            reader.not_read()


class DismissalLook:
    """What one caller wants to know of dismissals.

    Attributes:
        subjects: at most `MAX_BATCH`.
        times: when each was dismissed.
    """

    def __init__(self, subjects: Sequence[str]) -> None:
        self.subjects = subjects
        self.times: asyncio.Future[Sequence[int]] = asyncio.get_running_loop().create_future()


class ReadDismissals:
    """Asks when subjects were dismissed, for many callers together. Implements `Question`."""

    def __init__(self, looks: Sequence[DismissalLook]) -> None:
        self._looks = looks

    async def ask(self, wire: ReadWire) -> None:
        """See `Question.ask`."""
        times = await wire.dismissals([each for look in self._looks for each in look.subjects])
        at = 0
        for look in self._looks:
            end = at + len(look.subjects)
            if not look.times.done():
                look.times.set_result(times[at:end])
            at = end

    def failed(self) -> None:
        """See `Question.failed`."""
        # The callers have waited as long.


class SendEcho:
    """Sends the process something to itself. Implements `Question`.

    Attributes:
        heard_at: when something arrived last, in seconds of the event loop. While much does, an
            echo comes late.
    """

    def __init__(self) -> None:
        self.heard_at = 0.0
        self._sent = 0
        self._arrived = 0

    @property
    def is_under_way(self) -> bool:
        """Whether the last one has not arrived."""
        return self._arrived < self._sent

    def arrived(self, token: str) -> None:
        """Learn that one has arrived."""
        self._arrived = int(token)

    def forget(self) -> None:
        """Expect the last one no longer."""
        self._arrived = self._sent

    async def ask(self, wire: ReadWire) -> None:
        """See `Question.ask`."""
        self.heard_at = asyncio.get_running_loop().time()
        self._sent += 1
        await wire.echo(str(self._sent))

    def failed(self) -> None:
        """See `Question.failed`."""
        self.forget()  # perhaps it was not sent


def _readable(topic: str, answer: Reading | Failed) -> Reading:
    """Return what was read; nothing if the store cannot read the topic."""
    if isinstance(answer, Reading):
        return answer
    log_event(
        ERROR,
        "topic_failed",
        "the store cannot read this topic: another program may use the same key. Its members miss "
        f"messages, and are reset. The store's answer: {answer.text}",
        topic=topic,
    )
    return Reading(0, 0)
