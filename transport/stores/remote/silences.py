"""`Silences`: since when processes do not show that they live."""

from __future__ import annotations

from transport.stores.remote.wire import Sign

FORGOTTEN_AFTER = 60.0
"""Seconds after which it is forgotten that a process was silent. Its lease has ended."""


class Silences:
    """Judges from one look at a process to the next, whoever has asked for it.

    When a process is killed, hundreds of its clients come back at the same time and later, and each
    time somebody has to know whether it is gone. It takes two looks, but not two for each of them.

    Args:
        look: seconds in which a process that lives renews its lease.
    """

    def __init__(self, look: float) -> None:
        self._look = look
        self._since: dict[str, tuple[float, bytes]] = {}
        """When a process was first seen to be silent, and its lease."""

    def remaining(self, home: str, sign: Sign, began: float, now: float) -> float | None:
        """Return the seconds after which another look can show that a process is dead.

        Args:
            home: the process.
            sign: what a look has shown of it.
            began: when that look began, in seconds of one clock.
            now: when it was answered.

        Returns:
            0.0 if it is dead: it has no lease, or nobody receives what is sent to it and it has not
            renewed its lease; None if it lives.
        """
        if sign.lease is None:
            return 0.0
        if sign.is_subscribed:
            self._since.pop(home, None)
            return None
        since, lease = self._since.get(home, (now, sign.lease))
        if lease != sign.lease:
            del self._since[home]
            return None
        if home not in self._since:
            self._forget(now)
            self._since[home] = (since, lease)
        return max(0.0, since + self._look - began)

    def _forget(self, now: float) -> None:
        oldest = now - FORGOTTEN_AFTER
        while self._since and (first := next(iter(self._since.items())))[1][0] < oldest:
            del self._since[first[0]]
