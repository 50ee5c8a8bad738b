# SPDX-License-Identifier: Apache-2.0
"""Places where tests have processes killed: one wish is granted once, to the first who comes by."""

from __future__ import annotations

import signal
import subprocess
import sys

CHILD = """
from cumulet.kernel import errors, faults
for place in ("a", "b", "c"):
    try:
        faults.point(place)
        print(place)
    except errors.Conflict as error:
        print("failed", error.code)
at_work = faults.verb.set("v")
faults.inside()
faults.verb.reset(at_work)
faults.inside()
"""


def walk(faults):
    environment = {"CUMULET_FAULTS": str(faults)}
    return subprocess.run(
        [sys.executable, "-u", "-c", CHILD], env=environment, capture_output=True, text=True, timeout=60
    )


def test_wishes_are_granted_once_each_in_any_order(tmp_path):
    faults = tmp_path / "faults"
    faults.write_text("c\nb fail\nelsewhere\n")
    first = walk(faults)
    assert (first.returncode, first.stdout.split()) == (-signal.SIGKILL, ["a", "failed", "InjectedFault"])
    assert faults.read_text() == "elsewhere\n"
    assert walk(faults).stdout.split() == ["a", "b", "c"]


def test_the_last_wish_takes_the_file_along(tmp_path):
    faults = tmp_path / "faults"
    faults.write_text("a kill")
    assert walk(faults).returncode == -signal.SIGKILL
    assert not faults.exists()


def test_places_are_noted_where_somebody_wants_to_know_them(tmp_path):
    seen = tmp_path / "faults.seen"
    seen.touch()
    assert walk(tmp_path / "faults").returncode == 0
    assert seen.read_text().split() == ["a", "b", "c", "v:inside"]
