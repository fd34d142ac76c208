"""`JournaledStore`: keeps sessions so that another process can go on with them.

The home of a session tells the store that it `wrote` something, and the store collects what the
sessions of the process have to write. So all of them share one write under way, the *flight*, and a
session that sends while it is under way goes with the next.

A process lives as long as its *lease* is renewed. It knows by its own clock when that may have
ended, and its sessions then hand out nothing new until they have written again: another process may
have claimed them.

A store that has lost its data, or was replaced by another, begins a *grace*. In it nobody claims a
session, and no client may be told that its session is unknown: the homes that live write their
sessions again first.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, Literal, Protocol, TypeAlias

from msgspec import Struct

from transport.protocol.journal import ClaimRefusal, Image, Refusal, Write

TOUCH = 30.0
"""Seconds after which a home touches a session again whose client still sends frames."""


class Failed(Struct, frozen=True):
    """The store could not carry out a write of one session; it has changed nothing of it.

    Attributes:
        text: the error of the store.
    """

    text: str


Outcome: TypeAlias = Refusal | Failed | None
"""What became of a write: stored if None."""


class Source(Protocol):
    """A session of this process, whose writes go to the store. The methods must not raise.

    Attributes:
        id: the public id of the session.
    """

    id: str

    def next_write(self) -> Write | None:
        """Return what it has to write, or None; called when a flight begins.

        The store asks again only when it has called `written`.
        """
        ...

    def written(self, write: Write, outcome: Outcome) -> None:
        """Learn what became of a write: the one that `next_write` has returned last.

        It is told late while the store is away, and not at all once the store has stopped. If more
        is to be written, the session calls `JournaledStore.wrote`.
        """
        ...


class Owner(Protocol):
    """The process, as a store tells it what concerns all its sessions. The methods must not raise.

    They are told in the order in which they happen.
    """

    def lapsed(self) -> None:
        """Learn that the lease may have ended, so that others may claim the sessions."""
        ...

    def renewed(self) -> None:
        """Learn that there is a lease again after it had lapsed.

        That proves nothing about the sessions: each must write a touch, and hand out nothing new
        until that is stored.
        """
        ...

    def lost(self) -> None:
        """Learn that the store has lost data, or is another: every session must write a touch."""
        ...

    def unreachable(self) -> None:
        """Learn that the store has not answered for 15 seconds; told once in each outage."""
        ...

    def reachable(self) -> None:
        """Learn that it answers again after `unreachable`."""
        ...


class Located(Struct, frozen=True, kw_only=True):
    """What is needed to decide about a session that this process does not have.

    Attributes:
        home, fence, token, hub, closing, tombstone: see `Image`.
        subject: as it is stored: Redis has a hash of one that is longer than 44 bytes, which
            `transport.stores.names.shorten` makes. The same is in an `Image` that was claimed.
    """

    home: str
    fence: int
    subject: str
    token: bytes
    hub: str
    closing: bytes = b""
    tombstone: bytes = b""


class Made(Struct, frozen=True):
    """The session was stored, and this process is its home.

    Attributes:
        image: the session, with what the store has given it: birth, run and epoch.
    """

    image: Image


class Found(Struct, frozen=True):
    """The same ``open`` has made a session before.

    Attributes:
        session_id: its public id.
        home, fence: see `Image`.
    """

    session_id: str
    home: str
    fence: int


class Ended(Struct, frozen=True):
    """The same ``open`` has made a session before, which has ended.

    Attributes:
        session_id: its public id.
        tombstone: how it ended, encoded.
    """

    session_id: str
    tombstone: bytes


class Grace(Enum):
    """The type of `GRACE`."""

    GRACE = "grace"


GRACE: Final = Grace.GRACE
"""The store has lost data just now: nobody may claim yet. The client should retry."""

State: TypeAlias = Literal["ok", "slow", "gone"]
"""Of a store: ``slow`` while a flight takes above a second, ``gone`` while the process has had no
answer for as long as a lease lasts, or the store refuses all writes."""


class StoreStatistics(Struct, frozen=True, kw_only=True):
    """How the store of a process fares.

    Attributes:
        state: see `State`.
        flight: the median time of the last flights, in seconds; 0 before the first.
        takeovers: sessions that this process has claimed since it started.
        fenced: sessions that it has lost to another process.
        healed: sessions that it has restored in a store that had lost them or a part of them.
    """

    state: State = "ok"
    flight: float = 0.0
    takeovers: int = 0
    fenced: int = 0
    healed: int = 0


class JournaledStore(Protocol):
    """Keeps the sessions of one hub, for one of its processes.

    The calls (``locate``, ``open``, ``claim``, ``is_dead``) may be cancelled at any time: what they
    have asked may still happen. Each raises `transport.errors.StoreUnavailable` if the store does
    not answer within three seconds, or answers an error; what was asked may have happened.

    Attributes:
        name: of this process: 12 hexadecimal digits, as on the bus.
        secret: the key of the tokens, which all processes of the store share. It is another after
            the store has lost it. Known once `start` has returned.
        run: identifies the run of the store. Known once `start` has returned.
        statistics: how the store fares.
    """

    @property
    def name(self) -> str: ...
    @property
    def secret(self) -> bytes: ...
    @property
    def run(self) -> str: ...
    @property
    def statistics(self) -> StoreStatistics: ...

    async def start(self, owner: Owner) -> None:
        """Reach the store and take a lease; no effect if it has one.

        Raises:
            StoreUnavailable: it cannot be reached, or must not be used as it is set up; the message
                says why, and what to do.
        """
        ...

    async def stop(self) -> None:
        """Write what the sessions still have, give the lease up, and end all connections.

        It takes at most some seconds; what the store has not answered by then is not told.
        """
        ...

    def close(self) -> None:
        """End all connections at once, and write nothing more; also if the event loop is closed.

        Its lease ends by itself, some seconds later. No effect after `stop`.
        """
        ...

    def wrote(self, source: Source) -> None:
        """Note that a session has something to write; cheap, and may be repeated."""
        ...

    async def locate(self, session_id: str) -> Located | None:
        """Return what the store has of a session; None if it does not have it.

        Look at `in_grace` after that: in the grace, None means nothing.
        """
        ...

    async def open(self, opening: str, session_id: str, image: Image) -> Made | Found | Ended:
        """Store a new session of this process, once for each ``opening``.

        Args:
            opening: the same for each repetition of an ``open``, and for no other ``open``: a hash
                of subject, client and nonce.
            session_id: its public id.
            image: the session; the store replaces ``born``, ``seen``, ``run`` and ``epoch``.
        """
        ...

    async def claim(
        self, session_id: str, home: str, fence: int
    ) -> Image | ClaimRefusal | Literal[Grace.GRACE]:
        """Make this process the home of a session, and return that, or why it is refused.

        Args:
            session_id: its public id.
            home, fence: those that `locate` has returned.
        """
        ...

    async def is_dead(self, home: str) -> bool:
        """Return whether the process of this name is gone, so that its sessions may be claimed.

        It is if it has no lease, or if at two looks one second apart nobody receives on its channel
        and its lease was not renewed. This process is not dead, and nobody is in the grace.
        """
        ...

    def is_lapsed(self) -> bool:
        """Return whether the lease may have ended, by a clock that does not stand still; cheap.

        It may be true some time before `Owner.lapsed` is called, as after a pause of the process.
        """
        ...

    @property
    def in_grace(self) -> bool:
        """Whether the store has lost data just now, as far as this process knows; cheap."""
        ...

    @property
    def grace_left(self) -> float:
        """For how many seconds it is in a grace, unless another begins; 0 if it is not."""
        ...

    async def begin_grace(self) -> None:
        """Begin a grace, because a session is gone though its home was never fenced.

        A home that finds its session gone, and whose lease has lapsed since it last wrote, must not
        write it again before others had time to: they may have claimed it in between. It does so
        when `in_grace` is false again.
        """
        ...
