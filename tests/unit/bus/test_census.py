"""Which processes live: what one look shows is not enough, unless everything is missing."""

from __future__ import annotations

import pytest

from transport.bus.redis.census import FORGOTTEN_AFTER, GONE_AFTER, GRACE, Census, Sign, Verdict


class Looks:
    """Looks at one process, each as long after the last one as is needed."""

    def __init__(self) -> None:
        self.census = Census()
        self.now = 100.0

    def see(self, lease: bytes | None, subscribers: int, after: float = GONE_AFTER) -> Verdict:
        self.now += after
        return self.census.judge(Sign("a", lease, subscribers), self.now, self.now)


def test_process_with_lease_and_subscription_lives() -> None:
    looks = Looks()
    for _ in range(5):
        assert looks.see(b"1", 1) is Verdict.LIVES, "it may be stopped: its lease ends by itself"


def test_process_without_anything_is_gone_at_once() -> None:
    assert Looks().see(None, 0) is Verdict.GONE


@pytest.mark.parametrize(("lease", "subscribers"), [(b"1", 0), (None, 1)])
def test_process_without_one_of_them_is_gone_at_the_second_look(
    lease: bytes | None, subscribers: int
) -> None:
    looks = Looks()
    assert looks.see(lease, subscribers) is Verdict.UNKNOWN
    assert looks.see(lease, subscribers, after=GONE_AFTER / 2) is Verdict.UNKNOWN
    assert looks.see(lease, subscribers) is Verdict.GONE
    assert looks.see(lease, subscribers) is Verdict.GONE


def test_process_whose_subscription_was_cut_renews_its_lease() -> None:
    looks = Looks()
    assert looks.see(b"1", 0) is Verdict.UNKNOWN
    assert looks.see(b"2", 0) is Verdict.LIVES
    assert looks.see(b"3", 0) is Verdict.UNKNOWN
    assert looks.see(b"3", 1) is Verdict.LIVES


def test_look_that_was_late_says_nothing_of_the_time_before() -> None:
    """Redis stood still: both looks were carried out at the same time."""
    looks = Looks()
    looks.see(None, 1)
    sign = Sign("a", None, 1)
    began = looks.now
    assert looks.census.judge(sign, began, began + 10 * GONE_AFTER) is Verdict.UNKNOWN


def test_nobody_is_gone_while_redis_may_have_lost_its_data() -> None:
    looks = Looks()
    looks.census.distrust(looks.now)
    for after in (0.0, GRACE / 2):
        assert looks.see(None, 0, after) is Verdict.UNKNOWN
    assert looks.see(None, 0, GRACE / 2) is Verdict.GONE


def test_suspect_is_forgotten_when_its_lease_has_ended() -> None:
    looks = Looks()
    looks.see(b"1", 0)
    looks.census.forget(looks.now + FORGOTTEN_AFTER / 2)
    assert looks.see(b"1", 0) is Verdict.GONE
    looks.census.forget(looks.now + FORGOTTEN_AFTER)
    assert looks.see(b"1", 0) is Verdict.UNKNOWN
