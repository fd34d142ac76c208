"""`Terms`: what a server advertises of its limits and times."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from transport.limits import Limits
from transport.protocol.frames import Opened


@dataclass(frozen=True, slots=True)
class Terms:
    """What the server has advertised (PROTOCOL.md section 12): `Limits` says what each is for."""

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
        """Those that a server with these limits advertises."""
        return cls(**{one.name: getattr(limits, one.name) for one in fields(cls)})

    def updated(self, frame: Opened) -> Terms:
        """These, where ``opened`` does not tell others."""
        told: dict[str, Any] = {**frame.limits, **frame.timings}
        known = {one.name: told[one.name] for one in fields(self) if one.name in told}
        return replace(self, **known)
