"""How topics are written and read: the commands, and their answers."""

from __future__ import annotations

from collections.abc import Sequence

from transport.limits import Limits
from transport.protocol.topic_log import (
    Keep,
    Reading,
    Unentered,
    decode_entry,
    encode_tail,
)
from transport.stores.journaled import Failed
from transport.stores.redis.commands import pack
from transport.stores.redis.keys import Keys
from transport.stores.redis.scripts import Scripts
from transport.stores.topics.wire import Append, Appended

_SPARE = 90.0
"""Seconds by which a topic outlives the sessions that have not read its last entry."""

MAX_READ = 1 << 20
"""Bytes of the answer to a read."""


class TopicCommands:
    """Makes commands of what is asked, and results of their answers, for the topics of one hub.

    Args:
        scripts: those that the commands run.
        keys: the names of the keys.
        hub: the name of the hub: hubs do not share topics or dismissals.
        limits: those of the hub.
    """

    def __init__(self, scripts: Scripts, keys: Keys, hub: str, limits: Limits) -> None:
        self._scripts = scripts
        self._keys = keys
        self._hub = hub
        self._life = round((limits.ttl + _SPARE) * 1000)
        self._dismissal_life = round((limits.ttl + limits.tombstone + _SPARE) * 1000)
        self._keep = Keep(limits.window_messages, limits.window_bytes)

    def channel(self, topic: str) -> bytes:
        """Return the channel on which the entries of a topic arrive."""
        return _encode(self._keys.topic(self._scoped(topic)))

    def echo_channel(self, name: str) -> bytes:
        """Return the channel on which a process checks its subscription."""
        return _encode(self._keys.process(f"echo:{name}"))

    def publish(self, append: Append) -> bytes:
        """Return the command of a publication; see `read_appended`."""
        publication = append.publication
        topic, log = self._topic(append.topic)
        dismissed = () if append.dismisses is None else (self._dismissed(append.dismisses),)
        return pack(
            *("EVALSHA", self._scripts.publish.sha, 2 + len(dismissed)),
            *(topic, log, *dismissed, topic),
            *(publication.writer, publication.serial, publication.follows, publication.known),
            *(self._keep.count, self._keep.size, self._life),
            *(encode_tail(publication), self._dismissal_life),
        )

    def read(self, asked: Sequence[tuple[str, int]]) -> bytes:
        """Return the command that reads topics, each above a cursor; see `read_readings`."""
        return pack(
            *("EVALSHA", self._scripts.read_topics.sha, 2 * len(asked)),
            *(key for topic, _ in asked for key in self._topic(topic)),
            MAX_READ,
            *(after for _, after in asked),
        )

    def dismissals(self, subjects: Sequence[str]) -> bytes:
        """Return the command that reads when subjects were dismissed; see `read_dismissals`."""
        return pack("MGET", *map(self._dismissed, subjects))

    def _topic(self, name: str) -> tuple[bytes, bytes]:
        """Return the keys of a topic and its log."""
        name = self._scoped(name)
        return _encode(self._keys.topic(name)), _encode(self._keys.topic_log(name))

    def _dismissed(self, subject: str) -> bytes:
        return _encode(self._keys.dismissed(self._scoped(subject)))

    def _scoped(self, name: str) -> str:
        """Return a name that no other hub has."""
        return f"{len(self._hub)}:{self._hub}:{name}"


def _encode(key: str) -> bytes:
    """Return a key as bytes; the names that an application chose may hold lone surrogates."""
    return key.encode("utf-8", "surrogatepass")


def read_appended(reply: Sequence[int]) -> Appended | Unentered:
    """Return what became of a publication."""
    number, now = reply
    return Appended(number, now) if number else Unentered.EARLY


def read_readings(reply: Sequence[object]) -> list[Reading | Failed]:
    """Return what was read of each topic."""
    now, *answers = reply
    assert isinstance(now, int)
    return [_reading(answer, now) for answer in answers]


def _reading(answer: object, now: int) -> Reading | Failed:
    if isinstance(answer, bytes):
        return Failed(answer.removeprefix(b"!").decode(errors="replace"))
    assert isinstance(answer, list)
    last, has_more, encoded = answer
    try:
        entries = tuple(map(decode_entry, encoded))
    except ValueError as error:
        return Failed(str(error))
    return Reading(last, now, entries, has_more=bool(has_more))


def read_dismissals(reply: Sequence[bytes | None]) -> list[int]:
    """Return when each subject was dismissed last, in microseconds; 0 for never."""
    return [int(time or 0) for time in reply]
