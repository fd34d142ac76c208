"""`Outbox`: the sends of a channel, over all its sessions, and the fate of each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from transport.errors import Fate
from transport.protocol.client.buffer import WaitingBuffer
from transport.protocol.client.events import Rejected, Settled
from transport.protocol.client.terms import Terms
from transport.protocol.codec import Payload, size_of


class Outbox:
    """The sends of a channel. They are counted from 1 over all sessions; events name that number.

    Attributes:
        buffer: the sends of the current session that are not acknowledged.
        replayed: how many messages were written again.
    """

    __slots__ = ("_before", "buffer", "replayed")

    def __init__(self, terms: Terms) -> None:
        self.buffer = WaitingBuffer(terms)
        self.replayed = 0
        self._before = 0
        """How many sends the earlier sessions had."""

    @property
    def sends(self) -> int:
        """The number of the last send."""
        return self._before + self.buffer.last

    def send(self, payload: Payload) -> int:
        """Keep a message until it is acknowledged, and return the number of the send."""
        return self._before + self.buffer.append(payload, size_of(payload))

    def check_ack(self, mark: int) -> None:
        """Raise `ForeignAck` unless ``mark`` can be a mark of the current session (MRK-5)."""
        self.buffer.check_ack(mark)

    def settle(self, mark: int) -> list[Settled]:
        """Forget everything up to ``mark``, which was handled (MRK-3)."""
        buffer = self.buffer
        first = buffer.acked + 1
        if not buffer.acknowledge(mark):
            return []
        settled = self._ranges([(first, mark, Fate.HANDLED)])
        buffer.skipped.difference_update(range(first, mark + 1))
        return settled

    def skip(self, first: int, last: int, code: str) -> list[Rejected]:
        """Replace messages that the server refuses, by that code, by ``skip`` frames (DAT-5).

        Returns:
            One event for each run of messages that were not skipped before.
        """
        before, runs = self._before, list[Rejected]()
        run = None
        for number in range(first, min(last, self.buffer.last) + 1):
            size = self.buffer.skip(number)
            if size is None:
                run = None
            elif run is None:
                run = Rejected(before + number, before + number, size, code)
                runs.append(run)
            else:
                run = runs[-1] = Rejected(run.first, before + number, run.size, code)
        return runs

    def fates(self, handled: int | None, in_hand: int | None) -> list[Settled]:
        """Return the fate of each unacknowledged send (RES-3).

        Args:
            handled: the server's mark of what its application has finished with; None: unknown.
            in_hand: its mark of what its application has begun; None: unknown.
        """
        buffer = self.buffer
        low = buffer.acked if handled is None else min(handled, buffer.sent)
        low = max(low, buffer.acked)
        high = buffer.sent
        if handled is not None and in_hand is not None:
            high = max(low, min(in_hand, buffer.sent))
        return self._ranges(
            [
                (buffer.acked + 1, low, Fate.HANDLED),
                (low + 1, high, Fate.UNKNOWN),
                (high + 1, buffer.last, Fate.NOT_HANDLED),
            ]
        )

    def _ranges(self, fates: Sequence[tuple[int, int, Fate]]) -> list[Settled]:
        """Return ``fates`` as events, without skipped sends: those were rejected before."""
        settled = []
        skipped = self.buffer.skipped
        for first, last, fate in fates:
            begin = first
            within = [one for one in range(first, last + 1) if one in skipped] if skipped else []
            for end in [*within, last + 1]:
                if begin < end:
                    settled.append(Settled(self._before + begin, self._before + end - 1, fate))
                begin = end + 1
        return settled

    def start_over(self, terms: Terms) -> None:
        """Begin the next session, with nothing to send."""
        self._before += self.buffer.last
        self.buffer = WaitingBuffer(terms)
