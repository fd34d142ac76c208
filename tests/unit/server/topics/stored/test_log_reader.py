"""`LogReader`: which entries members get, when the store is read, and who is reset."""

from __future__ import annotations

import pytest

from transport.protocol.topic_log import (
    MARK,
    Entry,
    Keep,
    Publication,
    TopicLog,
    publish,
    read,
)
from transport.server.topics.stored import copies, log_reader, losses
from transport.server.topics.stored.log_reader import MAX_NUMBER, LogReader
from transport.server.topics.stored.losses import NEWS_FOR


class Bench:
    """A reader, and the topic in its store."""

    def __init__(self, keep: int = 1000) -> None:
        self.asked = 0
        self.told: list[int] = []
        self.reader = LogReader(self._ask, self.told.append)
        self.log: TopicLog | None = None
        self.time = 100
        self.keep = keep
        self.serials: dict[str, int] = {}

    def _ask(self) -> None:
        self.asked += 1

    def publish(
        self,
        payload: str,
        *,
        arrives: bool = True,
        writer: str = "w",
        serial: int = 0,
        known: int = 0,
        since: int = 0,
        exclude: str = "",
    ) -> int:
        """Publish a message; return the number of its entry."""
        self.time += 10
        serial = serial or self.serials.get(writer, 0) + 1
        self.serials[writer] = serial
        one = Publication(
            writer=writer,
            serial=serial,
            payload=payload,
            known=known,
            since=since,
            exclude=exclude,
        )
        self.log, entry = publish(self.log, one, Keep(self.keep, 1 << 20), self.time)
        assert isinstance(entry, Entry)
        if arrives:
            self.reader.arrived(entry)
        return entry.number

    def read(self, most: int = 1 << 20) -> None:
        """Answer the read that is due."""
        after = self.reader.begin_read()
        assert after is not None
        self.reader.read(read(self.log, after, most, self.time))

    def subscribe(self) -> None:
        self.reader.subscribed()
        self.read()

    def member(self, cursor: int | None = None, *, has_taken: bool = True) -> Taker:
        """Return a member that has joined, or goes on from a cursor."""
        member = Taker(cursor)
        if cursor is None:
            self.reader.join(member)
        else:
            self.reader.resume(member, has_taken=has_taken)
        return member

    @property
    def is_at_rest(self) -> bool:
        return self.reader.begin_read() is None


class Taker:
    """A member. Implements `Member`."""

    def __init__(self, cursor: int | None) -> None:
        self.id = "taker"
        self.at = cursor
        self.got: list[object] = []
        self.doubt = 0
        self.resets = 0
        self.is_full = False

    @property
    def cursor(self) -> int:
        assert self.at is not None
        return self.at

    def begin(self, cursor: int) -> None:
        assert self.at is None
        self.at = cursor

    def offer(self, entry: Entry) -> bool:
        if self.is_full:
            return False
        self.got.append(entry.payload)
        self.at = entry.number
        return True

    def skip(self, number: int) -> None:
        self.at = number

    def suspect(self, number: int) -> None:
        self.doubt = number

    def reset(self) -> None:
        self.resets += 1


def test_member_that_joins_gets_what_is_published_later() -> None:
    bench = Bench()
    bench.publish("old", arrives=False)
    joined: list[None] = []
    member = Taker(None)
    bench.reader.join(member, lambda: joined.append(None))
    bench.reader.subscribed()
    assert bench.reader.begin_read() == MAX_NUMBER  # of what is there nothing is asked for
    bench.reader.read(read(bench.log, MAX_NUMBER, 1, bench.time))
    assert joined == [None]
    bench.publish("new")
    assert member.got == ["new"]
    assert bench.is_at_rest


def test_member_that_joins_during_a_read_delays_no_other() -> None:
    """A read for it alone would not have what the others still wait for."""
    bench = Bench()
    bench.publish("0", arrives=False)
    first, second = bench.member(), Taker(None)
    bench.reader.subscribed()
    after = bench.reader.begin_read()
    assert after is not None
    reading = read(bench.log, after, 1, bench.time)
    bench.reader.join(second)
    bench.reader.read(reading)
    assert bench.is_at_rest
    bench.publish("1")
    assert (first.got, second.got) == (["1"], ["1"])


def test_member_joins_live_reader_without_a_read() -> None:
    bench = Bench()
    bench.member()
    bench.subscribe()
    bench.publish("a")
    member = bench.member()
    assert member.cursor == bench.reader.newest
    assert bench.is_at_rest
    bench.publish("b")
    assert member.got == ["b"]


