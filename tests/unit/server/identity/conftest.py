"""Run these tests on a virtual clock: credentials last for minutes."""

from tests.support.turned_clock import anyio_backend, check_event_loop

__all__ = ("anyio_backend", "check_event_loop")
