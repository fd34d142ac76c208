"""What a session has that its store does not have yet.

The home of a session writes what it must not lose in *steps*, one at a time, and shows nothing
before it is stored: `SendBuffer.shown` and `ReceiveWindow.shown` move when the store has confirmed
a step. A process that claims the session later goes on from the last step.

- **Where a step ends.** Everything that the handler sends for a message, and the mark that the
  message is handled, belong into one step: otherwise the next home would hand the message out
  again, and what was sent for it would be sent twice. So a step ends at the *boundary*, the last
  message that was sent before the one in the handler's hand was handed out. A forced step goes
  beyond it, and counts what it so stores in part (`Step.partial`).
- **How much may be handed out again.** The handler gets at most ``limits.unstored`` messages above
  the mark that is stored. So that many above it may have been in the hand of a home that was killed
  (`floor`), and their fate is unknown until the session has handled them again.
- **Trials.** A message that kills its process must not kill one after the other. After the death of
  a home the first message is handed out only once the store has counted that.

Pure: the session calls it, and its driver takes the steps to the store.
"""

from __future__ import annotations

from enum import Enum

from msgspec.structs import replace

from transport.protocol.journal import Image, Step, Touch
from transport.protocol.receive_window import ReceiveWindow
from transport.protocol.send_buffer import SendBuffer
from transport.protocol.server.attachments import Attachment, Attachments

MAX_TRIALS = 2
"""How many homes may die at one message before no other is given it."""


class Trial(Enum):
    """Whether the next message is handed out although the last home has died."""

    NONE = "none"
    """No trial is needed, or it is stored: messages are handed out."""
    DUE = "due"
    """It is to be stored once there is a message, and the handler has asked for it."""
    WRITTEN = "written"
    """It is on its way to the store."""


