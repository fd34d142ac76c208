"""Clauses and tables of PROTOCOL.md, parsed for tests."""

from __future__ import annotations

import re
from pathlib import Path

PROTOCOL = (Path(__file__).parents[2] / "PROTOCOL.md").read_text("utf-8")

CLAUSES = re.findall(r"\*\*\[([A-Z]+[0-9]*-[0-9]+)\]\*\*", PROTOCOL)
"""The ids of all clauses, in order."""


def clause(name: str) -> str:
    """Return the text of a clause."""
    return PROTOCOL.split(f"**[{name}]** ", 1)[1].split("\n", 1)[0]


def rows(section: str) -> list[list[str]]:
    """Return the rows of all tables of a section, without their headings."""
    text = PROTOCOL.split(f"\n## {section}. ", 1)[1].split("\n## ", 1)[0]
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    heads = {index - 1 for index, row in enumerate(found) if set(row[0]) == {"-"}}
    return [row for index, row in enumerate(found) if index not in heads and set(row[0]) != {"-"}]
