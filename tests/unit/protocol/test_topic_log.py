"""A topic: its numbers, its bounds, its repetitions, and what an entry is to a member."""

from __future__ import annotations

import pytest

from transport.protocol.codec import Payload
from transport.protocol.topic_log import (
    MARK,
    MAX_WRITERS,
    WRITER_LIFE,
    Entry,
    Keep,
    Publication,
    Reading,
    Taking,
    TopicLog,
    Unentered,
    decode_entry,
    encode_numbers,
    encode_tail,
    entry_size,
    judge,
    publish,
    read,
)

KEEP = Keep(1000, 1 << 20)
NOW = 1_700_000_000_000_000


def publication(
    serial: int, payload: Payload = "1", writer: str = "w", known: int = 0, since: int = 0
) -> Publication:
    return Publication(writer=writer, serial=serial, payload=payload, known=known, since=since)


def filled(*times: int, keep: Keep = KEEP) -> TopicLog:
    """Return a log with a publication at each time."""
    log = TopicLog()
    for serial, time in enumerate(times, 1):
        log, _ = publish(log, publication(serial), keep, time)
    return log


def numbers(log: TopicLog | Reading) -> list[tuple[int, int]]:
    return [(entry.before, entry.number) for entry in log.entries]


# Publish


def test_number_of_entry_is_time_of_store() -> None:
    log, entry = publish(None, publication(1, "hello"), KEEP, NOW)
    assert entry == Entry(0, NOW, 0, "w", 1, 0, "", "hello")
    assert log.last == NOW


def test_entry_without_message_is_a_mark() -> None:
    log, message = publish(None, publication(1), KEEP, NOW)
    _, mark = publish(log, publication(2, MARK), KEEP, NOW)
    assert isinstance(message, Entry)
    assert isinstance(mark, Entry)
    assert (message.is_mark, mark.is_mark) == (False, True)


def test_number_is_above_the_last_if_the_clock_is_not() -> None:
    assert numbers(filled(10, 10, 5, 20)) == [(0, 10), (10, 11), (11, 12), (12, 20)]


def test_publication_that_was_entered_changes_nothing() -> None:
    log = filled(10, 20)
    assert publish(log, publication(2), KEEP, 30) == (log, Unentered.REPETITION)
    assert publish(log, publication(1), KEEP, 30) == (log, Unentered.REPETITION)


def test_publication_whose_predecessor_is_missing_is_refused() -> None:
    """The store refused that one, for example for want of memory; this one must not overtake it."""
    log = filled(10)
    early = Publication(writer="w", serial=3, payload="1", follows=2)
    assert publish(log, early, KEEP, 30) == (log, Unentered.EARLY)
    log, _ = publish(log, publication(2), KEEP, 30)
    assert isinstance(publish(log, early, KEEP, 30)[1], Entry)


def test_writers_are_compared_each_with_itself() -> None:
    log, entry = publish(filled(10, 20), publication(1, writer="v"), KEEP, 30)
    assert isinstance(entry, Entry)
    assert log.writers == {"w": (2, 20), "v": (1, 30)}


def test_entry_names_what_the_writer_knows_and_the_log_lost() -> None:
    """The store went back: a member below what was lost must not take the entry as the next."""
    log, entry = publish(filled(10), publication(5, known=40), KEEP, 30)
    assert isinstance(entry, Entry)
    assert (entry.before, entry.number, entry.lowest_cursor) == (10, 41, 40)
    assert judge(entry, 10) is Taking.BEHIND
    assert judge(entry, 40) is Taking.TAKE
    assert log.last == 41


def test_log_keeps_its_newest_entries() -> None:
    log = filled(10, 20, 30, keep=Keep(2, 1 << 20))
    assert numbers(log) == [(10, 20), (20, 30)]
    assert log.size == sum(map(entry_size, log.entries))


def test_log_keeps_as_many_bytes_but_at_least_one_entry() -> None:
    size = entry_size(Entry(10, 20, 0, "w", 1, 0, "", "1"))
    assert numbers(filled(10, 20, 30, keep=Keep(9, 2 * size))) == [(10, 20), (20, 30)]
    assert numbers(filled(10, 20, 30, keep=Keep(9, 1))) == [(20, 30)]


