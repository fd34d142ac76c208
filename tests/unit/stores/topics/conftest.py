"""Minutes pass at once."""

from __future__ import annotations

from tests.support.turned_clock import anyio_backend, check_event_loop

__all__ = ("anyio_backend", "check_event_loop")
