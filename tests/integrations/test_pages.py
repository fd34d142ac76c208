"""The pages compile, and are what the documents say of the libraries."""

from __future__ import annotations

import re

from tests.consumers.install import ROOT, run
from tests.integrations.conftest import HERE

DOCUMENT = ROOT / "docs/existing-websocket.md"
_ROW = re.compile(r"^\| \[[^]]+\]\(\.\./tests/integrations/(\w+)\) \| `([^`]+)` \|", re.MULTILINE)


async def test_pages_compile() -> None:
    """Our class has the type that each library wants."""
    await run("node", ROOT / "client_js/node_modules/typescript/bin/tsc", "-p", ".", folder=HERE)


def test_documented_lines_are_those_of_pages() -> None:
    rows = dict(_ROW.findall(DOCUMENT.read_text("utf-8")))
    pages = {page.parent.name: page.read_text("utf-8") for page in HERE.glob("*/page.*")}
    assert rows.keys() == pages.keys()
    assert [library for library, line in rows.items() if line not in pages[library]] == []
