# SPDX-License-Identifier: Apache-2.0
"""`make conformance`: brings up a cloud of its own, lets Tempest judge it, writes the table.

    run.py [LIST] [--workers N] [--shard 2/4 | --collect 4] [--fresh] [--only REGEX] [--keep]

A LIST stands in `lists.toml`. Outcomes are kept as they come, in `.make/conformance`: a run that was ended goes on
where it was, unless `--fresh`. Beside them lies a JUnit file for each run. When a whole list is done, in one run or in
shards, `results.json` and `docs/conformance.md` are written, with the difference to the run before.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conformance import clouds, junit, lists, report, swift, tempest  # noqa: E402
from conformance.progress import Progress  # noqa: E402

FOLDER = ROOT / ".make" / "conformance"


def main() -> int:
    """Exit status: 0 nothing failed, 1 something did."""
    words = arguments()
    wanted = lists.load(words.list)
    if words.collect:
        return conclude(wanted, collected(wanted, words.collect), recorded=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    number, count = words.shard
    tests = lists.shard(wanted.tests, number, count, report.durations(wanted.name))
    if words.only:
        tests = tuple(test for test in tests if re.search(words.only, test))
    name = run_name(wanted.name, number, count) + ("-only" if words.only else "")
    progress = Progress(FOLDER / f"{name}.jsonl", f"{wanted.digest}/{len(tests)}")
    if progress.folder:
        clouds.remove_left_behind(Path(progress.folder))
    play(wanted, tests, progress, words)
    outcomes = settle(tests, progress.outcomes)
    junit.write(FOLDER / f"{name}.xml", name, outcomes, progress.seconds)
    whole = count == 1 and not words.only
    if whole:
        report.record(wanted, outcomes, progress.seconds)
    return conclude(wanted, outcomes, recorded=whole)


def arguments() -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("list", nargs="?", default="server-boots", help="a list's name (default: server-boots)")
    parser.add_argument("--workers", type=int, default=2, help="tests at a time")
    parser.add_argument("--shard", type=_shard, default=(1, 1), metavar="I/N", help="run this share of the list")
    parser.add_argument("--collect", type=int, default=0, metavar="N", help="only join the outcomes of N shards")
    parser.add_argument("--fresh", action="store_true", help="begin anew where a run was ended")
    parser.add_argument("--only", metavar="REGEX", help="run these tests of the list, and record nothing")
    parser.add_argument("--keep", action="store_true", help="leave the cloud and its folder for a look")
    return parser.parse_args()


def play(wanted: lists.List, tests: tuple[str, ...], progress: Progress, words: argparse.Namespace) -> None:
    """Run what is not done yet, on a new cloud, keeping each outcome at once."""
    left = [test for test in tests if test not in progress.outcomes or progress.finished or words.fresh]
    print(f"{wanted.name}: {len(tests)} tests, {len(tests) - len(left)} done before")
    judge = swift if wanted.judge == "swift" else tempest
    judge.install()
    folder = Path(tempfile.mkdtemp(prefix="cumulet-conformance-"))
    progress.open(folder, words.fresh)
    cloud = clouds.make(folder, wanted)
    try:
        cloud.open()
        with judge.ready(cloud, wanted, folder):
            for outcome in judge.judge(folder, left, words.workers):
                progress.add(outcome)
                print(f"{outcome['status']:<8}{outcome['seconds']:>6} s  {outcome['id']}", flush=True)
    finally:
        if words.keep:
            print(f"kept: {folder}")
        else:
            cloud.close()
            shutil.rmtree(folder, ignore_errors=True)
    progress.finish()


def settle(tests: tuple[str, ...], found: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """One outcome for each test: its own, that of its class's set-up, or `missing`."""
    settled = []
    for test in tests:
        whole = found.get(f"{lists.class_of(test)}.*", {})
        missing = {"status": "missing", "seconds": 0.0, "reason": "not run", **whole}
        settled.append({**found.get(test, missing), "id": test})
    return settled


def collected(wanted: lists.List, count: int) -> list[dict[str, Any]]:
    """Record the outcomes that `count` shards left in `.make/conformance`. SystemExit where one is not done."""
    outcomes, seconds = [], 0.0
    for number in range(1, count + 1):
        tests = lists.shard(wanted.tests, number, count, report.durations(wanted.name))
        path = FOLDER / f"{run_name(wanted.name, number, count)}.jsonl"
        progress = Progress(path, f"{wanted.digest}/{len(tests)}")
        if not progress.finished:
            raise SystemExit(f"shard {number} of {count} is not done: {path}")
        outcomes += settle(tests, progress.outcomes)
        seconds = max(seconds, progress.seconds)
    report.record(wanted, outcomes, seconds)
    return outcomes


def conclude(wanted: lists.List, outcomes: list[dict[str, Any]], *, recorded: bool) -> int:
    """Print what failed and, where the whole list was judged, write the page and print the difference."""
    bad = [outcome for outcome in outcomes if outcome["status"] in ("failed", "missing")]
    for outcome in bad:
        print(f"\n{outcome['status'].upper()} {outcome['id']}\n{outcome['reason']}")
    print("\n" + report.summary(outcomes))
    if recorded:
        report.write()
        for line in report.difference(wanted.name):
            print(line)
    return 1 if bad else 0


def run_name(name: str, number: int, count: int) -> str:
    """What a run's files are called."""
    return name if count == 1 else f"{name}.shard-{number}-of-{count}"


def _shard(text: str) -> tuple[int, int]:
    number, _, count = text.partition("/")
    return int(number), int(count)


if __name__ == "__main__":
    sys.exit(main())
