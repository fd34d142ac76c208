"""The table of docs/proxies.md: written by a full run, and read to see that it fits the rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.matrix.conversation import Measured
from tests.matrix.rows import ROWS, Row

PATH = Path(__file__).parents[2] / "docs/proxies.md"
_BEGIN = "<!-- from here to the end: written by `make matrix` -->\n"
_HEADER = (
    "| proxy | configuration | first round trip | sent each way | lost | doubled | gaps "
    "| WebSocket after | what makes it fast |\n|---|---|---|---|---|---|---|---|---|\n"
)
_LINE = re.compile(r"^\| (.*?) \| (.*?) \| (`\w+`), .*? \| (?:[^|]*? \| ){5}(.*) \|$", re.MULTILINE)


def write(results: Mapping[str, Mapping[str, Measured]]) -> None:
    """Put the good configurations, and a table for each browser, behind the document's words."""
    words = PATH.read_text("utf-8").partition(_BEGIN)[0]
    tables = "".join(
        f"\n## Measured in {browser}\n\n{_HEADER}"
        + "".join(_line(row, found[row.name]) for row in ROWS)
        for browser, found in results.items()
    )
    PATH.write_text(f"{words}{_BEGIN}{good()}{tables}", "utf-8")


def good() -> str:
    """How each proxy should be configured."""
    kinds = {row.proxy.name: row.proxy for row in ROWS}.values()
    texts = "".join(f"\n{kind.name}:\n\n```\n{kind.good}```\n" for kind in kinds)
    return f"\n## Good configurations\n{texts}"


def _line(row: Row, found: Measured) -> str:
    told = f" ({found.told:,} told by `reset`)" if found.told else ""
    later = f"; then `{found.transport}`" if found.transport != found.first else ""
    cells = [
        *fixed(row)[:2],
        f"{fixed(row)[2]}, {found.seconds:.2f} s{later}",
        f"{min(found.sent, found.answered):,}",
        f"{found.lost}{told}",
        f"{found.doubled}",
        f"{found.gaps}",
        f"{found.back:.1f} s",
        fixed(row)[3],
    ]
    return f"| {' | '.join(cells)} |\n"


def fixed(row: Row) -> tuple[str, str, str, str]:
    """What does not depend on the run: proxy, configuration, transport, cure."""
    cure = "<br>".join(
        f"without `{line[2:]}`" if line.startswith("- ") else f"`{line}`" for line in row.cure
    )
    return row.proxy.name, row.case, f"`{row.transport}`", cure.replace("|", "\\|") or "as it is"


def read() -> list[list[tuple[str, str, str, str]]]:
    """The same of the document, for each of its tables."""
    tables = PATH.read_text("utf-8").partition(_BEGIN)[2].split(_HEADER)[1:]
    return [
        [(proxy, case, transport, cure) for proxy, case, transport, cure in _LINE.findall(table)]
        for table in tables
    ]
