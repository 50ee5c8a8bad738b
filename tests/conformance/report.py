# SPDX-License-Identifier: Apache-2.0
"""What the conformance suites said: kept in `results.json`, told in `docs/conformance.md`."""

from __future__ import annotations

import json
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent.parent / "docs" / "conformance.md"
STATUSES = ("passed", "failed", "skipped", "missing")

Outcome = dict[str, Any]


def record(name: str, found: list[Outcome], seconds: float) -> None:
    """Keep the outcomes of one list, without their tracebacks; the statuses of the run before stay beside them."""
    kept = _load()
    told = [{**outcome, "reason": outcome["reason"] if outcome["status"] == "skipped" else ""} for outcome in found]
    before = kept.get(name, {}).get("outcomes", [])
    kept[name] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds),
        "outcomes": sorted(told, key=lambda outcome: str(outcome["id"])),
        "before": {outcome["id"]: outcome["status"] for outcome in before},
    }
    RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def write() -> None:
    """Write the page."""
    PAGE.write_text("\n".join(_page(_load())) + "\n")


def _load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}  # type: ignore[no-any-return]


def _page(kept: dict[str, Any]) -> Iterator[str]:
    yield "# Conformance"
    yield ""
    yield "Written by `make conformance`; never by hand. Tempest 47.0.0 against a cloud on real QEMU, one host."
    yield ""
    yield "| list | date | passed | failed | skipped | missing | minutes |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | ---: |"
    for name, run in sorted(kept.items()):
        count = Counter(outcome["status"] for outcome in run["outcomes"])
        numbers = " | ".join(str(count[status]) for status in STATUSES)
        yield f"| {name} | {run['date']} | {numbers} | {run['seconds'] / 60:.1f} |"
    for name, run in sorted(kept.items()):
        yield from _list(name, run)
    yield from _features_off()


def _list(name: str, run: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"## {name}"
    yield ""
    yield "| test | outcome | seconds | before |"
    yield "| --- | --- | ---: | --- |"
    for outcome in run["outcomes"]:
        before = run["before"].get(outcome["id"], "new")
        changed = before if before != outcome["status"] else ""
        skip = f" ({outcome['reason'].strip()})" if outcome["status"] == "skipped" else ""
        test = outcome["id"].removeprefix("tempest.")
        yield f"| {test} | {outcome['status']}{skip} | {outcome['seconds']} | {changed} |"


def _features_off() -> Iterator[str]:
    yield ""
    yield "## What the judge is told that this cloud lacks"
    yield ""
    for section, flags in tomllib.loads((HERE / "features.toml").read_text()).items():
        off = [name for name, value in flags.items() if value is False]
        if off:
            yield f"- {section}: {', '.join(off)}"
