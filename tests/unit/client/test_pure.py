"""Pure decisions about connections: the length of a wait, and the next transport."""

from __future__ import annotations

import pytest

from transport.client.backoff import backoff
from transport.client.budget import RetryBudget
from transport.client.fallback import LastWorking, choose
from transport.client.urls import locate
from transport.protocol.frames import TransportKind

ALL = list(TransportKind)


def test_backoff_is_full_jitter_up_to_maximum() -> None:
    """The first retry is random too, from 0 to its base."""
    assert [backoff(n, 1.0, 0.5, 30) for n in (0, 1, 2, 29.5, 10**6)] == [0.5, 1.5, 2.5, 30, 30]
    assert backoff(0, 0.0, 0.5, 30) == 0
    assert backoff(3.5, 0.25, 0.5, 30) == 1


def test_budget_allows_two_attempts_per_period() -> None:
    budget = RetryBudget(1.25)
    assert [budget.acquire(now).at for now in (0, 0.1, 0.2, 0.3)] == [0, 0.1, 1.25, 1.35]
    assert budget.free_at == 2.5
    assert budget.acquire(10).at == 10
    assert budget.free_at == 2.6, "the slot of the previous attempt"


def test_slot_is_free_one_period_after_release() -> None:
    """Until its release an attempt may still be on its way; its arrival counts."""
    budget = RetryBudget(1.25)
    first, second = budget.acquire(0), budget.acquire(0.1)
    budget.release(first, 0.4)
    assert budget.free_at == 1.35, "the slot of the second attempt"
    budget.release(second, 0.5)
    assert budget.free_at == 1.65
    assert budget.acquire(0.6).at == 1.65
    budget.release(first, 5)
    assert budget.free_at == 1.75, (
        "another attempt has the slot of the first: a late release has no effect"
    )


def test_choice_follows_list_until_all_have_failed() -> None:
    assert choose(ALL, [], None, 0, 300) is TransportKind.WEBSOCKET
    assert choose(ALL, [TransportKind.WEBSOCKET], None, 0, 300) is TransportKind.SSE
    assert choose(ALL, ALL, None, 0, 300) is None
    assert (
        choose([TransportKind.LONGPOLL, TransportKind.SSE], [], None, 0, 300)
        is TransportKind.LONGPOLL
    )


def test_choice_begins_with_last_working_transport() -> None:
    last_working = LastWorking(TransportKind.LONGPOLL, 100)
    assert choose(ALL, [], last_working, 399, 300) is TransportKind.LONGPOLL
    assert choose(ALL, [], last_working, 400, 300) is TransportKind.WEBSOCKET
    assert choose(ALL, [TransportKind.LONGPOLL], last_working, 101, 300) is TransportKind.WEBSOCKET
    assert choose([TransportKind.SSE], [], last_working, 101, 300) is TransportKind.SSE


@pytest.mark.parametrize(
    ("url", "websocket", "located"),
    [
        ("http://h/chat", False, "http://h/chat/send"),
        ("http://h:1/chat/?lang=de#here", False, "http://h:1/chat/send?lang=de"),
        ("http://h", True, "ws://h/send"),
        ("https://h/a/b", True, "wss://h/a/b/send"),
        ("wss://h/a", False, "https://h/a/send"),
        ("ws://h/a", False, "http://h/a/send"),
    ],
)
def test_url_gets_segment_of_transport(url: str, websocket: bool, located: str) -> None:
    assert locate(url, "send", websocket=websocket) == located
