"""Two sides of numbered streams: nothing is missing, doubled or out of order in an epoch."""

from __future__ import annotations

import itertools
import random
from collections import defaultdict, deque

import pytest

from transport.bus.redis import pair as pairs
from transport.bus.redis.messages import Is, Kind, Message, Part
from transport.bus.redis.pair import Pair

STEPS = 400


class Side:
    """One process, with what it publishes to the other."""

    def __init__(self, name: str, other: str) -> None:
        self.published: deque[Message] = deque()
        self.sent: defaultdict[int, list[Part]] = defaultdict(list)
        """By epoch, as published."""
        self.taken: defaultdict[int, list[Part]] = defaultdict(list)
        self.cuts = 0
        self.begun: list[int] = []
        self.pair = Pair(name, name < other, itertools.count(1), self)

    # `Owner`

    def post(self, message: Message) -> None:
        self.published.append(message)
        self.sent[message.epoch] += message.parts

    def began(self) -> None:
        self.begun.append(self.pair.epoch)

    def cut(self) -> None:
        self.cuts += 1

    # The test

    def take(self, message: Message) -> None:
        self.taken[message.epoch] += self.pair.received(message)

    def tick(self) -> None:
        if self.pair.is_bound:
            self.pair.ask()
        else:
            self.pair.begin()


def make() -> tuple[Side, Side]:
    return Side("a", "b"), Side("b", "a")


def exchange(*sides: Side) -> None:
    """Deliver everything."""
    a, b = sides
    for _ in range(1000):
        if not (a.published or b.published):
            return
        for one, other in ((a, b), (b, a)):
            if one.published:
                other.take(one.published.popleft())
    raise AssertionError("they do not stop talking")


def item(number: int) -> tuple[int, Is, bytes]:
    return 1, Is.ITEM, str(number).encode()


@pytest.mark.parametrize("first", ["a", "b", "both"])
def test_epoch_begins_whoever_comes_first(first: str) -> None:
    a, b = make()
    a.pair.put(*item(1))
    b.pair.put(*item(2))
    for side in (a, b):
        if first in (side.pair._name, "both"):
            side.pair.begin()
    exchange(a, b)
    assert (a.cuts, b.cuts) == (0, 0)
    assert a.begun == b.begun == [a.pair.epoch]
    for side in (a, b):
        side.pair.flush()
    exchange(a, b)
    assert b.taken[1] == [item(1)]
    assert a.taken[1] == [item(2)]


def bound() -> tuple[Side, Side]:
    a, b = make()
    a.pair.begin()
    exchange(a, b)
    return a, b


def test_lost_last_message_is_noticed_when_asked() -> None:
    a, b = bound()
    for sender, receiver in ((a, b), (b, a)):
        sender.pair.put(*item(1))
        sender.pair.flush()
        sender.published.clear()
        cuts = receiver.cuts
        sender.tick()
        exchange(a, b)
        assert receiver.cuts == cuts + 1
        assert a.pair.is_bound
        assert b.pair.is_bound
        assert a.pair.epoch == b.pair.epoch


def test_repeated_message_is_taken_once() -> None:
    a, b = bound()
    for number in (1, 2):
        a.pair.put(*item(number))
        a.pair.flush()
    for message in [*a.published, *a.published]:
        b.take(message)
    assert b.taken[a.pair.epoch] == [item(1), item(2)]
    assert b.cuts == 0


def test_nothing_more_is_sent_once_all_is_acknowledged() -> None:
    a, b = bound()
    a.pair.put(*item(1))
    a.pair.flush()
    exchange(a, b)
    for side in (a, b):
        side.tick()
    exchange(a, b)
    for side in (a, b):
        side.tick()
    assert not a.published
    assert not b.published


