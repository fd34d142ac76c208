"""A topic as a store keeps it: a numbered, bounded log that any process may append to.

The numbers of entries are times of the store, in microseconds. So a topic that was lost, or that
expired, goes on above the numbers that it gave before, and a member's *cursor*, the time up to
which it has all entries, needs no name of the log's life. Each entry names the number *before* it:
one that is behind a gap can be told from one that follows.

A writer counts its publications. It sends again what was not answered, in order, and the store
compares each with the highest that it has of the writer: a publication that was entered already, or
that runs late, is a *repetition* and changes nothing. One that is sent before another was answered
names that as the one it ``follows``, so that it cannot take its place if only that one is refused.

A store may go back to an earlier state, for example when a replica takes over. Then what was lost
must not become a silent gap, and what is sent again not a second copy:

* A publication names the highest number that its process knows in the topic (``known``). If the log
  ends below it, members that have not taken what was lost are behind. A process that finds that the
  log has lost an entry publishes a *mark*, which has no message and only names that entry.
* One that is sent again names a time before the first attempt (``since``). A member that took an
  entry after that, which the log does not have, may have taken this one under another number.

`publish` and `read` are the reference for every store. Pure: the caller passes the time.
"""

from __future__ import annotations

from enum import Enum

from msgspec import Struct
from msgspec.structs import replace

from transport.protocol.codec import Payload

MAX_WRITERS = 64
"""Each time a topic has that many more of them, those that are old are forgotten."""

WRITER_LIFE = 60_000_000
"""Microseconds after which one of too many writers is forgotten: far more than any retry takes."""


MARK = ""
"""The payload of a mark, whose ``known`` is a number that the log has lost. No message is like it:
a JSON text is not empty."""


class Publication(Struct, frozen=True, kw_only=True):
    """A message for a topic.

    Attributes:
        writer: the name of who publishes it; no other writer ever has the same.
        serial: higher than that of each earlier publication of the writer, in any topic.
        payload: the message.
        exclude: the id of a session that does not get it; empty for none.
        known: the highest number in the topic that the writer's process knew before the first
            attempt; 0 for none. So the publication's own number is higher.
        since: 0 at the first attempt; later the store's time before that, in microseconds.
        follows: the serial of the writer's publication in the topic that must be entered before;
            0 without one, or if that is answered.
    """

    writer: str
    serial: int
    payload: Payload
    exclude: str = ""
    known: int = 0
    since: int = 0
    follows: int = 0


class Entry(Struct, frozen=True):
    """A publication in the log.

    Attributes:
        before: the number of the entry before it in the log; 0 for the first one of a log.
        number: its own.
        known, writer, serial, since, exclude, payload: see `Publication`.
    """

    before: int
    number: int
    known: int
    writer: str
    serial: int
    since: int
    exclude: str
    payload: Payload

    @property
    def is_mark(self) -> bool:
        """Whether it has no message, and only tells what the log has lost."""
        return self.payload == MARK

    @property
    def lowest_cursor(self) -> int:
        """The lowest cursor of a member that has missed nothing before it."""
        return max(self.before, self.known)


class TopicLog(Struct, frozen=True):
    """A topic.

    Attributes:
        last: the number of the newest entry; 0 if there has been none.
        entries: those that are kept, the oldest first.
        size: the encoded bytes of the entries.
        writers: of each writer the highest serial, and when that was published.
    """

    last: int = 0
    entries: tuple[Entry, ...] = ()
    size: int = 0
    writers: dict[str, tuple[int, int]] = {}


class Keep(Struct, frozen=True):
    """How much of a topic is kept; at least the newest entry.

    Attributes:
        count: entries.
        size: encoded bytes of all entries together.
    """

    count: int
    size: int


class Unentered(Enum):
    """Why a publication made no entry; the log has not changed."""

    REPETITION = "repetition"
    """It was entered before."""
    EARLY = "early"
    """The one that it follows is not there: all that is not answered must be sent again."""


def publish(
    log: TopicLog | None, publication: Publication, keep: Keep, now: int
) -> tuple[TopicLog, Entry | Unentered]:
    """Append a publication.

    Args:
        log: the topic, or None if the store does not have it.
        publication: what is published.
        keep: how much is kept.
        now: microseconds of the store's clock.

    Returns:
        The log after it, and the entry, or why nothing was entered.
    """
    log = log or TopicLog()
    writer = publication.writer
    highest, _ = log.writers.get(writer, (0, 0))
    if publication.serial <= highest:
        return log, Unentered.REPETITION
    if highest < publication.follows:
        return log, Unentered.EARLY
    entry = Entry(
        log.last,
        max(log.last + 1, publication.known + 1, now),
        publication.known,
        writer,
        publication.serial,
        publication.since,
        publication.exclude,
        publication.payload,
    )
    writers = log.writers
    if writer not in writers and len(writers) % MAX_WRITERS == 0:
        writers = {name: each for name, each in writers.items() if now - each[1] <= WRITER_LIFE}
    entries = [*log.entries, entry]
    size = log.size + entry_size(entry)
    while len(entries) > 1 and (len(entries) > keep.count or size > keep.size):
        size -= entry_size(entries.pop(0))
    return (
        replace(
            log,
            last=entry.number,
            entries=tuple(entries),
            size=size,
            writers={**writers, writer: (publication.serial, now)},
        ),
        entry,
    )