def test_old_writers_are_forgotten_if_there_are_many() -> None:
    log = TopicLog()
    for index in range(MAX_WRITERS):
        log, _ = publish(log, publication(1, writer=f"w{index}"), KEEP, NOW + index)
    later = NOW + WRITER_LIFE + 1
    log, _ = publish(log, publication(2, writer="w5"), KEEP, later)
    assert len(log.writers) == MAX_WRITERS
    log, _ = publish(log, publication(1, writer="new"), KEEP, later)
    assert list(log.writers) == [f"w{index}" for index in range(1, MAX_WRITERS)] + ["new"]


# Read


def test_read_returns_entries_above_the_cursor() -> None:
    log = filled(10, 20, 30)
    assert numbers(read(log, 10, 1 << 20, 99)) == [(10, 20), (20, 30)]
    assert read(log, 30, 1 << 20, 99) == Reading(30, 99)


def test_read_is_bounded_but_returns_an_entry() -> None:
    log = filled(10, 20, 30)
    first = read(log, 0, 1, 99)
    assert (numbers(first), first.has_more) == ([(0, 10)], True)
    size = sum(map(entry_size, log.entries))
    assert not read(log, 0, size, 99).has_more
    assert read(log, 0, size - 1, 99).has_more
    assert read(log, 0, 0, 99) == Reading(30, 99, has_more=True)
    assert read(log, 30, 0, 99) == Reading(30, 99)


def test_position_of_new_member_is_below_each_later_entry() -> None:
    log = filled(10, 20)
    assert read(log, 0, 1, 99).position == 20
    position = read(None, 0, 1, 99).position
    _, entry = publish(None, publication(1, known=20), KEEP, 99)
    assert isinstance(entry, Entry)
    assert judge(entry, position) is Taking.TAKE


# The member


@pytest.mark.parametrize(
    ("cursor", "taking"),
    [
        (9, Taking.BEHIND),
        (10, Taking.TAKE),
        (19, Taking.TAKE),
        (20, Taking.HAS),
        (21, Taking.HAS),
    ],
)
def test_member_takes_the_entry_that_follows(cursor: int, taking: Taking) -> None:
    assert judge(Entry(10, 20, 0, "w", 1, 0, "", "1"), cursor) is taking


@pytest.mark.parametrize(
    ("cursor", "doubt", "taking"),
    [
        (16, 0, Taking.TAKE),  # the log has everything that the member took
        (16, 15, Taking.TAKE),  # what it took and the log lacks is from before the first attempt
        (16, 16, Taking.DOUBTFUL),
        (20, 16, Taking.HAS),
        (9, 16, Taking.BEHIND),
    ],
)
def test_entry_that_was_sent_again_may_be_taken_already(
    cursor: int, doubt: int, taking: Taking
) -> None:
    assert judge(Entry(10, 20, 0, "w", 1, 15, "", "1"), cursor, doubt) is taking
    first = Entry(10, 20, 0, "w", 1, 0, "", "1")
    assert judge(first, cursor, doubt) is (Taking.TAKE if taking is Taking.DOUBTFUL else taking)


# Encoded


@pytest.mark.parametrize("payload", ['{"a":"é"}', "", b"", b"\0\n\xff"])
@pytest.mark.parametrize("exclude", ["", "an id", "é\n\ud800"])
def test_encoded_entry_is_decoded_unchanged(payload: Payload, exclude: str) -> None:
    entry = Entry(10, NOW, 3, "w", 7, 5, exclude, payload)
    tail = encode_tail(
        Publication(writer="w", serial=7, payload=payload, exclude=exclude, known=3, since=5)
    )
    encoded = encode_numbers(10, NOW) + tail
    assert decode_entry(encoded) == entry
    assert entry_size(entry) == len(encoded)


def test_field_of_a_later_release_is_ignored() -> None:
    entry = Entry(10, 20, 3, "w", 7, 5, "x", '"m"')
    assert decode_entry(b'10 20 3 w 7 5 1 later 8\nx"m"') == entry


@pytest.mark.parametrize("encoded", [b"", b"1 2 0 w 1 0 0", b"1 2 3\nx", b"1 2 0 w x 0 0\n1"])
def test_other_bytes_are_no_entry(encoded: bytes) -> None:
    with pytest.raises(ValueError, match=r"entry|literal"):
        decode_entry(encoded)
