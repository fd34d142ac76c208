"""The counts detect a row that loses, duplicates or reorders messages."""

from __future__ import annotations

from tests.field.matrix.accounts import disordered, doubled, lost


def test_missing_message_is_lost_unless_reset_reports_it() -> None:
    assert lost(3, [1, 2, 3]) == 0
    assert lost(4, [1, 3]) == 2
    assert lost(4, [1, 3], reported=[2]) == 1
    assert lost(4, [1, 2, 3, 4], reported=[2]) == 0


def test_repeated_message_is_doubled() -> None:
    assert doubled([1, 3, 2]) == 0
    assert doubled([1, 2, 2, 3, 3]) == 2


def test_late_message_is_disordered() -> None:
    assert disordered([1, 2, 2, 4]) == 0
    assert disordered([1, 3, 2, 4]) == 1
