"""`Terms`: the limits and times that a server advertises (PROTOCOL.md section 12)."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from transport.limits import Limits
from transport.protocol.frames import Opened


@dataclass(frozen=True, slots=True)
class Terms:
    """The limits and times of a server. `Limits` says what each is for."""

    message: int
    body: int
    batch: int
    depth: int
    window_messages: int
    window_bytes: int
    heartbeat: float
    ttl: float
    closing: float
    stall: float

    @classmethod
    def of(cls, limits: Limits) -> Terms:
        """Return the terms that a server with these limits advertises."""
        return cls(**{one.name: getattr(limits, one.name) for one in fields(cls)})

    def updated(self, frame: Opened) -> Terms:
        """Return a copy with the values that ``frame`` advertises."""
        advertised: dict[str, Any] = {**frame.limits, **frame.timings}
        names = [one.name for one in fields(self)]
        known = {name: advertised[name] for name in names if name in advertised}
        return replace(self, **known)
