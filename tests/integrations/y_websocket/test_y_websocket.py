"""y-websocket: two pages write one document."""

from __future__ import annotations

import itertools

import anyio
import pytest

from tests.integrations.stage import TRANSPORTS, Stage

LINES = [[f"{page}-{number} ".ljust(60, ".") for number in range(40)] for page in "ab"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_y_websocket_cut_pages_converge(stage: Stage, transport: str) -> None:
    async with (
        stage.page(transport, f"#{transport}") as one,
        stage.page(transport, f"#{transport}") as other,
    ):
        pages = (one, other)
        for page in pages:
            await page.wait("provider.synced")
        async with one.cuts(every=3000):
            async with anyio.create_task_group() as writing:
                for page, lines in zip(pages, LINES, strict=True):
                    writing.start_soon(page.run, "(lines) => write(lines)", lines)
            for page in pages:
                await page.wait(f"read().split('\\n').length === {2 * len(LINES[0]) + 1}")
        texts = [await page.run("() => read()") for page in pages]
        assert texts[0] == texts[1]
        assert sorted(texts[0].split("\n")[:-1]) == sorted(itertools.chain(*LINES))
        assert [await page.run("() => statuses") for page in pages] == [["connected"]] * 2
