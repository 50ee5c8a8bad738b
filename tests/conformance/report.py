# SPDX-License-Identifier: Apache-2.0
"""What the judges said: kept in `results.json`, told in `docs/conformance.md`."""

from __future__ import annotations

import json
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from conformance.lists import List

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
PAGE = HERE.parent.parent / "docs" / "conformance.md"
STATUSES = ("passed", "failed", "skipped", "missing")
SCORES = {
    "guest": "Guest: real servers on QEMU, the kernel's network and files; Tempest logs in to them",
    "api": "API: fake drivers, no login; what the services say",
}

Outcome = dict[str, Any]


def record(wanted: List, found: list[Outcome], seconds: float) -> None:
    """Keep the outcomes of one list, without their tracebacks; the statuses of the run before stay beside them."""
    kept = _load()
    told = [{**outcome, "reason": outcome["reason"] if outcome["status"] == "skipped" else ""} for outcome in found]
    before = kept.get(wanted.name, {}).get("outcomes", [])
    kept[wanted.name] = {
        "score": wanted.score,
        "hosts": wanted.hosts,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds),
        "outcomes": sorted(told, key=lambda outcome: str(outcome["id"])),
        "before": {outcome["id"]: outcome["status"] for outcome in before},
    }
    RESULTS.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")


def durations(name: str) -> dict[str, float]:
    """How many seconds each test of a list took when it was last judged."""
    return {outcome["id"]: outcome["seconds"] for outcome in _load().get(name, {}).get("outcomes", [])}


def summary(outcomes: list[Outcome]) -> str:
    """One line of counts."""
    count = Counter(outcome["status"] for outcome in outcomes)
    return ", ".join(f"{count[status]} {status}" for status in STATUSES)


def difference(name: str) -> Iterator[str]:
    """What changed since the run before, a line each; new tests that pass are not worth one."""
    run = _load()[name]
    before = dict(run["before"])
    for outcome in run["outcomes"]:
        was = before.pop(outcome["id"], "new")
        if was != outcome["status"] and (was, outcome["status"]) != ("new", "passed"):
            yield f"{was} -> {outcome['status']}: {outcome['id']}"
    for test in sorted(before):
        yield f"{before[test]} -> not in the list any more: {test}"


def write() -> None:
    """Write the page."""
    PAGE.write_text("\n".join(_page(_load())) + "\n")


def _load() -> dict[str, Any]:
    return json.loads(RESULTS.read_text()) if RESULTS.exists() else {}  # type: ignore[no-any-return]


def _page(kept: dict[str, Any]) -> Iterator[str]:
    yield "# Conformance"
    yield ""
    yield "Written by `make conformance`; never by hand. Tempest 47.0.0, neutron-tempest-plugin 3.3.0 and the"
    yield "functional suite of Swift 2.38.3 judge a cloud of its own."
    yield "There are two scores, which are never added up:"
    for score, title in SCORES.items():
        yield ""
        yield f"## {title}"
        yield ""
        yield "| list | hosts | date | passed | failed | skipped | missing | minutes |"
        yield "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
        for name, run in sorted(kept.items()):
            if run["score"] == score:
                count = Counter(outcome["status"] for outcome in run["outcomes"])
                numbers = " | ".join(str(count[status]) for status in STATUSES)
                yield f"| [{name}](#{name}) | {run['hosts']} | {run['date']} | {numbers} | {run['seconds'] / 60:.1f} |"
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
