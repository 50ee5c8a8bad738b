# SPDX-License-Identifier: Apache-2.0
"""Outcomes as a JUnit file, which CI servers show."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

_UNWRITABLE = {code: "?" for code in range(32) if code not in (9, 10, 13)}


def write(path: Path, name: str, outcomes: list[dict[str, Any]], seconds: float) -> None:
    """Write the outcomes of the run `name`, which took `seconds`; a missing test is an error."""
    kinds = [outcome["status"] for outcome in outcomes]
    suite = ElementTree.Element(
        "testsuite", name=name, tests=str(len(outcomes)), failures=str(kinds.count("failed")),
        errors=str(kinds.count("missing")), skipped=str(kinds.count("skipped")), time=f"{seconds:.1f}",
    )  # fmt: skip
    for outcome in outcomes:
        group, _, test = outcome["id"].rpartition(".")
        case = ElementTree.SubElement(suite, "testcase", classname=group, name=test, time=str(outcome["seconds"]))
        kind = {"failed": "failure", "missing": "error", "skipped": "skipped"}.get(outcome["status"])
        if kind:
            reason = str(outcome["reason"]).translate(_UNWRITABLE)
            last = reason.strip().splitlines()[-1] if reason.strip() else outcome["status"]
            ElementTree.SubElement(case, kind, message=last).text = reason
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
