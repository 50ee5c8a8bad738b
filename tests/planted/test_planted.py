# SPDX-License-Identifier: Apache-2.0
"""Each machine is red with a fault planted, for the right reason; that it is green without, its own tests show.

`faults.toml` holds the faults: the machine (a name for people), the words for pytest that run its smallest part, the
module, the words exchanged in it, and what the report must then say. Nothing in the product knows of this: the fault is
in the source that the test's own process imports (`site/sitecustomize.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FAULTS: list[dict[str, Any]] = tomllib.loads((HERE / "faults.toml").read_text())["fault"]
MACHINES = {
    *("persona", "fuzz", "rooms", "kill", "audit", "walk", "recorded", "backup", "rollback", "oracle", "leaks"),
    *("hosts", "histories"),
}
PATIENCE = 400  # seconds
CALM = "8"  # seconds: what a fault leaves behind stays, however long one looks; two rounds of repairs are enough

pytestmark = pytest.mark.timeout(600)


def run(words: list[str], planted: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run pytest in a process of its own, with a fault."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    paths = [str(HERE / "site"), environment.get("PYTHONPATH", "")]
    environment |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "CUMULET_PLANTED": json.dumps(planted)}
    environment["KILLS_CALM"] = CALM
    argv = [sys.executable, "-m", "pytest", "--tb=short", "--timeout", str(PATIENCE), *words]
    return subprocess.run(
        argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE + 60, check=False
    )


def test_every_machine_has_a_fault() -> None:
    assert {fault["machine"] for fault in FAULTS} == MACHINES


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["name"])
def test_the_place_for_a_fault_is_there(fault: dict[str, Any]) -> None:
    spec = find_spec(fault["module"])
    assert spec is not None
    assert spec.origin is not None
    assert Path(spec.origin).read_text().count(fault["old"]) == 1
    compile(Path(spec.origin).read_text().replace(fault["old"], fault["new"]), fault["module"], "exec")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["name"])
def test_a_fault_turns_its_machine_red(fault: dict[str, Any]) -> None:
    if fault.get("root") and os.geteuid() != 0:
        pytest.skip("its machine needs root")
    done = run(fault["run"], {name: fault[name] for name in ("module", "old", "new")})
    # 1: tests have failed. Any other code: it could not even run them.
    assert done.returncode == 1, done.stdout[-4000:] + done.stderr[-2000:]
    assert fault["says"] in done.stdout, done.stdout[-4000:]
