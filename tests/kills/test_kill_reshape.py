# SPDX-License-Identifier: Apache-2.0
"""A reshape killed before any of its statements leaves all as it was, or all as it is to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cumulet.kernel.db.dialects.postgres import Postgres
from kills.reshaping import DISK, HOST, SERVERS

PROGRAM = Path(__file__).with_name("reshaping.py")
STATE = ("has", "holds", "generations", "consumers", "found")
STEP = "1" if os.environ.get("KILLS") == "all" else "6"  # statements from one kill to the next
FEWEST = 5  # kills

pytestmark = pytest.mark.timeout(300)


def test_a_reshape_is_done_or_not_done(empty, tmp_path):
    where = empty.dialect.url if isinstance(empty.dialect, Postgres) else str(tmp_path / "reshaped.db")
    done = subprocess.run(
        [sys.executable, PROGRAM, where, STEP], capture_output=True, text=True, check=False, timeout=280
    )
    assert done.returncode == 0, done.stderr
    *kills, last = map(json.loads, done.stdout.splitlines())
    before, after = ({name: each[name] for name in STATE} for each in (kills[0], last))
    assert before["has"] == {HOST: ["DISK_GB", "VCPU"], DISK: []}
    assert after["has"] == {HOST: ["VCPU"], DISK: ["DISK_GB"]}
    assert after["holds"] == {server: {HOST: {"VCPU": 1}, DISK: {"DISK_GB": 10}} for server in SERVERS}
    assert before["found"] == [{HOST: {"VCPU": 1, "DISK_GB": 80}}]
    assert after["found"] == [{HOST: {"VCPU": 1}, DISK: {"DISK_GB": 80}}]
    assert len(kills) > FEWEST
    assert all(kill["killed"] for kill in kills)
    assert not last["killed"]
    for kill in kills:
        assert {name: kill[name] for name in STATE} in (before, after), kill
