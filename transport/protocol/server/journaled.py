"""A session that a store keeps, so that another process can go on with it.

The driver takes what is new to the store, and says when the store has it:

- While `has_step`, and no write of the session is under way: `step` returns the next write, and
  `stored` shows what it contains. If the handler holds a message for longer than ``limits.step``
  while its sends wait (`has_partial`), or flushes, the step is forced.
- A store that has lost writes gets the whole session: `image`, then `healed`.
- Once the session has ended, its tombstone is written, and `show_end` tells its clients.

A request that would learn too early of an end, or of another client's takeover, gets `unavailable`
(`undecided_error`). Nothing else is told before it is stored.

Pure: the caller passes the time.
"""

from __future__ import annotations

from transport.protocol.journal import Image, Step, Touch, ended
from transport.protocol.server.closing import Closable
from transport.protocol.server.tombstone import decode_close, encode_tombstone
from transport.protocol.server.unstored import MAX_TRIALS, Trial, Unstored
from transport.protocol.states import SessionState


class Journaled(Closable):
    """A session, as far as its store is concerned. `ServerSession` is one."""

    __slots__ = ()

    def journal(self) -> None:
        """Show nothing from now on before it is stored; for a session that has just begun."""
        self.unstored = Unstored(
            self.outgoing, self.incoming, self.attachments, self.limits.unstored
        )

    def _continue(self, image: Image, now: float, *, trial: bool) -> None:
        """Continue from what a store has; see `ServerSession.restore`."""
        limits = self.limits
        self.outgoing.restore(image.acked, image.payloads)
        self.incoming.restore(image.handled)
        self.attachments.owner, self.attachments.confirmed = image.holder, image.confirmed
        self.journal()
        assert self.unstored is not None
        # A store that has gone back does not know which messages were handled since.
        unknown = limits.window_messages if image.epoch_first else limits.unstored
        self.unstored.restore(image, trial=trial, floor=image.handled + unknown)
        if image.closing:
            self.state = SessionState.CLOSING
            self.closing = self.downlink.close = decode_close(image.closing)
            self._closing_until = now + limits.closing
        elif trial and image.trials >= MAX_TRIALS:
            self.close(
                1011, "the server's processes die at this message", "protocol", now, failed=True
            )

    @property
    def paused(self) -> bool:
        """Whether the handler gets nothing, as the process may have lost the session."""
        return self.unstored is not None and self.unstored.is_paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        assert self.unstored is not None, "no store keeps this session"
        self.unstored.is_paused = paused

    @property
    def partial(self) -> int:
        """How many messages that former homes have sent for the message in the handler's hand are
        stored; while it has none, for the next. 0 if no home has died at it."""
        return 0 if self.unstored is None else self.unstored.partial

    def has_given_again(self, epoch: str, received: int) -> bool:
        """Return whether a client may have other messages under numbers that were given again.

        Args:
            epoch: the last that it was told, which is not that of this home (EPO-2).
            received: the last number that it has.
        """
        unstored = self.unstored
        if unstored is None or not unstored.epoch_first:
            return False
        return received >= unstored.epoch_first and epoch != unstored.epoch_before

    # What is not the handler's own

    def offered(self) -> None:
        """Record that the message that was just sent is not the handler's own, but a group's.

        The next step takes it, unless the handler has sent something for the message in its hand.
        Has no effect if no store keeps the session.
        """
        if self.unstored is not None:
            self.unstored.offered()

    def set_cursor(self, topic: str, entry: int | None) -> None:
        """Store, with the message that was sent last, how far the session has come in a topic.

        Has no effect if no store keeps the session.

        Args:
            topic: the topic.
            entry: the last entry of it that the session has taken; None if it has left the topic.
        """
        if self.unstored is not None:
            self.unstored.set_cursor(topic, entry)

    # Steps

    @property
    def has_step(self) -> bool:
        """Whether there is something new to store, without `step` being forced."""
        return (
            self.unstored is not None
            and self.ending is None
            and self.unstored.has_step(has_trial=self._has_trial)
        )

    @property
    def has_partial(self) -> bool:
        """Whether the handler has sent messages that only a forced step stores."""
        return self.unstored is not None and self.ending is None and self.unstored.has_partial

    @property
    def _has_trial(self) -> bool:
        """Whether the trial of a message is due that the handler has asked for."""
        unstored = self.unstored
        return (
            unstored is not None
            and unstored.trial is Trial.DUE
            and unstored.is_awaited
            and not unstored.is_paused
            and bool(self.inbox)
        )

    def step(self, *, force: bool = False, touch: Touch | None = None) -> Step | None:
        """Return what is new, for the store; call `stored` once that has it.

        No other write of the session may be under way.

        Args:
            force: take also what the handler has sent for the message in its hand.
            touch: what the store is told of the client, if it is due.

        Returns:
            None if nothing is new and no touch is given, or if the session has ended.
        """
        if self.unstored is None or self.ending is not None:
            return None
        return self.unstored.step(has_trial=self._has_trial, force=force, touch=touch)

    def stored(self, step: Step) -> None:
        """Show what a step contains: the store has it."""
        self._show(step.first + len(step.payloads) - 1, step.handled, step.holder, step.closing)

    def image(self, of: Image) -> Image:
        """Return the whole session, for a store that has lost some of it; then call `healed`.

        Of a session that has ended it is what remains: its messages are gone.

        Args:
            of: what this process knows of the record besides; it gives the other fields.
        """
        assert self.unstored is not None, "no store keeps this session"
        if self.ending is not None:
            return ended(of, encode_tombstone(self.tombstone()), of.version)
        return self.unstored.image(of, has_trial=self._has_trial)

    def diverge(self) -> None:
        """Go on, though another home may have had the session and the store has lost what it wrote.

        Called before `image`. Clients of that home are told so when they open the session (EPO-2),
        so nothing new is told on connections of before. What this handler was not given yet,
        that one may have handled: so clients are asked to send it again (OPN-12); but not if they
        have closed the session, as nobody is left then to do so.
        """
        assert self.unstored is not None, "no store keeps this session"
        incoming = self.incoming
        floor = incoming.handled + self.limits.window_messages
        self.unstored.diverge(floor)
        self._widen_close(floor)
        if self.inbox and self.peer_close is None:
            self.inbox.clear()
            incoming.received = incoming.delivered
            self._end_stale()

    def healed(self, image: Image) -> None:
        """Show what an image contains: the store has it."""
        if image.tombstone:
            self.show_end()
            return
        self._show(image.last, image.handled, image.holder, image.closing)

    def _show(self, last: int, handled: int, holder: str, closing: bytes) -> None:
        assert self.unstored is not None, "no store keeps this session"
        if self.unstored.stale and (last > self.outgoing.shown or closing):
            self._end_stale()
        self.unstored.stored(last, handled, holder)
        if closing:
            self.downlink.close = self.closing
