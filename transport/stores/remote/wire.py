"""`Wire`: a connection to the server of a store, and what is asked over it.

The rules of a store (when to write, to repeat, to renew a lease) are in this package. A wire only
carries what they decide, so Redis and the model of the tests are the same to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from transport.protocol.journal import ClaimRefusal, Image, Write
from transport.stores.journaled import (
    Ended,
    Failed,
    Found,
    Grace,
    Located,
    Made,
    Outcome,
)

T_co = TypeVar("T_co", covariant=True)


class Unanswered(Exception):
    """The connection could not be made, or has broken: what was asked may still happen."""


class Unwilling(Exception):
    """The server answers, but carries out nothing of this kind, as when its memory is full.

    The text is that of the server. The connection can be used again.
    """


@dataclass(frozen=True, slots=True)
class Birth:
    """Since when the data of a store is what it is.

    Attributes:
        run: the run of the server that had it; "" if that is not known.
        since: in milliseconds of the server's clock; None if it is not known.
        now: the server's clock, in milliseconds.
    """

    run: str
    since: int | None
    now: int

    @property
    def age(self) -> int | None:
        """How old the data are, in milliseconds; None if that is not known, as when the clock of
        the server was set back since."""
        return None if self.since is None or self.since > self.now else self.now - self.since

    def is_of(self, other: Birth) -> bool:
        """Return whether both are of the same data."""
        return (self.run, self.since) == (other.run, other.since)


@dataclass(frozen=True, slots=True)
class Greeting:
    """What a new connection says of the server.

    Attributes:
        run: the run of the server.
        birth: see `Birth`.
    """

    run: str
    birth: Birth


@dataclass(frozen=True, slots=True)
class Question(Generic[T_co]):
    """What is asked; ``T_co`` is the type of the answer."""


@dataclass(frozen=True, slots=True)
class ReadBirth(Question[Birth]):
    """Ask for the birth of the data."""


@dataclass(frozen=True, slots=True)
class SetBirth(Question[Birth]):
    """Let the data begin now, in the run of this connection; the answer is the birth after that.

    If another process has done so in the same run, its birth stays.

    Attributes:
        seen: the birth that this process has seen before.
    """

    seen: Birth


@dataclass(frozen=True, slots=True)
class Renewal:
    """The answer to `Renew`.

    Attributes:
        had_lease: whether this process had a lease until then.
        birth: see `Birth`.
    """

    had_lease: bool
    birth: Birth


@dataclass(frozen=True, slots=True)
class Renew(Question[Renewal]):
    """Renew the lease of this process for `LEASE` seconds, and then ask for the birth.

    Attributes:
        count: one higher at each renewal.
    """

    count: int


@dataclass(frozen=True, slots=True)
class GiveUp(Question[None]):
    """End the lease of this process."""


@dataclass(frozen=True, slots=True)
class ReadSecret(Question["bytes | None"]):
    """Return the key of the tokens, if there is one."""


@dataclass(frozen=True, slots=True)
class ShareSecret(Question[bytes]):
    """Let this be the key of the tokens unless there is one; answers the one that there is."""

    secret: bytes


@dataclass(frozen=True, slots=True)
class Look(Question["Sign"]):
    """Look for signs of life of a process.

    Attributes:
        home: its name.
    """

    home: str


@dataclass(frozen=True, slots=True)
class Sign:
    """What was seen of a process.

    Attributes:
        lease: what its lease contains, which each renewal changes; None if it has none.
        is_subscribed: whether somebody receives on its channel.
    """

    lease: bytes | None
    is_subscribed: bool


@dataclass(frozen=True, slots=True)
class Locate(Question[Located | None]):
    """See `JournaledStore.locate`."""

    session_id: str


@dataclass(frozen=True, slots=True)
class Begin(Question[Made | Found | Ended]):
    """See `JournaledStore.open`."""

    opening: str
    session_id: str
    image: Image


@dataclass(frozen=True, slots=True)
class Take(Question[Image | ClaimRefusal | Literal[Grace.GRACE]]):
    """See `JournaledStore.claim`. The run is that of this connection.

    Attributes:
        name: a name that no other claim of the session has; see `epoch_of`.
    """

    session_id: str
    home: str
    fence: int
    name: str


class Wire(Protocol):
    """A connection to the server, used by one task.

    All methods raise `Unanswered` if it breaks. A call that was cancelled leaves it unusable: it
    must be dropped.
    """

    async def connect(self) -> Greeting:
        """Connect, and return what the server says of itself.

        Raises:
            Unwilling: it refuses the connection, as for a wrong password.
        """
        ...

    async def check(self) -> None:
        """Check how the server is set up; called once, over a new connection.

        Raises:
            Unwilling: it must not be used; the text says why, and what to do.
        """
        ...

    async def write(self, writes: Sequence[tuple[str, Write]]) -> Sequence[Outcome]:
        """Write in this order, and return what became of each.

        Args:
            writes: ids of sessions, each at most once, and what is written of them.

        Raises:
            Unwilling: the server refuses writes. Any of these may have been carried out.
        """
        ...

    async def ask(self, questions: Sequence[Question[Any]]) -> Sequence[Any | Failed]:
        """Ask in this order, and return the answers; `Failed` in the place of an error.

        Raises:
            Unwilling: another server has taken the place of this one.
        """
        ...

    def drop(self) -> None:
        """End the connection, without waiting; it may be connected again."""
        ...
