"""Who counts as dead, by what looks have shown of it."""

from __future__ import annotations

from transport.stores.remote.silences import FORGOTTEN_AFTER, Silences
from transport.stores.remote.wire import Sign

SILENT = Sign(b"7", is_subscribed=False)


def test_process_without_a_lease_is_dead() -> None:
    assert Silences(1.0).remaining("a", Sign(None, is_subscribed=False), 5.0, 5.0) == 0.0


def test_silent_process_is_dead_after_a_second_look() -> None:
    silences = Silences(1.0)
    assert silences.remaining("a", SILENT, 5.0, 5.0) == 1.0
    assert silences.remaining("a", SILENT, 5.5, 5.5) == 0.5
    assert silences.remaining("a", SILENT, 6.0, 6.0) == 0.0


def test_second_look_is_counted_from_the_first_answer() -> None:
    """The lease may have been renewed while the answer was awaited."""
    silences = Silences(1.0)
    silences.remaining("a", SILENT, 5.0, 5.7)
    assert silences.remaining("a", SILENT, 6.2, 6.2) == 0.5


def test_process_that_renews_its_lease_lives() -> None:
    silences = Silences(1.0)
    silences.remaining("a", SILENT, 5.0, 5.0)
    renewed = Sign(b"8", is_subscribed=False)
    assert silences.remaining("a", renewed, 6.0, 6.0) is None
    assert silences.remaining("a", renewed, 6.5, 6.5) == 1.0


def test_process_that_was_subscribed_between_two_looks_lives() -> None:
    silences = Silences(1.0)
    silences.remaining("a", SILENT, 5.0, 5.0)
    assert silences.remaining("a", Sign(b"7", is_subscribed=True), 5.5, 5.5) is None
    assert silences.remaining("a", SILENT, 6.0, 6.0) == 1.0


def test_old_silences_are_forgotten() -> None:
    silences = Silences(1.0)
    silences.remaining("a", SILENT, 5.0, 5.0)
    silences.remaining("b", SILENT, 6.0 + FORGOTTEN_AFTER, 6.0 + FORGOTTEN_AFTER)
    assert silences.remaining("a", SILENT, 7.0 + FORGOTTEN_AFTER, 7.0 + FORGOTTEN_AFTER) == 1.0
