"""docs/proxies.md has the rows of the matrix, and each cure is what the repair changes."""

from __future__ import annotations

import pytest

from tests.field.matrix import document
from tests.field.matrix.rows import ROWS, Row


def test_document_has_rows_of_matrix() -> None:
    tables = document.read()
    assert tables
    for table in tables:
        assert table == [document.fixed(row) for row in ROWS], "run `make matrix` to rewrite it"
    assert document.good() in document.PATH.read_text("utf-8")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_cure_is_what_repair_changes(row: Row) -> None:
    assert len(row.cure) <= 2
    before, after = (
        " ".join((row.proxy.frame + site.around + "\n" + site.body).split())
        for site in (row.site, row.repaired)
    )
    for line in row.cure:
        if line.startswith("- "):
            assert line[2:] in before
            assert line[2:] not in after
        else:
            assert line in after
    assert bool(row.cure) == (row.site != row.repaired)


def test_row_names_are_unique() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)
