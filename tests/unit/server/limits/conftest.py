"""Run these tests on a virtual clock: the limits are seconds and minutes."""

from tests.support.turned_clock import anyio_backend, check_event_loop

__all__ = ("anyio_backend", "check_event_loop")
