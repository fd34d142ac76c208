"""`Limits`: every bound and every time of the channel, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, fields
from math import isfinite
from typing import Protocol

MAX_FRAME_SIZE = 16 * 1024 * 1024
"""Bytes of the largest frame or answer. Servers (uvicorn's ``ws_max_size``) and clients end a
connection at a larger one, which bounds what a peer can make them store."""

MAX_DEPTH = 500
"""Nesting levels. Decoding deeper input could exceed Python's recursion limit of 1,000."""

MIN_BATCH = 5
"""Lines that a POST may need: its header, a pong, ``renew``, data and ``close``."""

MAX_SERVER_ACK_DELAY = 1.0
"""Seconds. A client gives up a POST or a stream that is silent for several times as long."""


class Bounds(Protocol):
    """The bounds of frames and windows: a server's `Limits`, or those that it has advertised."""

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

    Each can be set: ``Hub(handler, limits=Limits(message=64_000, ttl=300))``. Those that a client
    must know are advertised when it opens a session (PROTOCOL.md section 12).

    Raises:
        ValueError: a value is invalid; the message names it and says what is valid.
    """

    message: int = 256 * 1024
    """One message: raw bytes, or JSON in UTF-8. Send larger things as files, over HTTP."""
    depth: int = 64
    """Nested arrays and objects in a message; deeper input is an attack on recursive decoders."""
    batch: int = 1000
    """Messages per frame and lines per POST: bounds the work done before other sessions run."""
    window_messages: int = 1000
    """Unacknowledged messages in each direction: what a session can cost while its peer is away."""
    window_bytes: int = 1024 * 1024
    """Unacknowledged bytes in each direction, for the same reason."""
    unstored: int = 16
    """Messages that a handler is given before the store knows of the first: that many may be handed
    out again after the kill of a process."""
    headers: int = 16 * 1024
    """The header names and values, path and query of a request that opens a connection, which are
    kept as long as the session (OPN-10). Twice what proxies accept by default."""

    memory: int = 1024 * 1024 * 1024
    """What all sessions of a process may take, buffers and headers included, as Python keeps them.
    Beyond it no session is opened, and the largest that grow are reset. 50,000 idle ones fit."""
    control_per_second: int = 200
    """Frames of a session that carry no new message or mark, such as pings (LIV-5): clients need a
    few in a minute, and each costs as much to handle as a message."""
    frames_per_turn: int = 64
    """Frames of a WebSocket that are handled before other connections get their turn: a few
    milliseconds. Servers hand over what has arrived without a pause."""

    opening: float = 10.0
    """For the first frame of a WebSocket, the body of a request, and each call of authenticate."""
    heartbeat: float = 20.0
    """Idle time before a ``ping``: below the 30-60 s after which proxies cut idle connections."""
    poll_hold: float = 20.0
    """How long a poll is held: below the 30 s for which hosted proxies wait for a first byte."""
    stream: float = 300.0
    """How long an event stream lasts. Its end also frees one that a proxy holds open for a client
    that has left."""
    ttl: float = 120.0
    """From a client's last frame to the end of its session: longer than the minute between two runs
    of a hidden tab's timers."""
    away: float = 10.0
    """The same for a client that said it leaves for good, at most ``ttl`` (LIV-6): long enough for
    its last requests to arrive in any order."""
    tombstone: float = 600.0
    """How long a client can still learn how its session ended."""
    nonce: float = 60.0
    """How long an ``open`` can be repeated: longer than any client's attempt and backoff."""
    closing: float = 30.0
    """From a close to the end of the session, for what is still to be delivered."""
    stall: float = 60.0
    """``send()`` fails with `Stalled` if an attached client acknowledges nothing for this long."""
    renewal: float = 30.0
    """For a client to renew expired credentials (REN-1): it may have to ask another server."""
    ack_delay: float = 0.1
    """How long an ack on HTTP waits for data to travel with (MRK-6)."""
    answer_wait: float = 0.02
    """How long the answer to a POST waits for its messages to be handled (SND-2)."""
    step: float = 0.01
    """How long a handler may hold a message while what it has sent waits to be stored with it."""
    drain_window: float = 5.0
    """How long drained clients spread their reconnects over. With `RedisStore`, the longest time in
    which they are sent to other processes, one after the other."""
    drain_grace: float = 10.0
    """How long handlers may keep running after their server is told to stop."""

    sessions: int = 50_000
    """Sessions per process: about 1.5 GiB at 30 KiB each."""
    sessions_per_subject: int = 100
    """Sessions per user: far more than tabs and devices, far fewer than a flood."""
    sessions_per_address: int = 1000
    """Sessions per network address: an office shares one. IPv6 addresses count by /64."""
    opens_per_second: int = 50
    """New sessions per address per second: enough for a whole office within seconds of a
    deployment. Resumes do not count, as long as a session makes few of them."""

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_number(field.name, getattr(self, field.name), whole=field.type == "int")
        if self.window_bytes < self.message:
            raise ValueError(
                f"Limits.window_bytes ({self.window_bytes}) must hold a message ({self.message})"
            )
        if self.memory < 4 * self.window_bytes:
            raise ValueError(
                f"Limits.memory ({self.memory}) must hold both windows of a session with the "
                f"connection that carries them: four times window_bytes ({self.window_bytes})"
            )
        if self.body > MAX_FRAME_SIZE:
            raise ValueError(
                f"Limits.message ({self.message}) makes frames of {self.body} bytes, above the "
                f"{MAX_FRAME_SIZE} that servers and clients accept: send large things as files, "
                "over HTTP"
            )
        for name, most in (
            ("depth", MAX_DEPTH),
            ("ack_delay", MAX_SERVER_ACK_DELAY),
            ("answer_wait", MAX_SERVER_ACK_DELAY),
        ):
            if getattr(self, name) > most:
                raise ValueError(f"Limits.{name} ({getattr(self, name)}) must be at most {most}")
        if self.batch < MIN_BATCH:
            raise ValueError(
                f"Limits.batch ({self.batch}) must be at least {MIN_BATCH}: a POST may need that "
                "many lines"
            )
        if self.ttl <= max(3 * self.heartbeat, self.poll_hold):
            raise ValueError(
                f"Limits.ttl ({self.ttl}) must be above three heartbeats ({self.heartbeat}) and a "
                f"poll's hold ({self.poll_hold}), or sessions expire while they are attached"
            )
        if self.ttl <= silence_timeout(self.heartbeat):
            raise ValueError(
                f"Limits.ttl ({self.ttl}) must be above two heartbeats ({self.heartbeat}) and 5 s, "
                "after which clients give up a silent connection (LIV-2), or sessions expire "
                "before their clients resume them"
            )
        if self.poll_hold > silence_timeout(self.heartbeat):
            raise ValueError(
                f"Limits.poll_hold ({self.poll_hold}) is above two heartbeats ({self.heartbeat}) "
                "and 5 s, after which clients give up a silent connection (LIV-2)"
            )

    @property
    def body(self) -> int:
        """The largest request body or frame: one message in base64, and its header.

        So a message that fits one transport fits all. The default is below nginx's 1 MB.
        """
        return -(-self.message * 4 // 3) + 1024

    def advertised_limits(self) -> dict[str, int]:
        """Return what ``opened.limits`` advertises (PROTOCOL.md section 12)."""
        return {
            "message": self.message,
            "body": self.body,
            "batch": self.batch,
            "depth": self.depth,
            "window_messages": self.window_messages,
            "window_bytes": self.window_bytes,
        }

    def advertised_timings(self) -> dict[str, float]:
        """Return what ``opened.timings`` advertises, in seconds."""
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


def silence_timeout(heartbeat: float) -> float:
    """Return the seconds of silence after which a client drops a connection (LIV-2)."""
    return 2 * heartbeat + 5
