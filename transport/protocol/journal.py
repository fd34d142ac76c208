"""What a store keeps of a session, so that another process can go on with it, and how that changes.

The process that runs a session is its *home*. It writes what it must not lose, and shows nothing to
the client before it is stored. A process may be cut off, or stopped and go on, while another claims
the session; a write may be repeated, or arrive after those that followed it. So each write names
its home, the *fence* of that home, which is one higher at each claim, and a *version*, which is one
higher at each write.

`apply` and `claim` are the reference for every store: the same `Image` and write give the same
answer and the same `Image` after it.

Pure: the caller passes the time.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias, assert_never

from msgspec import Struct
from msgspec.structs import replace

from transport.protocol.codec import Payload

EXPIRED = 0
"""`Image.seen` of a session whose client had been away for too long when it was claimed."""


class Image(Struct, frozen=True, kw_only=True):
    """A session, as a store has it.

    Attributes:
        home: the name of the process that runs it; empty once that has released it.
        fence: how often it was opened or claimed: 1 for its first home.
        version: that of the last write.
        subject: the subject that opened it (IDN-2).
        token: the hash of its secret (IDN-3).
        hub: the name of the hub.
        born: when it was opened, in microseconds of the store's clock.
        seen: when its client last sent a frame, in milliseconds of the store's clock; as of the
            last touch or claim. `EXPIRED` if it was claimed only to be ended.
        run: the run of the store in which its home last proved that it has the session.
        epoch: the epoch that its home tells clients (EPO-1), of which no other home of the session
            tells the same: the run in which it was opened, or that of the claim and a name.
        epoch_first: after the store may have lost what a home wrote, the first number that this may
            have given to another message; else 0. Clients that were told other epochs may have it.
        epoch_before: of such a session, the epoch of the home before, if clients that were told
            that have no such messages; else empty.
        wraps: whether it is that of a WebSocket application.
        handled: the mark of the uplink (MRK-2).
        acked: the mark of the downlink: ``payloads`` begin above it.
        last: the number of the newest message of the downlink.
        confirmed: the number of the confirmed attach (ATT-3).
        holder: the client that owns the session.
        partial: how many of the last messages the handler has sent for message ``handled + 1``.
        trials: how often message ``handled + 1`` was handed out after the death of a home.
        closing: how the server closes the session, encoded; empty unless it is closing.
        cursors: for each topic the last entry that the session has taken; for some, under another
            name, the last one that it has taken and the topic has lost.
        payloads: the messages that the client has not acknowledged.
        tombstone: how the session ended, encoded; empty until then.
    """

    home: str
    fence: int = 1
    version: int = 0
    subject: str
    token: bytes
    hub: str
    born: int
    seen: int
    run: str
    epoch: str
    epoch_first: int = 0
    epoch_before: str = ""
    wraps: bool = False
    handled: int = 0
    acked: int = 0
    last: int = 0
    confirmed: int = 0
    holder: str
    partial: int = 0
    trials: int = 0
    closing: bytes = b""
    cursors: dict[str, int] = {}
    payloads: tuple[Payload, ...] = ()
    tombstone: bytes = b""

    @property
    def is_expired(self) -> bool:
        """Whether its client had been away for too long when it was claimed."""
        return self.seen == EXPIRED

    @property
    def is_torn(self) -> bool:
        """Whether the store has lost a part of it."""
        return len(self.payloads) != self.last - self.acked


class Touch(Struct, frozen=True):
    """A sign that the session lives, which makes its record last longer.

    Attributes:
        idle: milliseconds since its client sent a frame.
        run: the run of the store, as the home knows it.
    """

    idle: int
    run: str


class Step(Struct, frozen=True, kw_only=True):
    """New messages and marks of a session, stored together or not at all.

    Attributes:
        first: the number of the first of ``payloads``; the one after the last that is stored, or
            lower if it may have been stored already.
        payloads: new messages.
        handled, acked, confirmed, holder, partial, trials, closing: see `Image`.
        cursors: those that have changed; None for a topic that the session has left.
        touch: None if it is not due.
    """

    first: int
    payloads: tuple[Payload, ...] = ()
    handled: int
    acked: int
    confirmed: int
    holder: str
    partial: int = 0
    trials: int = 0
    closing: bytes = b""
    cursors: dict[str, int | None] = {}
    touch: Touch | None = None


class Heal(Struct, frozen=True):
    """The whole session, for a store that has lost it or a part of it.

    Attributes:
        image: the session, or what is kept of it if it has ended. Its fence and version are those
            of the write.
        idle: milliseconds since its client sent a frame: the store sets ``seen``.
    """

    image: Image
    idle: int


class End(Struct, frozen=True):
    """The end of a session, of which only the tombstone is kept.

    Attributes:
        tombstone: how it ended, encoded.
    """

    tombstone: bytes


class Release(Struct, frozen=True):
    """Its home gives the session up: any process may claim it at once."""


Change: TypeAlias = Step | Heal | End | Release


class Write(Struct, frozen=True):
    """A change, and who makes it.

    Attributes:
        home: the name of the process.
        fence: that of its `Image`, as the process opened or claimed it.
        version: one above that of its last write.
        change: what is written.
    """

    home: str
    fence: int
    version: int
    change: Change


class Refusal(Enum):
    """Why a store refuses a write; it has changed nothing."""

    GONE = "gone"
    """The store does not have the session: it has lost it, or the session has expired."""
    ENDED = "ended"
    """The session has ended."""
    FENCED = "fenced"
    """Another process has claimed the session."""
    BEHIND = "behind"
    """The store has lost writes of this home, or messages: the home must `Heal` it."""


def apply(image: Image | None, write: Write, now: int) -> Image | Refusal:
    """Return the session after a write, or why the write is refused.

    A write that was applied before, or that is older than one that was, changes nothing.

    Args:
        image: the session, or None if the store does not have it.
        write: the write.
        now: milliseconds of the store's clock.
    """
    change = write.change
    if image is None:
        return _heal(change, now) if isinstance(change, Heal) else Refusal.GONE
    if image.fence == write.fence and image.home == write.home and image.version >= write.version:
        return image
    if image.tombstone:
        return Refusal.ENDED
    if image.fence > write.fence or (image.fence == write.fence and image.home != write.home):
        return Refusal.FENCED
    if isinstance(change, Heal):
        return _heal(change, now)
    if image.fence < write.fence or image.version < write.version - 1:
        return Refusal.BEHIND
    match change:
        case Step(first=first) if first > image.last + 1 or image.is_torn:
            return Refusal.BEHIND
        case Step():
            return replace(_step(image, change, now), version=write.version)
        case End(tombstone):
            return ended(image, tombstone, write.version)
        case Release():
            return replace(image, home="", version=write.version)
        case _:
            assert_never(change)


def _heal(heal: Heal, now: int) -> Image:
    return replace(heal.image, seen=now - heal.idle)


def _step(image: Image, step: Step, now: int) -> Image:
    known = image.last - step.first + 1  # of the new messages, those that are stored already
    payloads = (*image.payloads, *step.payloads[max(0, known) :])
    acked = max(image.acked, step.acked)
    cursors = {**image.cursors, **step.cursors}
    touch = step.touch
    return replace(
        image,
        last=max(image.last, step.first + len(step.payloads) - 1),
        payloads=payloads[acked - image.acked :],
        acked=acked,
        handled=step.handled,
        confirmed=step.confirmed,
        holder=step.holder,
        partial=step.partial,
        trials=step.trials,
        closing=step.closing,
        cursors={topic: entry for topic, entry in cursors.items() if entry is not None},
        seen=image.seen if touch is None else now - touch.idle,
        run=image.run if touch is None else touch.run,
    )


def ended(image: Image, tombstone: bytes, version: int) -> Image:
    """Return what is kept of a session that has ended.

    Args:
        image: the session before.
        tombstone: how it ended, encoded.
        version: of the write that ends it.
    """
    return Image(
        home=image.home,
        fence=image.fence,
        version=version,
        subject=image.subject,
        token=image.token,
        hub=image.hub,
        born=image.born,
        seen=image.seen,
        run=image.run,
        epoch=image.epoch,
        holder=image.holder,
        tombstone=tombstone,
    )


class Claim(Struct, frozen=True):
    """A process makes itself the home of a session.

    Attributes:
        home, fence: those of the record that the process has read.
        by: its own name.
        run: the run of the store.
        epoch: the epoch that it will tell clients; see `Image.epoch`.
        ttl: milliseconds without a frame of the client after which the session has expired.
    """

    home: str
    fence: int
    by: str
    run: str
    epoch: str
    ttl: int


def epoch_of(run: str, name: str) -> str:
    """Return the epoch of a home that has claimed a session.

    Args:
        run: the run of the store.
        name: a name that no other claim has.
    """
    return f"{run}.{name}"


def is_epoch_of(epoch: str, run: str) -> bool:
    """Return whether the home of an epoch has opened or claimed its session in a run."""
    return epoch == run or epoch.startswith(f"{run}.")


class ClaimRefusal(Enum):
    """Why a claim is refused; nothing has changed."""

    UNKNOWN = "unknown"
    """The store does not have the session."""
    ENDED = "ended"
    """The session has ended: its tombstone says how."""
    MOVED = "moved"
    """It has another home than the one that was read, or was claimed since."""


def claim(image: Image | None, claim: Claim, now: int) -> Image | ClaimRefusal:
    """Return the session with its new home, or why that cannot have it.

    The client has asked for its session, so it is there. If it comes too late, the new home only
    ends the session.

    Args:
        image: the session, or None if the store does not have it.
        claim: who claims it.
        now: milliseconds of the store's clock.
    """
    if image is None:
        return ClaimRefusal.UNKNOWN
    if image.tombstone:
        return ClaimRefusal.ENDED
    if (image.home, image.fence) != (claim.home, claim.fence):
        return ClaimRefusal.MOVED
    first, before = image.epoch_first, ""
    if image.run != claim.run:  # the store may have gone back
        first = min(first or image.last + 1, image.last + 1)
    elif first:
        before = image.epoch
    return replace(
        image,
        home=claim.by,
        fence=image.fence + 1,
        seen=EXPIRED if now - image.seen > claim.ttl else now,
        run=claim.run,
        epoch=claim.epoch,
        epoch_first=first,
        epoch_before=before,
    )
