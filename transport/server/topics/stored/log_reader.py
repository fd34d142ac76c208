"""`LogReader`: the members that a topic has in one process, and what they get.

Entries arrive by a subscription, in order, and go to all members that are *current*: they have
everything up to the newest entry that this process knows. The others are *behind*, and the store is
read for them, from the lowest of their cursors, until they are current. It is read when

* a subscription has begun, because what was published before that did not arrive;
* an entry arrives that does not follow a member's cursor;
* a member comes whose cursor is below the newest entry.

Nothing is read by time. A member for which the store does not have all entries any longer is reset.
If the store has lost an entry that this process knows, the members of the others are told.

Without I/O: `LogReaders` subscribes and reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from transport.protocol.topic_log import Entry, Reading, Taking, judge
from transport.server.topics.stored.copies import Copies
from transport.server.topics.stored.losses import NEWS_FOR, Losses

MAX_RECENT = 1000
"""Entries that are kept while a read is under way. After more, it is read once again."""

MAX_NUMBER = 2**53 - 1
"""No entry has a higher number: scripts of a store count in floating point."""


class Member(Protocol):
    """A session, or whatever else gets the entries of a topic. The methods must not raise.

    Attributes:
        id: entries that exclude it name this; empty if none does.
        cursor: the number of the last entry that it took, or the time since when it is a member.
        doubt: see `judge`.
    """

    @property
    def id(self) -> str: ...
    @property
    def cursor(self) -> int: ...
    @property
    def doubt(self) -> int: ...

    def begin(self, cursor: int) -> None:
        """Set the cursor: the member gets every entry above it."""
        ...

    def offer(self, entry: Entry) -> bool:
        """Take an entry and move the cursor to its number, both in one step of what is stored.

        Returns:
            False if the member has ended, or was reset because its buffer is full.
        """
        ...

    def suspect(self, number: int) -> None:
        """Set the doubt. It is stored before, or with, what is offered next."""
        ...

    def skip(self, number: int) -> None:
        """Move the cursor without a message. It need not be stored before something else is."""
        ...

    def reset(self) -> None:
        """Learn that it has missed an entry, and is a member no longer."""
        ...


@dataclass(slots=True, eq=False)
class Follower:
    """A member as its reader knows it.

    Attributes:
        member: see `Member`.
        has_taken: whether its cursor may be the number of an entry that it took.
        start: its cursor when it came to this process.
        first: the number of the first entry after that; 0 before. Between the two is no other.
        joined: called once it has begun, or has left; None if it has a cursor.
    """

    member: Member
    has_taken: bool
    start: int = 0
    first: int = 0
    joined: Callable[[], None] | None = None

    def tell_joined(self) -> None:
        """Call `joined` once."""
        if (joined := self.joined) is not None:
            self.joined = None
            joined()


@dataclass(slots=True)
class _Read:
    """A read under way.

    Attributes:
        after: the cursor above which is read.
        newest: that of the reader when it was asked for.
        followers: those for which is read; the cursor of none is below ``after``.
        arrived: the entries that have arrived since; None if they were too many.
    """

    after: int
    newest: int
    followers: list[Follower]
    arrived: list[Entry] | None = field(default_factory=list)


class LogReader:
    """Gives the entries of one topic to its members in this process.

    Args:
        ask: called when `begin_read` has something to ask; perhaps repeatedly.
        tell: called with the number of an entry that the store has lost: a mark is to be published
            that tells of it; repeatedly, until one arrives.

    Attributes:
        newest: the number of the newest entry that this process knows; 0 for none.
        is_live: whether each entry that is published arrives, and the store was read since that is
            so.
    """

    __slots__ = (
        "_ask",
        "_behind",
        "_copies",
        "_followers",
        "_is_checked",
        "_is_subscribed",
        "_losses",
        "_position",
        "_reading",
        "_tell",
        "is_live",
        "newest",
    )

    def __init__(self, ask: Callable[[], None], tell: Callable[[int], None]) -> None:
        self.newest = 0
        self.is_live = False
        self._ask = ask
        self._tell = tell
        self._is_subscribed = False
        self._is_checked = False
        """Whether the store was asked, since the subscription began, what its last entry is."""
        self._position = 0
        """The cursor of a member that comes now."""
        self._followers: dict[Member, Follower] = {}
        self._behind: dict[Follower, None] = {}
        """In the order in which they fell behind."""
        self._reading: _Read | None = None
        self._losses = Losses()
        self._copies = Copies()

    def __len__(self) -> int:
        """Return how many members there are."""
        return len(self._followers)

    def has_reached(self, number: int) -> bool:
        """Return whether all members have everything up to a number."""
        if not self._followers:
            return True
        return self.newest >= number and all(
            follower.joined is not None or follower.member.cursor >= number
            for follower in self._behind
        )

    # Members

    def join(self, member: Member, joined: Callable[[], None] | None = None) -> None:
        """Add a member that gets everything that is published from now on.

        Args:
            member: its cursor is set, at once if the reader is live.
            joined: called after that, or when it has left before. What is published later reaches
                the member.
        """
        follower = self._followers[member] = Follower(member, has_taken=False, joined=joined)
        if self.is_live:
            self._begin(follower)
        else:
            follower.joined = joined or _nothing
            self._fall_behind(follower)

    def resume(self, member: Member, *, has_taken: bool) -> None:
        """Add a member that gets everything above its cursor.

        Args:
            member: it is reset at once if it has missed an entry.
            has_taken: False if the cursor is the time since when it is a member.
        """
        if member.cursor < self._losses.lost:
            member.reset()
            return
        follower = self._followers[member] = Follower(member, has_taken, start=member.cursor)
        if not self.is_live or member.cursor < self.newest:
            self._fall_behind(follower)

    def leave(self, member: Member) -> None:
        """Remove a member, if it is one; if it has not begun, it never does."""
        follower = self._followers.pop(member, None)
        if follower is not None:
            self._behind.pop(follower, None)
            follower.tell_joined()

    def _begin(self, follower: Follower) -> None:
        """Let a member begin with what is published from now on."""
        follower.start = self._position
        follower.member.begin(self._position)
        follower.tell_joined()

    def _fall_behind(self, follower: Follower) -> None:
        self._behind[follower] = None
        self._want()

    def _reset(self, follower: Follower) -> None:
        self.leave(follower.member)
        follower.member.reset()

    # The subscription

    def subscribed(self) -> None:
        """Learn that each entry arrives from now on; again after each `unsubscribed`."""
        self._is_subscribed = True
        self._losses.subscribed(self.newest or self._position)
        self._want()

    def unsubscribed(self) -> None:
        """Learn that the subscription has ended: entries may be missed until the next."""
        self._is_subscribed = self._is_checked = self.is_live = False
        self._reading = None

    def arrived(self, entry: Entry) -> None:
        """Take an entry from the subscription."""
        if (reading := self._reading) is not None and reading.arrived is not None:
            reading.arrived.append(entry)
            if len(reading.arrived) > MAX_RECENT:
                reading.arrived = None
        self._take(entry)

    def check(self) -> None:
        """Read once again: an entry should have arrived by now."""
        self._is_checked = False
        self._want()

    # Reading

    def _want(self) -> None:
        if self._is_subscribed and self._reading is None and (self._behind or not self._is_checked):
            self._ask()

    def begin_read(self) -> int | None:
        """Return the cursor above which to read now; `read` or `not_read` must follow.

        None: nothing is to be read now.
        """
        if not self._is_subscribed or self._reading is not None:
            return None
        if not self._behind and self._is_checked:
            return None
        followers = list(self._behind)
        cursors = [each.member.cursor for each in followers if each.joined is None]
        if not self._is_checked and self._position:
            cursors.append(self._position)
        after = min(cursors, default=MAX_NUMBER)  # of the store only its last number is asked
        self._reading = _Read(after, self.newest, followers)
        return after

    def not_read(self) -> None:
        """Learn that the read was not answered: it is asked for again."""
        self._reading = None
        self._want()

    def read(self, reading: Reading) -> None:
        """Take the answer to `begin_read`."""
        read, self._reading = self._reading, None
        if read is None:
            return  # of a subscription that has ended
        is_whole = not reading.has_more
        if is_whole:
            self._losses.ends(reading, read.newest)
        self._losses.prove(read.after, reading)
        behind = [each for each in read.followers if each in self._behind]
        for entry in reading.entries:
            self._take(entry)
            for follower in behind:
                if follower in self._behind:
                    self._offer_read(follower, entry)
        if is_whole:
            self._finish(read, reading, behind)
        self._want()

    def _finish(self, read: _Read, reading: Reading, behind: list[Follower]) -> None:
        """Let those that were behind go on with what has arrived during the read."""
        self._is_checked = True
        self._tell_loss()
        self._position = max(self._position, self.newest, reading.position)
        self.newest = max(self.newest, reading.last)
        self.is_live = True
        for follower in [each for each in self._behind if each.joined is not None]:
            del self._behind[follower]
            self._begin(follower)
        for follower in behind:
            if follower not in self._behind:
                continue
            if follower.member.cursor < self._losses.lost:
                self._reset(follower)
            elif read.arrived is not None:
                del self._behind[follower]
                for entry in read.arrived:
                    if follower.member in self._followers and follower not in self._behind:
                        self._offer(follower, entry, self._losses.missed(entry.known))

    def _offer_read(self, follower: Follower, entry: Entry) -> None:
        """Offer an entry of the store to a member that was behind."""
        if follower.joined is not None:
            return
        if follower.member.cursor < max(self._losses.lost, entry.lowest_cursor):
            self._reset(follower)  # what it misses is not in the store
        else:
            if entry.number > follower.member.cursor:
                self._losses.passed(entry, follower.member.cursor)
            self._offer(follower, entry, self._losses.missed(entry.known))

    # Entries

    def _take(self, entry: Entry) -> None:
        """Give an entry that is new to this process to the members that are current."""
        if entry.number <= self.newest:
            return
        self._losses.entered(entry, self.newest)
        self._copies.note(entry)
        behind, missed = self._behind, self._losses.missed(entry.known)
        for follower in list(self._followers.values()):
            if follower not in behind:
                self._offer(follower, entry, missed)
        self.newest = entry.number
        self._position = max(self._position, entry.number)
        self._tell_loss()

    def _tell_loss(self) -> None:
        if self._losses.untold:
            self._tell(self._losses.untold)

    def _offer(self, follower: Follower, entry: Entry, missed: int) -> None:
        """Give an entry to a member, or note what it is to it.

        Args:
            follower, entry: see there.
            missed: see `Losses.missed`, of what the entry tells.
        """
        member = follower.member
        is_recent = 0 < entry.number - member.cursor <= NEWS_FOR
        if entry.before < member.cursor and is_recent and follower.has_taken:
            member.suspect(member.cursor)
        taking = judge(entry, member.cursor, member.doubt)
        if taking is Taking.HAS:
            return
        if taking is Taking.BEHIND:
            self._fall_behind(follower)
            return
        went_on = entry.known < follower.first or 0 < missed <= member.cursor
        if went_on and follower.start < entry.known:
            self._reset(follower)  # it was not known then that an entry was lost
            return
        if not follower.first:
            follower.start = max(follower.start, entry.before)
            follower.first = entry.number
        if self._is_skipped(entry, member):
            member.skip(entry.number)
        elif taking is Taking.DOUBTFUL:
            self._reset(follower)
        elif member.offer(entry):
            follower.has_taken = True
        else:
            self.leave(member)

    def _is_skipped(self, entry: Entry, member: Member) -> bool:
        """Return whether a member does not get an entry that is its next one."""
        is_excluded = entry.exclude != "" and entry.exclude == member.id
        return entry.is_mark or is_excluded or self._copies.has(entry, member.cursor)


def _nothing() -> None:
    """Stand for a callback that nobody needs."""
