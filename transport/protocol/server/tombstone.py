"""How a session ended, and how a later ``open`` for it is answered.

Pure. A store keeps the tombstone for a time (RES-8), so that a client that returns late still
learns the fate of its messages.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, json
from msgspec.structs import replace

from transport.protocol.frames import (
    MAX_NUMBER,
    Close,
    Initiator,
    Open,
    Reset,
    ResetReason,
    reset_without_marks,
)

_NOTHING_KNOWN = (ResetReason.FOREIGN, ResetReason.REWOUND)
"""The two sides disagree about the session, so the marks of one mean nothing to the other."""

_NO_LAST = (ResetReason.OVERFLOW, ResetReason.STORE_LOST)
"""What was refused has no number, and nobody knows the last number that a store has lost."""


class Ending(Struct, frozen=True, gc=False):
    """The end of a session: by ``close``, or by a reset."""

    code: int
    reason: str
    by: Initiator
    close: Close | None = None
    reset: ResetReason | None = None


class Tombstone(Struct, frozen=True, gc=False):
    """The marks of a session that has ended (RES-8).

    Stores keep thousands of them. They refer to nothing that could refer back, so the garbage
    collector need not track them (``gc=False``).
    """

    ending: Ending
    handled: int
    in_hand: int
    last: int
    received: int = 0
    dropped: int = 0
    owner: str = ""
    """The client that owned the session."""

    def answer(self, frame: Open) -> Close | Reset:
        """Return the answer to an ``open`` of the session: its ``close`` (CLS-5), or its fate."""
        if frame.client != self.owner and frame.first_retained <= self.received:
            # To this client the marks would seem to cover its own messages (ATT-6).
            return reset_without_marks(ResetReason.FOREIGN)
        close = self.ending.close
        if frame.first_retained > self.received + 1:
            # Another home has handled more, of which its store has nothing left: so none of the
            # messages that this client still has is known not to have been handed out.
            if close is not None:
                return replace(close, in_hand=MAX_NUMBER)
            return replace(self.reset_for(frame.received), in_hand=None)
        return close or self.reset_for(frame.received)

    def reset_for(self, received: int) -> Reset:
        """Return the fate of the session, for a client that received up to ``received``."""
        reason = self.ending.reset or ResetReason.UNKNOWN
        if reason in _NOTHING_KNOWN:
            return reset_without_marks(reason)
        lost: list[int | None] = [received + 1, self.last] if received < self.last else []
        if reason in _NO_LAST:
            lost = [received + 1, None]
        return Reset(
            reason=reason,
            lost=lost,
            handled=self.handled,
            in_hand=self.in_hand,
            dropped=self.dropped or UNSET,
        )


_tombstones = json.Decoder(Tombstone)
_closes = json.Decoder(Close)


def encode_close(close: Close) -> bytes:
    """Return the ``close`` of a session that is closing, as a store keeps it."""
    return json.encode(close)


def decode_close(encoded: bytes) -> Close:
    """Return a ``close`` that `encode_close` has encoded, in this release or another.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    return _closes.decode(encoded)


def encode_tombstone(tombstone: Tombstone) -> bytes:
    """Return a tombstone as a store keeps it."""
    return json.encode(tombstone)


def decode_tombstone(encoded: bytes) -> Tombstone:
    """Return a tombstone that `encode_tombstone` has encoded, in this release or another.

    Raises:
        msgspec.DecodeError: it is something else.
    """
    return _tombstones.decode(encoded)