class Unstored:
    """The marks of what was written to the store of one session, and of what may be.

    Args:
        outgoing: the session's downlink.
        incoming: the session's uplink.
        attachments: the connections of the session.
        limit: how many messages the handler is given above the mark that is stored.

    Attributes:
        closing: how the server closes the session, encoded; empty unless it is closing.
        epoch_first, epoch_before: see `Image`.
        floor: the number up to which a former home may have handed out messages.
        is_awaited: whether the handler has asked for a message, and was not given one yet.
        is_paused: whether the handler gets nothing, as the process may have lost the session.
        stale: connections that are older than the last `diverge`.
        trial: the trial of the next message.
    """

    __slots__ = (
        "_attachments",
        "_boundary",
        "_closing",
        "_cursors",
        "_handled",
        "_incoming",
        "_last",
        "_limit",
        "_moves",
        "_offered",
        "_offered_written",
        "_outgoing",
        "_partial_before",
        "_partial_of",
        "_trials",
        "_tried",
        "closing",
        "epoch_before",
        "epoch_first",
        "floor",
        "is_awaited",
        "is_paused",
        "stale",
        "trial",
    )

    def __init__(
        self,
        outgoing: SendBuffer,
        incoming: ReceiveWindow,
        attachments: Attachments,
        limit: int,
    ) -> None:
        self._outgoing = outgoing
        self._incoming = incoming
        self._attachments = attachments
        self._limit = limit
        outgoing.is_journaled = incoming.is_journaled = True
        self.closing = b""
        self.epoch_first = 0
        self.epoch_before = ""
        self.floor = 0
        self.is_awaited = False
        self.is_paused = False
        self.stale: tuple[Attachment, ...] = ()
        self.trial = Trial.NONE
        self._trials = 0
        """The trials of the message after `_tried`."""
        self._tried = 0
        self._partial_before = 0
        """How many messages former homes have stored for message ``_partial_of``."""
        self._partial_of = 0
        self._boundary = 0
        self._offered: list[int] = []
        """The messages above the boundary that are not the handler's own, and are not written."""
        self._offered_written = 0
        """How many of them are written."""
        self._cursors: dict[str, int] = {}
        self._moves: list[tuple[int, str, int | None]] = []
        """Changes of cursors that are not written, each with the number of the message before
        which it is not to be stored."""
        # What was written last, whether or not it is stored.
        self._last = 0
        self._handled = 0
        self._closing = b""
        attachments.stored_owner = attachments.written_owner = attachments.owner

    def restore(self, image: Image, *, trial: bool, floor: int) -> None:
        """Continue from what the store has.

        Args:
            image: the session.
            trial: whether its home has died.
            floor: the number up to which a former home may have handed out messages.
        """
        self.closing = self._closing = image.closing
        self.epoch_first, self.epoch_before = image.epoch_first, image.epoch_before
        self.floor = floor
        self.trial = Trial.DUE if trial else Trial.NONE
        self._trials, self._tried = image.trials, image.handled
        self._partial_before, self._partial_of = image.partial, image.handled + 1
        self._boundary = self._last = image.last
        self._handled = image.handled
        self._cursors = dict(image.cursors)

    # The handler

    @property
    def holds_back(self) -> bool:
        """Whether the handler gets no message now."""
        incoming = self._incoming
        return (
            self.is_paused
            or self.trial is not Trial.NONE
            or incoming.delivered - incoming.shown >= self._limit
        )

    @property
    def partial(self) -> int:
        """How many messages former homes have sent for the one in the handler's hand, or, while it
        has none, for the next."""
        return self._partial_before if self._incoming.handled < self._partial_of else 0

    def handed_out(self) -> None:
        """Record that the handler was given a message: what it sends from now on is for that."""
        self.is_awaited = False
        self._boundary = self._outgoing.last
        self._offered_written = 0
        if self._offered:
            self._offered.clear()

    def offered(self) -> None:
        """Record that the message that was sent last is not the handler's own."""
        last = self._outgoing.last
        if self._boundary == last - 1:
            self._boundary = last
        elif self._incoming.delivered != self._incoming.handled:
            self._offered.append(last)

    def set_cursor(self, topic: str, entry: int | None) -> None:
        """Store a cursor with the message that was sent last; see `ServerSession.set_cursor`."""
        self._moves.append((self._outgoing.last, topic, entry))

    # Steps

    def has_step(self, *, has_trial: bool) -> bool:
        """Return whether there is something new to store, without `step` being forced.

        Args:
            has_trial: whether the trial of a message is due that the handler has asked for.
        """
        end = self._end()
        return (
            end > self._last
            or self._incoming.handled > self._handled
            or self.closing != self._closing
            or (self._moves != [] and self._moves[0][0] <= end)
            or has_trial
            or self._attachments.owner != self._attachments.written_owner
        )

    @property
    def has_partial(self) -> bool:
        """Whether only a forced step would store everything."""
        return self._outgoing.last > max(self._end(), self._last)

    def _end(self) -> int:
        """Return the last message of a step that is not forced."""
        incoming, last = self._incoming, self._outgoing.last
        if incoming.delivered == incoming.handled or self.closing:
            return last
        # A step that was forced may have gone beyond the boundary.
        return max(self._boundary, self._last)

    def step(self, *, has_trial: bool, force: bool, touch: Touch | None) -> Step | None:
        """Return what is new; see `ServerSession.step`."""
        if not (
            touch is not None or self.has_step(has_trial=has_trial) or (force and self.has_partial)
        ):
            return None
        outgoing, attachments = self._outgoing, self._attachments
        first = self._last + 1
        end = outgoing.last if force else self._end()
        changed = self._write(end, has_trial=has_trial)
        return Step(
            first=first,
            payloads=outgoing.payloads(first, end),
            handled=self._handled,
            acked=outgoing.acked,
            confirmed=attachments.confirmed,
            holder=attachments.owner,
            partial=self._partial(end),
            trials=self._trials,
            closing=self._closing,
            cursors=changed,
            touch=touch,
        )

    def image(self, of: Image, *, has_trial: bool) -> Image:
        """Return the whole session with what is new; see `ServerSession.image`."""
        outgoing, attachments = self._outgoing, self._attachments
        end = self._end()
        self._write(end, has_trial=has_trial)
        return replace(
            of,
            handled=self._handled,
            acked=outgoing.acked,
            last=end,
            confirmed=attachments.confirmed,
            holder=attachments.owner,
            partial=self._partial(end),
            trials=self._trials,
            closing=self._closing,
            cursors=dict(self._cursors),
            payloads=outgoing.payloads(outgoing.acked + 1, end),
            epoch_first=self.epoch_first,
        )

    def diverge(self, floor: int) -> None:
        """Note that another home may have given other messages the numbers that are not stored.

        Args:
            floor: the number up to which it may have handed out messages.
        """
        first = self._outgoing.shown + 1
        self.epoch_first = min(self.epoch_first or first, first)
        self.floor = max(self.floor, floor)
        self.stale = tuple(self._attachments.live)

    def _write(self, end: int, *, has_trial: bool) -> dict[str, int | None]:
        """Count everything up to message ``end`` as written; return the cursors that change."""
        handled = self._incoming.handled
        self._last, self._handled = end, handled
        self._closing = self.closing
        self._attachments.written_owner = self._attachments.owner
        if handled > self._tried:
            self._trials, self._tried = 0, handled
        if has_trial:
            self.trial = Trial.WRITTEN
            self._trials += 1
        if self._offered:
            kept = [number for number in self._offered if number > end]
            self._offered_written += len(self._offered) - len(kept)
            self._offered = kept
        changed: dict[str, int | None] = {}
        while self._moves and self._moves[0][0] <= end:
            _, topic, entry = self._moves.pop(0)
            changed[topic] = entry
            if entry is None:
                self._cursors.pop(topic, None)
            else:
                self._cursors[topic] = entry
        return changed

    def _partial(self, end: int) -> int:
        """Return how many messages up to ``end`` the handler has sent for the one in its hand."""
        if self._incoming.delivered == self._handled:
            return self.partial
        return self.partial + end - self._boundary - self._offered_written

    def stored(self, last: int, handled: int, holder: str) -> None:
        """Show what the store has: up to message ``last``, and these marks."""
        self._outgoing.shown = last
        self._incoming.shown = handled
        if self.trial is Trial.WRITTEN:
            self.trial = Trial.NONE
        self._attachments.owner_stored(holder)

    def ended(self) -> None:
        """Show who owns the session: the store has its tombstone."""
        attachments = self._attachments
        attachments.written_owner = attachments.owner
        attachments.owner_stored(attachments.owner)
