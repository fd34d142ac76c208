"""Every clause of PROTOCOL.md is covered by a vector or a test.

A vector lists its clauses. A test cites them in its docstring or in a comment.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.contracts.protocol_text import CLAUSES

ROOT = Path(__file__).parents[2]

CITED = re.compile(r"\b([A-Z]{2,4})-([0-9]+)\b")


def cited_by_vectors() -> set[str]:
    files = (ROOT / "tests" / "vectors").glob("*.json")
    return {
        clause
        for path in files
        if path.name != "schema.json"
        for vector in json.loads(path.read_text("utf-8"))["vectors"]
        for clause in vector["clauses"]
    }


def cited_by_tests() -> set[str]:
    files = [
        *(path for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)),
        *(ROOT / "client_js" / "test").rglob("*.ts"),
    ]
    return {
        f"{family}-{number}"
        for path in files
        for family, number in CITED.findall(path.read_text("utf-8"))
    }


def test_document_has_clauses() -> None:
    assert len(CLAUSES) > 60
    assert len(CLAUSES) == len(set(CLAUSES))


def test_vectors_cite_only_existing_clauses() -> None:
    assert cited_by_vectors() <= set(CLAUSES)


def test_clauses_are_all_covered() -> None:
    covered = cited_by_vectors() | cited_by_tests()
    missing = [clause for clause in CLAUSES if clause not in covered]
    assert not missing, f"no vector and no test covers {', '.join(missing)}"