class Reading(Struct, frozen=True):
    """What a read answers.

    Attributes:
        last: the number of the newest entry; 0 if the store does not have the topic.
        now: microseconds of the store's clock.
        entries: those above the cursor, the lowest first.
        has_more: whether there are more than these.
    """

    last: int
    now: int
    entries: tuple[Entry, ...] = ()
    has_more: bool = False

    @property
    def position(self) -> int:
        """The cursor of a member that is to get everything from this read on.

        Each later entry has a higher number, in a topic that the store does not have, too.
        """
        return self.last or self.now - 1


def read(log: TopicLog | None, after: int, most: int, now: int) -> Reading:
    """Return entries of a topic.

    Args:
        log: the topic, or None if the store does not have it.
        after: the cursor above which to read.
        most: encoded bytes of the answer. It has an entry more if it would have none otherwise,
            unless this is 0.
        now: microseconds of the store's clock.
    """
    if log is None:
        return Reading(0, now)
    entries: list[Entry] = []
    size = 0
    for entry in log.entries:
        if entry.number > after:
            size += entry_size(entry)
            if size > most and (entries or not most):
                return Reading(log.last, now, tuple(entries), has_more=True)
            entries.append(entry)
    return Reading(log.last, now, tuple(entries))


class Taking(Enum):
    """What an entry is to a member."""

    TAKE = "take"
    """It is the next one."""
    HAS = "has"
    """The member has it, or it is older than the member."""
    BEHIND = "behind"
    """An earlier one is missing: read, and if it is missing there, too, it is lost."""
    DOUBTFUL = "doubtful"
    """The store has lost something that the member has taken, and this may be the same."""


def judge(entry: Entry, cursor: int, doubt: int = 0) -> Taking:
    """Return what an entry is to a member.

    Args:
        entry: an entry of the log.
        cursor: the number of the last entry that the member took, or the store's time since when
            it is a member.
        doubt: the highest number of an entry that the member has taken and the log does not have;
            0 if there is no such entry.
    """
    if entry.number <= cursor:
        return Taking.HAS
    if entry.lowest_cursor > cursor:
        return Taking.BEHIND
    if 0 < entry.since < doubt:
        return Taking.DOUBTFUL
    return Taking.TAKE


# Encoded


def encode_tail(publication: Publication) -> bytes:
    """Return an encoded entry without its numbers, which the store puts in front of it."""
    exclude = publication.exclude.encode("utf-8", "surrogatepass")
    payload = publication.payload
    return b"%d %s %d %d %d\n%s%s" % (
        publication.known,
        publication.writer.encode(),
        publication.serial,
        publication.since,
        len(exclude),
        exclude,
        payload.encode() if isinstance(payload, str) else b"\0" + payload,
    )


def encode_numbers(before: int, number: int) -> bytes:
    """Return the front of an encoded entry."""
    return b"%d %d " % (before, number)


def decode_entry(encoded: bytes) -> Entry:
    """Return an entry from its bytes. Fields that a later release puts behind are ignored.

    Raises:
        ValueError: they are not those of an entry.
    """
    head, found, rest = encoded.partition(b"\n")
    fields = head.split(b" ")
    if not found or len(fields) < 7:
        raise ValueError("this is not an entry of a topic")
    length = int(fields[6])
    exclude, body = rest[:length].decode("utf-8", "surrogatepass"), rest[length:]
    return Entry(
        int(fields[0]),
        int(fields[1]),
        int(fields[2]),
        fields[3].decode(),
        int(fields[4]),
        int(fields[5]),
        exclude,
        body[1:] if body.startswith(b"\0") else body.decode(),
    )


def entry_size(entry: Entry) -> int:
    """Return the bytes of an encoded entry."""
    tail = encode_tail(
        Publication(
            writer=entry.writer,
            serial=entry.serial,
            payload=entry.payload,
            exclude=entry.exclude,
            known=entry.known,
            since=entry.since,
        )
    )
    return len(encode_numbers(entry.before, entry.number)) + len(tail)
