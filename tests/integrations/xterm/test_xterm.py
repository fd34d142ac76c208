"""xterm.js with its attach add-on: commands in a shell, and their output."""

from __future__ import annotations

import pytest

from tests.integrations.numbers import check_cuts
from tests.integrations.stage import TRANSPORTS, Stage


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_xterm_commands_over_cuts_have_exact_output(stage: Stage, transport: str) -> None:
    await check_cuts(stage, transport, last=100)
