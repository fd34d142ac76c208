"""`Pacing`: the times and bounds by which a client connects."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The times and bounds by which a client connects, in seconds unless said otherwise.

    The options of the browser client that mean the same have the same names, in camelCase.

    Attributes:
        open_timeout: the time in which a connection must open.
        post_timeout: the time in which a POST must be answered.
        retry_base: the longest wait of the first retry. Later retries wait at most that plus the
            length of the outage, not counting time for which a connection worked. At most two
            attempts are made in 1.25 s, or in 2.5 times ``retry_base`` if that is less.
        retry_max: the longest wait of any retry.
        steady: the age at which a connection counts as stable; an earlier end speaks against its
            transport.
        fallback_for: how long a fallback is kept before better transports get another chance.
        queue_messages, queue_bytes: bounds of what was received and not yet taken. If either is
            exceeded the channel is closed, as acks do not wait for the application (MRK-3).
    """

    open_timeout: float = 4.0
    post_timeout: float = 10.0
    retry_base: float = 0.5
    retry_max: float = 30.0
    steady: float = 5.0
    fallback_for: float = 300.0
    queue_messages: int = 100_000
    queue_bytes: int = 64 * 1024 * 1024
