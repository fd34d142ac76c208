"""`transport/limits.py` agrees with the tables of PROTOCOL.md, section 12."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from math import inf, nan
from typing import Any

import pytest

from tests.contracts.protocol_text import rows
from transport.limits import Limits

DOCUMENTED = {
    name: figure
    for names, figures, _ in rows("12")
    for name, figure in zip(names.split(", "), re.split("; ", figures), strict=False)
}


def figure(text: str) -> float:
    """Return the first number of a cell."""
    found = re.match(r"[0-9][0-9,]*", text)
    assert found is not None, text
    return float(found.group().replace(",", ""))


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("message", "`message`"),
        ("body", "`body` (also one frame)"),
        ("batch", "`batch`"),
        ("depth", "`depth`"),
        ("window_messages", "`window_messages`"),
        ("headers", "headers of an opening request"),
        ("memory", "memory of all sessions of a process"),
        ("control_per_second", "frames without anything new"),
        ("window_bytes", "`window_bytes`"),
        ("sessions", "sessions per process"),
        ("sessions_per_subject", "subject"),
        ("sessions_per_address", "address"),
        ("opens_per_second", "opens per address"),
        ("heartbeat", "`heartbeat`"),
        ("ttl", "`ttl`"),
        ("away", "after `leave`"),
        ("closing", "`closing`"),
        ("poll_hold", "`poll_hold`"),
        ("stream", "`stream`"),
        ("opening", "opening"),
        ("renewal", "renewal of credentials"),
    ],
)
def test_limits_match_document(name: str, cell: str) -> None:
    assert getattr(Limits(), name) == figure(DOCUMENTED[cell])


def test_document_names_existing_limits() -> None:
    advertised = Limits().advertised_limits() | Limits().advertised_timings()
    for cell in DOCUMENTED:
        if name := re.match(r"`(\w+)`", cell):
            assert name.group(1) in advertised


def test_advertised_limits_are_enforced_ones() -> None:
    limits = Limits(message=100, ttl=70.5)
    advertised = limits.advertised_limits() | limits.advertised_timings()
    assert advertised["body"] == 134 + 1024
    for name, value in advertised.items():
        assert getattr(limits, name) == value


def test_body_fits_largest_message_as_base64() -> None:
    for message in (1, 2, 3, 100, 262_144):
        limits = Limits(message=message)
        assert limits.body >= -(-message // 3) * 4 + len(
            '{"type":"bytes","number":,"ack":,"data":""}'
        )


@pytest.mark.parametrize("name", [one.name for one in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1])
def test_limit_must_be_above_zero(name: str, value: int) -> None:
    with pytest.raises(
        ValueError, match=rf"Limits\.{name} must be finite and above 0, not {value}"
    ):
        Limits(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message", 64_000.0),
        ("message", "64k"),
        ("message", True),
        ("batch", None),
        ("sessions", 1.5),
        ("opens_per_second", 0.5),
    ],
)
def test_sizes_and_counts_must_be_whole_numbers(name: str, value: Any) -> None:
    with pytest.raises(
        ValueError, match=rf"Limits\.{name} must be a whole number, not {re.escape(repr(value))}"
    ):
        Limits(**{name: value})


@pytest.mark.parametrize("value", ["20s", None, False, timedelta(seconds=20)])
def test_times_must_be_numbers_of_seconds(value: Any) -> None:
    with pytest.raises(ValueError, match=r"Limits\.heartbeat must be a number of seconds, not "):
        Limits(heartbeat=value)


@pytest.mark.parametrize("value", [nan, inf, -inf])
@pytest.mark.parametrize(
    "name", [one.name for one in dataclasses.fields(Limits) if one.type == "float"]
)
def test_times_must_be_finite(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"Limits\.{name} must be finite and above 0, not "):
        Limits(**{name: value})


def test_times_may_be_whole_numbers() -> None:
    assert Limits(ttl=300, heartbeat=10).ttl == 300


@pytest.mark.parametrize(
    ("name", "most", "more"),
    [
        ("depth", 500, 501),
        ("ack_delay", 1.0, 1.01),
        ("answer_wait", 1.0, 1.01),
        ("message", 12_582_144, 12_582_145),
    ],
)
def test_some_limits_have_upper_bound(name: str, most: Any, more: Any) -> None:
    window: dict[str, Any] = {"window_bytes": 20_000_000}
    assert getattr(Limits(**window, **{name: most}), name) == most
    with pytest.raises(ValueError, match=rf"Limits\.{name} \({more}\)"):
        Limits(**window, **{name: more})


def test_batch_must_hold_lines_of_a_post() -> None:
    assert Limits(batch=5).batch == 5
    with pytest.raises(ValueError, match=r"Limits\.batch \(4\) must be at least 5"):
        Limits(batch=4)


def test_dependent_limit_may_equal_its_bound() -> None:
    assert Limits(message=100, window_bytes=100).window_bytes == 100
    assert Limits(heartbeat=20, ttl=60.1).ttl == 60.1
    assert Limits(heartbeat=5, poll_hold=15).poll_hold == 15


def test_limits_are_keyword_only_and_frozen() -> None:
    make: Any = Limits
    with pytest.raises(TypeError):
        make(64_000)
    with pytest.raises(TypeError, match="mesage"):
        make(mesage=64_000)
    with pytest.raises(AttributeError):
        Limits().message = 1  # type: ignore[misc]


def test_window_must_hold_a_message() -> None:
    with pytest.raises(ValueError, match=r"window_bytes \(10\) must hold a message \(11\)"):
        Limits(message=11, window_bytes=10)


def test_limits_must_be_finite() -> None:
    with pytest.raises(ValueError, match=r"Limits\.ttl must be finite"):
        Limits(ttl=float("inf"))


@pytest.mark.parametrize("heartbeat", [0.1, 1.0, 4.9])
def test_ttl_must_outlast_patience_of_clients(heartbeat: float) -> None:
    """LIV-2: else a session expires before its client has noticed that the connection is dead."""
    patience = 2 * heartbeat + 5
    assert Limits(heartbeat=heartbeat, poll_hold=1, ttl=patience + 0.01).ttl > patience
    with pytest.raises(ValueError, match=r"Limits\.ttl .* give up a silent connection \(LIV-2\)"):
        Limits(heartbeat=heartbeat, poll_hold=1, ttl=patience)


@pytest.mark.parametrize("other", [{"heartbeat": 40.0}, {"poll_hold": 120.0}])
def test_ttl_must_outlast_heartbeats_and_hold(other: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"Limits\.ttl \(120\.0\) must be above"):
        Limits(heartbeat=other.get("heartbeat", 20.0), poll_hold=other.get("poll_hold", 20.0))


def test_poll_hold_must_be_within_client_timeout() -> None:
    """LIV-2."""
    with pytest.raises(ValueError, match=r"Limits\.poll_hold \(20\.0\) is above two heartbeats"):
        Limits(heartbeat=5)
