"""Each side of every clause of PROTOCOL.md is shown by a vector or a test; see `evidence`."""

from __future__ import annotations

import re

from tests.contracts import evidence
from tests.contracts.evidence import LIST, NOT_TESTED, ROOT
from tests.contracts.protocol_text import CLAUSES, PROTOCOL

FAMILIES = {clause.partition("-")[0] for clause in CLAUSES}
CITED = re.compile(rf"\b((?:{'|'.join(FAMILIES)})-[0-9]+)\b")

RETIRED: set[str] = set()
"""Ids that were given up. They are never used again."""


def test_clauses_have_unique_ids() -> None:
    ids = re.findall(r"^- \*\*\[(\S+)\]\*\*", PROTOCOL, re.MULTILINE)
    assert ids == list(CLAUSES)
    assert len(ids) > 100


def test_ids_have_no_gaps() -> None:
    """An id that disappears would change what older documents and commits cite."""
    known = {*CLAUSES, *RETIRED}
    for family in FAMILIES:
        numbers = {int(one.rpartition("-")[2]) for one in known if one.startswith(f"{family}-")}
        assert numbers == set(range(1, len(numbers) + 1)), family
    assert not RETIRED & set(CLAUSES)


def test_vectors_cite_only_existing_clauses() -> None:
    assert {clause for clause, _ in evidence.vectors()} <= set(CLAUSES)


def test_cited_clauses_exist() -> None:
    paths = [
        ROOT / "PROTOCOL.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "transport").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "client_js/src").rglob("*.ts"),
        *(ROOT / "client_js/test").rglob("*.ts"),
    ]
    for path in paths:
        unknown = set(CITED.findall(path.read_text("utf-8"))) - set(CLAUSES)
        assert not unknown, f"{path.relative_to(ROOT)} cites {', '.join(sorted(unknown))}"


def test_clauses_are_all_shown() -> None:
    """A clause that binds a side is shown on that side, or there is a reason."""
    shown = {*evidence.vectors(), *evidence.tests(), *NOT_TESTED}
    missing = [
        f"{clause.id} ({side})"
        for clause in CLAUSES.values()
        for side in clause.binds
        if (clause.id, side) not in shown
    ]
    assert not missing, f"no vector and no test shows {', '.join(missing)}"


def test_reasons_are_needed() -> None:
    assert not set(NOT_TESTED) & {*evidence.vectors(), *evidence.tests()}
    assert all(side in CLAUSES[clause].binds for clause, side in NOT_TESTED)


def test_list_of_clauses_is_up_to_date() -> None:
    assert LIST.read_text("utf-8") == evidence.render(), "run `make clauses`"
