"""`Pacing`: how patient a client is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """How patient a client is. In seconds, where not said otherwise.

    Attributes:
        attempt: until a connection must be open.
        post: until a POST must be answered.
        retry_base: what the first retry waits at most; later ones as long as it lasts already, the
            time left out in which something worked. Two attempts are made in 1.25 s, or in two and
            a half times that, at most.
        retry_most: what any retry waits at most.
        steady: after which a connection counts as stable; an earlier end speaks against its
            transport.
        fallback: for which a fallback is kept before better transports get another chance.
        queue_messages, queue_bytes: of what was received and not yet taken; beyond it the channel
            is closed, for an ack may not wait for the application (MRK-3).
    """

    attempt: float = 4.0
    post: float = 10.0
    retry_base: float = 0.5
    retry_most: float = 30.0
    steady: float = 5.0
    fallback: float = 300.0
    queue_messages: int = 100_000
    queue_bytes: int = 64 * 1024 * 1024