def test_sender_waits_for_the_window() -> None:
    """However much is sent to a process that takes nothing, a bounded part goes to Redis."""
    a, b = bound()
    for number in range(40):
        a.pair.put(1, Is.ITEM, bytes([number]) * 100_000)
    a.pair.flush()
    under_way = sum(len(data) for message in a.published for _, _, data in message.parts)
    assert pairs.WINDOW <= under_way < pairs.WINDOW + 2 * pairs.PIECE
    exchange(a, b)
    assert len(b.taken[a.pair.epoch]) == 40


def test_item_of_any_size_is_sent_in_pieces() -> None:
    a, b = bound()
    sizes = [0, 1, pairs.PIECE, pairs.PIECE + 1, 3 * pairs.PIECE, 3 * pairs.PIECE + 5]
    for size in sizes:
        a.pair.put(1, Is.ITEM, bytes(size))
    a.pair.flush()
    exchange(a, b)
    whole: list[int] = []
    pieces = 0
    for _, kind, data in b.taken[a.pair.epoch]:
        assert len(data) <= pairs.PIECE
        pieces += len(data)
        if kind == Is.ITEM:
            whole.append(pieces)
            pieces = 0
    assert whole == sizes
    assert a.pair.unacked_bytes <= pairs.WINDOW


@pytest.mark.parametrize("seed", range(60))
def test_what_is_taken_is_the_beginning_of_what_was_sent(seed: int) -> None:
    """Messages are lost or repeated, and both sides begin again at any time."""
    chance = random.Random(seed)
    a, b = make()
    numbers = itertools.count()
    late: dict[Side, list[Message]] = {a: [], b: []}
    for _ in range(STEPS):
        one, other = chance.choice([(a, b), (b, a)])
        match chance.randrange(9):
            case 0 | 1:
                one.pair.put(*item(next(numbers)))
                one.pair.flush()
            case 2 | 3 | 4 if one.published:
                message = one.published.popleft()
                late[one] = [*late[one][-5:], message]
                other.take(message)
            case 5 if one.published:
                one.published.popleft()
            case 6:  # a broken connection to Redis: the last ones are published again, in order
                for message in late[one]:
                    other.take(message)
            case 7:
                one.tick()
            case 8 if chance.random() < 0.3:
                one.pair.cut()
                one.pair.begin()
        for receiver, sender in ((a, b), (b, a)):
            for epoch, taken in receiver.taken.items():
                assert taken == sender.sent[epoch][: len(taken)]
    for _ in range(4):
        exchange(a, b)
        a.tick()
        b.tick()
    exchange(a, b)
    assert a.pair.is_bound
    assert b.pair.is_bound
    assert a.pair.epoch == b.pair.epoch
    assert a.pair.is_idle
    assert b.pair.is_idle
    cuts = a.cuts, b.cuts
    for side in (a, b):
        side.pair.put(*item(next(numbers)))
        side.pair.flush()
    exchange(a, b)
    assert (a.cuts, b.cuts) == cuts
    for receiver, sender in ((a, b), (b, a)):
        assert receiver.taken[a.pair.epoch] == sender.sent[a.pair.epoch]


def test_side_that_forgot_the_other_begins_again() -> None:
    """It had taken the other for dead; the other knows nothing of that."""
    a, _ = bound()
    forgotten = Side("b", "a")
    forgotten.pair.begin()
    exchange(a, forgotten)
    assert a.cuts == 1
    assert a.pair.is_bound
    assert forgotten.pair.is_bound
    stopped = Side("a", "b")
    stopped.pair = Pair("a", True, itertools.count(a.pair.epoch + 1), stopped)
    stopped.pair.begin()
    exchange(stopped, forgotten)
    assert forgotten.cuts == 1
    assert forgotten.pair.epoch == stopped.pair.epoch


def test_message_of_an_unknown_epoch_is_answered() -> None:
    a, _ = bound()
    a.pair.put(*item(1))
    a.pair.flush()
    new = Side("b", "a")
    new.take(a.published.popleft())
    assert [message.kind for message in new.published] == [Kind.BROKEN]
    exchange(a, new)
    assert new.pair.is_bound
    assert not any(new.taken.values())
