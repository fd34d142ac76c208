"""The retry plan: the next transport, and the wait before it."""

from __future__ import annotations

import pytest

from transport.client.budget import Slot
from transport.client.connection import Connection
from transport.client.pacing import Pacing
from transport.client.retries import RetryPlan
from transport.protocol.frames import TransportKind

WS, SSE, POLL = TransportKind.WEBSOCKET, TransportKind.SSE, TransportKind.LONGPOLL
PACING = Pacing(retry_base=0.5, retry_max=30, steady=5, fallback_for=300)


def plan_of(*transports: TransportKind) -> RetryPlan:
    return RetryPlan(PACING, transports)


def attempt(plan: RetryPlan, now: float) -> Connection:
    return Connection(plan.begin(now), now, now + 4, Slot(now, now))


def fail(plan: RetryPlan, now: float, **options: float) -> tuple[TransportKind, float]:
    """Make the next attempt fail at once. Return its transport and the wait after it."""
    connection = attempt(plan, now)
    wait = plan.wait_after(
        connection, "refused", options.get("retry_in", 0), now, 1.0, drained=False
    )
    return connection.transport, wait


def test_round_tries_each_transport_at_once_and_then_waits() -> None:
    plan = plan_of(WS, SSE, POLL)
    assert [fail(plan, 0) for _ in range(4)] == [(WS, 0), (SSE, 0), (POLL, 0.5), (WS, 0)]


def test_wait_grows_with_outage() -> None:
    plan = plan_of(WS)
    assert [fail(plan, now)[1] for now in (0, 1, 10, 100)] == [0.5, 1.5, 10.5, 30]


def test_wait_includes_retry_in_of_server() -> None:
    assert fail(plan_of(WS, SSE), 0, retry_in=3) == (WS, 3.5)


@pytest.mark.parametrize(("age", "wait"), [(6, 2), (3, 2.5)])
def test_drain_of_steady_connection_waits_retry_in(age: float, wait: float) -> None:
    """DRN-1: a drain before the connection is steady adds the backoff, as it may recur."""
    plan = plan_of(WS, SSE)
    connection = attempt(plan, 0)
    connection.mark_open(0)
    plan.record_working(WS, 0)
    assert plan.wait_after(connection, "drain", 2, age, 1.0, drained=True) == wait
    assert plan.begin(age) is WS


def test_outage_excludes_time_with_working_connection() -> None:
    plan = plan_of(WS)
    fail(plan, 0)
    connection = attempt(plan, 1)
    connection.mark_open(1)
    plan.record_working(WS, 1)
    assert plan.wait_after(connection, "cut", 0, 4, 1.0, drained=False) == 1.5


def test_first_unknown_session_reopens_at_once() -> None:
    plan = plan_of(WS)
    waits = [
        plan.wait_after(attempt(plan, 0), "unknown_session", 0, 0, 1.0, drained=False)
        for _ in range(2)
    ]
    assert waits == [0, 0.5]


@pytest.mark.parametrize("code", ["unknown_session", "not_attached"])
def test_end_that_the_next_open_repairs_is_no_outage(code: str) -> None:
    """The server has answered; a close over polls usually ends so, or a move to another process."""
    plan = plan_of(POLL)
    connection = attempt(plan, 0)
    connection.mark_open(0)
    plan.record_working(POLL, 0)
    wait = plan.wait_after(connection, code, 0, 1, 1.0, drained=False)
    assert wait == (0 if code == "unknown_session" else 0.5)
    assert not plan.has_become_unreachable


def test_leaving_application_ends_outage() -> None:
    plan = plan_of(WS)
    fail(plan, 0)
    plan.forget_outage(None, 50)
    assert fail(plan, 60)[1] == 0.5


def test_transports_must_be_known() -> None:
    plan = plan_of(WS)
    for wrong in ([], ["carrier pigeon"]):
        with pytest.raises(ValueError, match="some of websocket, sse, longpoll"):
            plan.set_transports(wrong)
    assert plan.transports == (WS,)
