"""`transport/codes.py` agrees with the table of PROTOCOL.md, section 13."""

from __future__ import annotations

import pytest

from tests.contracts.protocol_text import rows
from transport.codes import CODES, sendable_close_code


def test_codes_match_document() -> None:
    documented = {
        name: (websocket, status, again) for name, websocket, status, again, _ in rows("13")
    }
    ours = {
        f"`{code.name}`": (str(code.websocket or "-"), str(code.status or "-"), code.retry.value)
        for code in CODES.values()
    }
    assert ours == documented


def test_order_of_codes_matches_document() -> None:
    assert [f"`{name}`" for name in CODES] == [row[0] for row in rows("13")]


@pytest.mark.parametrize(
    ("code", "sent"),
    [(1000, 1000), (3000, 3000), (4999, 4999), (4416, 4416), (1001, 1000), (1005, 1000)]
    + [(code, 1000) for code in (999, 1006, 1015, 2999, 5000)],
)
def test_close_codes_are_allowed_by_rfc_6455(code: int, sent: int) -> None:
    """CLS-7."""
    assert sendable_close_code(code) == sent
