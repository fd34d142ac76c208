"""`transport/codes.py` agrees with the table of PROTOCOL.md, section 13."""

from __future__ import annotations

import re

import pytest

from tests.contracts.protocol_text import CLAUSES, rows
from transport.codes import CODES, is_close_code


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


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 1014, 3000, 4416, 4999])
def test_close_codes_are_those_that_a_server_may_send(code: int) -> None:
    """CLS-9, CLS-7: the others mean something else by RFC 6455, or are reserved."""
    assert is_close_code(code)


@pytest.mark.parametrize("code", [0, 999, *range(1002, 1008), 1009, 1010, 1015, 2999, 5000])
def test_other_codes_close_no_session(code: int) -> None:
    """CLS-9."""
    assert not is_close_code(code)


def test_every_code_of_the_table_may_close_a_session() -> None:
    """CLS-9: with ``by: "protocol"``."""
    assert all(is_close_code(code.websocket) for code in CODES.values() if code.websocket)


def test_document_lists_close_codes() -> None:
    """CLS-9."""
    listed = CLAUSES["CLS-9"].text.partition(" with ")[0]
    documented = set()
    for first, last in re.findall(r"(\d+)(?:(?: to |-)(\d+))?", listed):
        documented |= set(range(int(first), int(last or first) + 1))
    assert documented == {code for code in range(6000) if is_close_code(code)}
