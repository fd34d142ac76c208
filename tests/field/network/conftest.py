"""Report tests that cannot run here in a separate line: they have not passed."""

from __future__ import annotations

import pytest

from tests.support.faults.namespaces import NOT_RUN


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = [
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report, pytest.TestReport) and isinstance(report.longrepr, tuple)
    ]
    matching = [reason for reason in reasons if reason.startswith(NOT_RUN)]
    for reason in sorted(set(matching)):
        terminalreporter.write_line(f"{reason} ({matching.count(reason)} tests)", yellow=True)