def test_what_arrives_during_a_read_is_not_missed() -> None:
    bench = Bench()
    bench.publish("1", arrives=False)
    member, joining = bench.member(100), bench.member()
    bench.reader.subscribed()
    after = bench.reader.begin_read()
    assert after == 100
    reading = read(bench.log, after, 1 << 20, bench.time)
    bench.publish("2")
    bench.reader.read(reading)
    bench.publish("3")
    assert (member.got, joining.got) == (["1", "2", "3"], ["3"])
    assert bench.is_at_rest


def test_too_much_that_arrives_during_a_read_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_reader, "MAX_RECENT", 2)
    bench = Bench()
    bench.publish("0", arrives=False)
    member = bench.member(100)
    bench.reader.subscribed()
    assert bench.reader.begin_read() == 100
    reading = read(bench.log, 100, 1 << 20, bench.time)
    for payload in "1234":
        bench.publish(payload)
    bench.reader.read(reading)
    assert member.got == ["0"]
    bench.read()
    assert member.got == ["0", "1", "2", "3", "4"]


def test_gap_is_read_for_those_who_have_it() -> None:
    bench = Bench()
    first, second = bench.member(), bench.member()
    bench.subscribe()
    bench.publish("a")
    bench.publish("b", arrives=False)
    third = bench.member(bench.time)
    bench.publish("c")
    assert (first.got, third.got) == (["a"], ["c"])
    assert not bench.reader.has_reached(bench.reader.newest)
    bench.read()
    assert first.got == second.got == ["a", "b", "c"]
    assert bench.reader.has_reached(bench.reader.newest)
    assert bench.is_at_rest


def test_members_are_read_for_from_the_lowest_cursor() -> None:
    bench = Bench()
    numbers = [bench.publish(payload, arrives=False) for payload in "abc"]
    members = [bench.member(number) for number in numbers[::-1]]
    bench.reader.subscribed()
    assert bench.reader.begin_read() == numbers[0]
    bench.reader.not_read()
    bench.read()
    assert [member.got for member in members] == [[], ["c"], ["b", "c"]]


def test_long_log_is_read_in_parts() -> None:
    bench = Bench()
    for payload in "abcde":
        bench.publish(payload, arrives=False)
    member = bench.member(0)
    bench.reader.subscribed()
    bench.read(0)  # other topics took all the room
    for count in range(1, 5):
        bench.read(1)
        assert member.got == list("abcde")[:count]
        assert not bench.reader.is_live
    bench.publish("f")
    bench.read()
    assert member.got == list("abcdef")
    assert bench.reader.is_live


def test_new_subscription_is_followed_by_a_read() -> None:
    bench = Bench()
    member = bench.member()
    bench.subscribe()
    bench.publish("a")
    bench.reader.unsubscribed()
    bench.publish("b", arrives=False)
    assert bench.reader.begin_read() is None
    bench.reader.subscribed()
    bench.read()
    bench.publish("c")
    assert member.got == ["a", "b", "c"]
    assert bench.is_at_rest


def test_answer_for_an_ended_subscription_is_dropped() -> None:
    bench = Bench()
    member = bench.member(100)
    bench.reader.subscribed()
    after = bench.reader.begin_read()
    assert after is not None
    bench.reader.unsubscribed()
    bench.reader.read(read(bench.log, after, 1, bench.time))
    assert not bench.reader.is_live
    bench.publish("a", arrives=False)
    bench.subscribe()
    assert member.got == ["a"]


def test_entry_that_should_have_arrived_is_read() -> None:
    bench = Bench()
    member = bench.member()
    bench.subscribe()
    bench.publish("a", arrives=False)
    bench.reader.check()
    bench.read()
    assert member.got == ["a"]


def test_member_that_is_behind_the_log_is_reset() -> None:
    bench = Bench(keep=2)
    for payload in "abcd":
        bench.publish(payload, arrives=False)
    late, enough = bench.member(111), bench.member(121)
    bench.subscribe()
    assert (late.resets, late.got) == (1, [])
    assert (enough.resets, enough.got) == (0, ["c", "d"])
    assert len(bench.reader) == 1


