"""PROTOCOL.md, parsed for tests: its clauses, its tables, and the types of its frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

PROTOCOL = (Path(__file__).parents[2] / "PROTOCOL.md").read_text("utf-8")

Side: TypeAlias = Literal["server", "client"]

_BOUND: dict[str, tuple[Side, ...]] = {
    "S": ("server",),
    "C": ("client",),
    "CS": ("server", "client"),
}


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause.

    Attributes:
        id: its lasting id.
        binds: the sides that must keep it.
        text: what it says, on one line.
    """

    id: str
    binds: tuple[Side, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a frame: its type in TypeScript, and whether it may be absent."""

    type: str
    optional: bool


def _clauses() -> Iterator[Clause]:
    bullets = re.findall(r"^- (\*\*\[.*(?:\n  .*)*)", PROTOCOL, re.MULTILINE)
    for bullet in bullets:
        text = re.sub(r"\s+", " ", bullet)
        found = re.fullmatch(r"\*\*\[([A-Z]+[0-9]*-[0-9]+)\]\*\* \((S|C|CS)\) (.+)", text)
        assert found is not None, f"no id and no side that it binds: {text[:60]}"
        yield Clause(found[1], _BOUND[found[2]], found[3])


CLAUSES: dict[str, Clause] = {clause.id: clause for clause in _clauses()}
"""All clauses, in order, by their ids."""


def rows(section: str) -> list[list[str]]:
    """Return the rows of all tables of a section, without their headings."""
    return _rows(PROTOCOL.split(f"\n## {section}. ", 1)[1].split("\n## ", 1)[0])


def rows_after(clause: str) -> list[list[str]]:
    """Return the rows of the tables between a clause and the next one."""
    return _rows(PROTOCOL.split(f"\n- **[{clause}]**", 1)[1].split("\n- **[", 1)[0])


def _rows(text: str) -> list[list[str]]:
    found = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    heads = {index - 1 for index, row in enumerate(found) if set(row[0]) == {"-"}}
    return [row for index, row in enumerate(found) if index not in heads and set(row[0]) != {"-"}]


def interfaces(source: str) -> dict[str, dict[str, Field]]:
    """Return the fields of each ``interface`` of a TypeScript text, by the interface's name.

    Comments are ignored. The fields of an interface that is extended come first.
    """
    source = re.sub(r"/\*.*?\*/|//[^\n]*", "", source, flags=re.DOTALL)
    found: dict[str, dict[str, Field]] = {}
    for match in re.finditer(r"\binterface (\w+)(?: extends (\w+))? \{", source):
        body = source[match.end() : _closing(source, match.end())]
        fields = dict(found[match[2]]) if match[2] else {}
        for line in re.split(r"[;\n](?![^{]*\})", body):
            field = re.fullmatch(r"(?:readonly )?(\w+)(\??): (.+)", line.strip(), re.DOTALL)
            if field is not None:
                kind = re.sub(r"\s+", " ", field[3]).replace("readonly ", "").rstrip("; ")
                fields[field[1]] = Field(kind, optional=bool(field[2]))
        found[match[1]] = fields
    return found


def _closing(source: str, start: int) -> int:
    """Return the position of the brace that closes the one before ``start``."""
    depth = 1
    for position in range(start, len(source)):
        depth += {"{": 1, "}": -1}.get(source[position], 0)
        if not depth:
            return position
    raise AssertionError("a brace is not closed")


FRAMES = interfaces("\n".join(re.findall(r"^ {4}.*$", PROTOCOL, re.MULTILINE)))
"""The types of the control frames, and of what they contain."""
