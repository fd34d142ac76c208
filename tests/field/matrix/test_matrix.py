"""A page in a real browser behind real proxies: docs/proxies.md has the results.

``make matrix`` runs all rows and writes the results into that document. The tests that run every
time use a short form.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.field.matrix import document
from tests.field.matrix.browsers import BROWSERS, Browser
from tests.field.matrix.conversation import Measured, measure
from tests.field.matrix.rows import ROWS, Row

pytestmark = pytest.mark.browser

FULL = os.environ.get("MATRIX") == "full"
COUNT = 500 if FULL else 150
"""Messages before the repair, and again after it."""

Results = dict[str, dict[str, Measured]]


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    """Collect the results of the rows that pass. If all rows pass, write the document."""
    found: Results = {name: {} for name in BROWSERS}
    yield found
    if FULL and all(len(rows) == len(ROWS) for rows in found.values()):
        document.write(found)


@pytest.fixture(scope="module", params=BROWSERS)
def name(request: pytest.FixtureRequest) -> str:
    """The browser's name."""
    return str(request.param)


@pytest.fixture(scope="module")
async def browser(name: str) -> AsyncIterator[Browser]:
    async with BROWSERS[name]() as one:
        yield one


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=row.name) for row in ROWS if FULL or row.short]
)
async def test_page_finds_best_transport_and_loses_nothing(
    row: Row, name: str, browser: Browser, results: Results
) -> None:
    found = await measure(row, browser, COUNT)
    print(f"\n{found}")  # noqa: T201 - the figures are the point
    # On a slow machine long polling may have been first; the better transport follows.
    assert found.first == row.transport or (not FULL and found.transport == row.transport)
    assert (found.lost, found.doubled, found.disordered) == (0, 0, 0)
    assert row.may_lose or not found.resets
    results[name][row.name] = found