def test_member_is_reset_for_what_the_store_has_lost() -> None:
    """This process has seen an entry that the store does not have any longer."""
    bench = Bench()
    current = bench.member()
    bench.subscribe()
    cursor = bench.publish("a")
    kept = bench.log
    bench.publish("b")
    bench.log = kept
    behind = bench.member(cursor)
    bench.read()
    assert (behind.resets, behind.got) == (1, [])
    bench.publish("c", writer="v")
    later = bench.member(cursor)
    assert later.resets == 1
    assert (current.resets, current.got) == (0, ["a", "b", "c"])


def test_loss_behind_a_gap_is_found() -> None:
    bench = Bench()
    current = bench.member()
    bench.subscribe()
    cursor = bench.publish("a")
    kept = bench.log
    bench.publish("b")
    bench.log = kept
    bench.publish("c", writer="v", arrives=False)
    bench.publish("d", writer="v")
    behind = bench.member(cursor)
    bench.read()
    assert (behind.resets, behind.got) == (1, [])
    assert (current.resets, current.got) == (0, ["a", "b", "c", "d"])


def test_member_is_reset_for_what_a_writer_knows_to_be_lost() -> None:
    bench = Bench()
    member = bench.member()
    bench.subscribe()
    bench.publish("a")
    kept = bench.log
    lost = bench.publish("b", arrives=False)
    bench.log = kept
    bench.publish("c", known=lost)
    bench.read()
    assert (member.resets, member.got) == (1, ["a"])


def test_loss_is_told_until_a_mark_of_it_arrives() -> None:
    bench = Bench()
    current = bench.member()
    bench.subscribe()
    bench.publish("a")
    kept = bench.log
    lost = bench.publish("b")
    bench.log = kept
    bench.publish("c", writer="v", known=bench.time - 1000)
    bench.publish("d", writer="v", known=bench.time)
    assert bench.told == [lost, lost]
    bench.publish(MARK, known=lost)
    bench.publish("e", writer="v")
    assert bench.told == [lost, lost]
    assert (current.resets, current.got) == (0, ["a", "b", "c", "d", "e"])


@pytest.mark.parametrize(("age", "told"), [(NEWS_FOR, 1), (NEWS_FOR + 1, 0)])
def test_loss_is_told_while_it_may_be_news(age: int, told: int) -> None:
    bench = Bench()
    bench.member()
    bench.subscribe()
    lost = bench.publish("a")
    bench.log = None
    bench.time = lost + age - 10
    bench.publish("b", writer="v")
    assert bench.told == [lost] * told


def test_member_that_comes_after_a_loss_is_told_too() -> None:
    bench = Bench()
    cursor = bench.publish("a", arrives=False)
    kept = bench.log
    lost = bench.publish("b", arrives=False)
    bench.log = kept
    came = bench.member(cursor)
    had_it = bench.member(lost)
    bench.subscribe()
    bench.publish("c", writer="v")
    bench.publish(MARK, known=lost)
    bench.publish("d", writer="v")
    assert (came.resets, came.got) == (1, ["c"])
    assert (had_it.resets, had_it.got) == (0, ["c", "d"])


def test_member_that_takes_what_arrived_during_a_read_is_told() -> None:
    bench = Bench()
    cursor = bench.publish("a", arrives=False)
    kept = bench.log
    lost = bench.publish("b", arrives=False)
    bench.log = kept
    came = bench.member(cursor)
    bench.reader.subscribed()
    after = bench.reader.begin_read()
    assert after is not None
    answer = read(bench.log, after, 1 << 20, bench.time)
    bench.publish("c", writer="v")
    bench.publish(MARK, known=lost)
    bench.reader.read(answer)
    assert (came.resets, came.got) == (1, ["c"])


def test_member_that_reads_over_a_loss_is_told_by_the_log() -> None:
    bench = Bench()
    cursor = bench.publish("a", arrives=False)
    bench.publish("b", arrives=False)
    kept = bench.log
    lost = bench.publish("c", arrives=False)
    bench.log = kept
    bench.publish("d", writer="v", arrives=False)
    bench.publish(MARK, known=lost, arrives=False)
    came = bench.member(cursor)
    bench.subscribe()
    assert (came.resets, came.got) == (1, ["b", "d"])


