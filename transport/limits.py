"""Every bound and every time of the channel, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from typing import Protocol

LARGEST_FRAME = 16 * 1024 * 1024
"""Bytes of a frame above which servers (uvicorn's ``ws_max_size``) and clients end a connection."""

DEEPEST = 500
"""Levels of JSON beyond which reading it overflows the stack of Python, at 1,000 calls."""

FEWEST_LINES = 5
"""What a POST may need: its header, an answer to a ping, ``renew``, data and ``close``."""

SOON = 1.0
"""Seconds. A client takes a POST or a stream that is silent for several of these for dead."""


class Bounds(Protocol):
    """What frames and windows are measured by: a server's `Limits`, or what one has advertised."""

    @property
    def message(self) -> int: ...
    @property
    def body(self) -> int: ...
    @property
    def batch(self) -> int: ...
    @property
    def depth(self) -> int: ...
    @property
    def window_messages(self) -> int: ...
    @property
    def window_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds and times of a `Hub`. Sizes in bytes, times in seconds.

    Each can be set: ``Hub(handler, limits=Limits(message=64_000, ttl=300))``. What a client
    must know is advertised to it when it opens (PROTOCOL.md section 12).

    Raises:
        ValueError: a value that cannot work, naming it and what would.
    """

    message: int = 256 * 1024
    """One message: raw bytes, or JSON in UTF-8. Larger things are files, and files have HTTP."""
    depth: int = 64
    """Arrays and objects inside one another in a message; deeper input attacks recursion."""
    batch: int = 1000
    """Messages in a frame and lines in a POST: bounds the work done before other sessions' turn."""
    window_messages: int = 1000
    """Unacknowledged messages in each direction: what a session may cost while its peer is away."""
    window_bytes: int = 1024 * 1024
    """Unacknowledged bytes in each direction, for the same reason."""

    opening: float = 10.0
    """For a WebSocket to open, and for a request's body to come: it holds a task for nothing."""
    heartbeat: float = 20.0
    """Idle time before a ``ping``: below the 30-60 s at which proxies cut what is silent."""
    poll_hold: float = 20.0
    """A parked poll: below the 30 s at which hosted proxies give up on a first byte."""
    stream: float = 300.0
    """An event stream's life: it also frees what a proxy holds open for a client that has left."""
    ttl: float = 120.0
    """From a client's last frame to the end of its session: longer than the one minute at which a
    hidden tab's timers run."""
    tombstone: float = 600.0
    """How long the end of a session can still be asked for."""
    nonce: float = 60.0
    """How long an opening can be repeated: longer than any client's attempt and back-off."""
    closing: float = 30.0
    """From a close to its end, for what is still to be delivered."""
    stall: float = 60.0
    """A ``send()`` on an attached session of which no mark moves fails with `Stalled`."""
    renewal: float = 30.0
    """For a client to renew expired credentials (REN-1): it may have to ask its user's server."""
    ack_delay: float = 0.1
    """A lone ack on HTTP waits this long for data to ride with (MRK-6)."""
    answer_wait: float = 0.02
    """A POST's answer waits this long for its messages to be handled (SND-2)."""
    drain_window: float = 5.0
    """Clients told to come back spread over this time, so that they do not come at once."""
    drain_grace: float = 10.0
    """What a handler may take to end when its process does."""

    sessions: int = 50_000
    """Sessions of a process: about 1.5 GiB at 30 KiB each."""
    sessions_per_subject: int = 100
    """Sessions of one user: far above tabs and devices, far below a flood."""
    sessions_per_address: int = 1000
    """Sessions of one network address: offices share one."""
    opens_per_second: int = 50
    """Attaches per address and second: a deploy brings an office back in seconds, not at once."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_number(field.name, getattr(self, field.name), whole=field.type == "int")
        if self.window_bytes < self.message:
            raise ValueError(
                f"Limits.window_bytes ({self.window_bytes}) must hold a message ({self.message})"
            )
        if self.body > LARGEST_FRAME:
            raise ValueError(
                f"Limits.message ({self.message}) makes frames of {self.body} bytes, above the "
                f"{LARGEST_FRAME} that servers and clients take: large things are files, and files "
                "have HTTP"
            )
        for name, most in (("depth", DEEPEST), ("ack_delay", SOON), ("answer_wait", SOON)):
            if getattr(self, name) > most:
                raise ValueError(f"Limits.{name} ({getattr(self, name)}) must be at most {most}")
        if self.batch < FEWEST_LINES:
            raise ValueError(
                f"Limits.batch ({self.batch}) must be at least {FEWEST_LINES}: that many lines a "
                "POST may need"
            )
        if self.ttl <= max(3 * self.heartbeat, self.poll_hold):
            raise ValueError(
                f"Limits.ttl ({self.ttl}) must be above three heartbeats ({self.heartbeat}) and a "
                f"poll's hold ({self.poll_hold}), or sessions expire while they are attached"
            )
        if self.poll_hold > 2 * self.heartbeat + 5:
            raise ValueError(
                f"Limits.poll_hold ({self.poll_hold}) is above two heartbeats ({self.heartbeat}) "
                "and 5 s, after which clients take a silent connection for dead (LIV-2)"
            )

    @property
    def body(self) -> int:
        """The largest request body or frame: what base64 makes of a message, and its header.

        So a message that fits one transport fits all. Below nginx's default of 1 MB.
        """
        return -(-self.message * 4 // 3) + 1024

    def advertised_limits(self) -> dict[str, int]:
        """What ``opened.limits`` says (PROTOCOL.md section 12)."""
        return {
            "message": self.message,
            "body": self.body,
            "batch": self.batch,
            "depth": self.depth,
            "window_messages": self.window_messages,
            "window_bytes": self.window_bytes,
        }

    def advertised_timings(self) -> dict[str, float]:
        """What ``opened.timings`` says, in seconds."""
        return {
            "heartbeat": self.heartbeat,
            "ttl": self.ttl,
            "closing": self.closing,
            "poll_hold": self.poll_hold,
            "stream": self.stream,
            "stall": self.stall,
        }


def _check_number(name: str, value: object, *, whole: bool) -> None:
    kind = "a whole number" if whole else "a number of seconds"
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise ValueError(f"Limits.{name} must be {kind}, not {value!r}")
    if not (isfinite(value) and value > 0):
        raise ValueError(f"Limits.{name} must be finite and above 0, not {value!r}")
