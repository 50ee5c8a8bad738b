# SPDX-License-Identifier: Apache-2.0
"""A plug-in of the suite's own pytest: a line of JSON for each test as it ends, between the terminal's own words.

A line: {"id", "status": passed|failed|skipped, "seconds", "reason"}.
"""

from __future__ import annotations

import json
import sys

KEPT = 3000  # characters of a traceback

_OUT = sys.stdout
_lines: dict[str, dict] = {}


def pytest_runtest_logreport(report) -> None:
    """A test has up to three reports; the worst of them is its outcome."""
    line = _lines.setdefault(report.nodeid, {"id": report.nodeid, "status": "passed", "seconds": 0.0, "reason": ""})
    line["seconds"] = round(line["seconds"] + report.duration, 1)
    if report.failed:
        line["status"], line["reason"] = "failed", str(report.longrepr)[-KEPT:]
    elif report.skipped and line["status"] == "passed":
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        line["status"], line["reason"] = "skipped", reason.removeprefix("Skipped: ")
    if report.when == "teardown":
        print("\n" + json.dumps(_lines.pop(report.nodeid)), file=_OUT, flush=True)