@pytest.mark.parametrize("arrives", [True, False])
def test_members_that_went_on_without_a_lost_entry_are_reset(arrives: bool) -> None:
    """Another process knows of it, and tells later."""
    bench = Bench()
    went_on = bench.member()
    bench.subscribe()
    bench.publish("a")
    kept = bench.log
    lost = bench.publish("b", arrives=False)
    bench.reader.unsubscribed()
    bench.log = kept
    had_it = bench.member(lost)
    bench.publish("c", writer="v", arrives=False)
    bench.subscribe()
    later = bench.member()
    bench.publish(MARK, known=lost, arrives=arrives)
    bench.publish("d", writer="v")
    if not arrives:
        bench.read()
    assert (went_on.resets, went_on.got) == (1, ["a", "c"])
    assert (had_it.resets, had_it.got) == (0, ["c", "d"])
    assert (later.resets, later.got) == (0, ["d"])


def test_copy_of_a_lost_entry_is_not_taken_again() -> None:
    """The writer got no answer, and sends it again to a store that went back."""
    bench = Bench()
    member = bench.member()
    bench.subscribe()
    bench.publish("a")
    kept = bench.log
    since = bench.time
    bench.publish("b")
    bench.log = kept
    bench.publish("b", serial=2, since=since)
    bench.publish("c")
    assert (member.resets, member.got) == (0, ["a", "b", "c"])


def test_copy_that_another_process_has_seen_resets() -> None:
    """The member took it elsewhere; here nobody knows whether this is the same."""
    bench = Bench()
    bench.publish("a", arrives=False)
    kept, since = bench.log, bench.time
    cursor = bench.publish("b", arrives=False)
    bench.log = kept
    moved = bench.member(cursor)
    born = bench.member(cursor, has_taken=False)
    bench.subscribe()
    bench.publish("x", writer="v")
    bench.publish("b", serial=2, since=since)
    assert (moved.resets, moved.got) == (1, ["x"])
    assert (born.resets, born.got) == (0, ["x", "b"])


def test_member_brings_its_doubt_to_another_process() -> None:
    """It has taken what the store lost, and what came after that."""
    bench, other = Bench(), Bench()
    member = bench.member()
    bench.subscribe()
    bench.publish("a")
    kept = bench.log
    since = bench.time
    lost = bench.publish("b")
    bench.log = kept
    bench.publish("c", writer="v")
    assert (member.doubt, member.got) == (lost, ["a", "b", "c"])
    other.log, other.time = bench.log, bench.time
    other.subscribe()
    other.reader.resume(member, has_taken=True)
    other.publish("d", writer="v", serial=2)
    other.publish("b", serial=2, since=since)
    assert (member.resets, member.got) == (1, ["a", "b", "c", "d"])


def test_excluded_member_moves_on_without_the_message() -> None:
    bench = Bench()
    member = bench.member()
    bench.subscribe()
    number = bench.publish("a", exclude="taker")
    assert member.cursor == number
    bench.publish("b", exclude="somebody")
    assert member.got == ["b"]


def test_member_that_is_full_is_one_no_longer() -> None:
    bench = Bench()
    member = bench.member()
    bench.subscribe()
    member.is_full = True
    bench.publish("a")
    assert len(bench.reader) == 0
    assert bench.reader.has_reached(MAX_NUMBER)


def test_member_that_leaves_before_it_begins_is_told() -> None:
    bench = Bench()
    joined: list[None] = []
    member = Taker(None)
    bench.reader.join(member, lambda: joined.append(None))
    bench.reader.leave(member)
    bench.reader.leave(member)
    assert joined == [None]
    bench.subscribe()
    assert member.at is None


def test_member_that_joins_is_not_waited_for() -> None:
    bench = Bench()
    bench.member()
    bench.subscribe()
    number = bench.publish("a")
    bench.reader.unsubscribed()
    bench.member()
    assert bench.reader.has_reached(number)
    assert not bench.reader.has_reached(number + 1)


def test_what_is_remembered_is_bounded() -> None:
    bench = Bench()
    bench.member()
    bench.subscribe()
    for index in range(300):
        kept = bench.log
        bench.publish("a", writer=f"w{index}")
        bench.log = kept
        bench.publish("a", writer=f"w{index}", serial=1)
        bench.publish("b", arrives=False)
        bench.publish("c")
    reader = bench.reader
    assert len(reader._copies._serials) <= copies.MAX_WRITERS
    assert len(reader._copies._copies) <= copies.MAX_COPIES
    assert len(reader._losses._seams) <= losses.MAX_SEAMS
    assert len(reader._losses._unproven) <= losses.MAX_UNPROVEN + 1
    bench.read()
    assert reader._losses._unproven == []
