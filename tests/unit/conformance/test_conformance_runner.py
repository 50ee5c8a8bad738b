# SPDX-License-Identifier: Apache-2.0
"""The conformance runner: shards, outcomes that survive a kill, settling, and its two ways to tell."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from conformance import junit, lists, report
from conformance.progress import Progress
from conformance.run import conclude, settle

TESTS = tuple(f"suite.test_{letter}.Class{number}.test_{letter}" for letter in "abcde" for number in range(4))


def test_shards_hold_each_test_once_and_keep_classes_together():
    times = {test: float(position) for position, test in enumerate(TESTS)}
    shards = [lists.shard(TESTS, number, 3, times) for number in (1, 2, 3)]
    assert sorted(test for shard in shards for test in shard) == sorted(TESTS)
    homes = [{lists.class_of(test) for test in shard} for shard in shards]
    assert not homes[0] & homes[1]
    assert not homes[1] & homes[2]
    weights = [sum(times[test] for test in shard) for shard in shards]
    assert max(weights) - min(weights) < max(times.values())


def test_a_shard_out_of_range_is_refused():
    with pytest.raises(SystemExit):
        lists.shard(TESTS, 3, 2, {})


@pytest.mark.parametrize("name", ["smoke-api", "smoke-guest", "server-boots", "apis"])
def test_every_list_loads(name):
    wanted = lists.load(name)
    assert wanted.tests
    assert wanted.score in ("api", "guest")


def test_outcomes_survive_a_kill(tmp_path: Path):
    """A process that keeps outcomes is killed with SIGKILL; the next session has all that it said it kept."""
    path = tmp_path / "run.jsonl"
    script = (
        "import sys\nfrom pathlib import Path\nfrom conformance.progress import Progress\n"
        f"run = Progress(Path({str(path)!r}), 'd')\nrun.open(Path('/tmp/one'))\n"
        "for number in range(1000):\n"
        "    run.add({'id': f't{number}', 'status': 'passed', 'seconds': 0, 'reason': ''})\n"
        "    print(number, flush=True)\n"
    )
    tests = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tests) as child:
        assert child.stdout is not None
        said = [child.stdout.readline() for _ in range(5)]
        child.send_signal(signal.SIGKILL)
    assert said[-1] == "4\n"
    with path.open("a") as sink:
        sink.write('{"outcome": {"id": "half')
    again = Progress(path, "d")
    assert {f"t{number}" for number in range(5)} <= again.outcomes.keys()
    assert not again.finished
    assert again.folder == "/tmp/one"
    again.open(tmp_path / "two")
    again.add({"id": "more", "status": "failed", "seconds": 1, "reason": "x"})
    again.finish()
    last = Progress(path, "d")
    assert last.finished
    assert last.outcomes.keys() == again.outcomes.keys()
    assert {"more", "t0"} <= last.outcomes.keys()


def test_a_finished_run_and_one_of_another_list_begin_anew(tmp_path: Path):
    run = Progress(tmp_path / "run.jsonl", "d")
    run.open(tmp_path)
    run.add({"id": "a", "status": "passed", "seconds": 0, "reason": ""})
    assert not Progress(run.path, "other").outcomes
    run.finish()
    run.open(tmp_path)
    assert not run.outcomes


def test_a_class_that_could_not_be_set_up_speaks_for_its_tests():
    whole = {"suite.Class.*": {"id": "suite.Class.*", "status": "failed", "seconds": 0.0, "reason": "no network"}}
    found = settle(("suite.Class.test_a", "suite.Other.test_b"), whole)
    assert [(outcome["id"], outcome["status"]) for outcome in found] == [
        ("suite.Class.test_a", "failed"),
        ("suite.Other.test_b", "missing"),
    ]


def test_junit_says_what_happened(tmp_path: Path):
    outcomes = [
        {"id": "a.B.c", "status": "passed", "seconds": 1.5, "reason": ""},
        {"id": "a.B.d", "status": "failed", "seconds": 0.1, "reason": "Traceback\x1b\nAssertionError: 1 != 2"},
        {"id": "a.B.e", "status": "skipped", "seconds": 0, "reason": "no extension"},
        {"id": "a.B.f", "status": "missing", "seconds": 0, "reason": "not run"},
    ]
    junit.write(tmp_path / "x.xml", "smoke", outcomes, 3.0)
    suite = ElementTree.parse(tmp_path / "x.xml").getroot()
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    assert suite.find("testcase/failure").get("message") == "AssertionError: 1 != 2"


def test_scores_are_kept_apart_and_differences_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "PAGE", tmp_path / "page.md")
    one = lists.List("one", "api", 2, ("t.A.x", "t.A.y"))
    two = lists.List("two", "guest", 1, ("t.A.x",))
    outcome = {"id": "t.A.x", "status": "failed", "seconds": 2.0, "reason": "secret traceback"}
    report.record(one, [outcome, {**outcome, "id": "t.A.gone"}], 60)
    report.record(
        one, [{**outcome, "status": "passed"}, {**outcome, "id": "t.A.y", "status": "skipped", "reason": "x"}], 60
    )
    report.record(two, [outcome], 90)
    report.write()
    page = (tmp_path / "page.md").read_text()
    assert "secret" not in (tmp_path / "results.json").read_text()
    guest, api = page.index("## Guest"), page.index("## API")
    assert guest < page.index("[two](#two) | 1 |") < api < page.index("[one](#one) | 2 |")
    assert list(report.difference("one")) == [
        "failed -> passed: t.A.x",
        "new -> skipped: t.A.y",
        "failed -> not in the list any more: t.A.gone",
    ]
    assert report.durations("one") == {"t.A.x": 2.0, "t.A.y": 2.0}


@pytest.mark.parametrize(("status", "red"), [("passed", 0), ("skipped", 0), ("failed", 1), ("missing", 1)])
def test_what_fails_or_does_not_run_turns_the_run_red(status: str, red: int, capsys: pytest.CaptureFixture[str]):
    good = {"id": "t.A.x", "status": "passed", "seconds": 0.0, "reason": ""}
    bad = {"id": "t.A.y", "status": status, "seconds": 0.0, "reason": "1 != 2"}
    assert conclude(lists.List("one", "api", 1, ("t.A.x", "t.A.y")), [good, bad], recorded=False) == red
    assert ("1 != 2" in capsys.readouterr().out) == bool(red)
