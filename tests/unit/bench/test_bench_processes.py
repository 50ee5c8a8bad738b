# SPDX-License-Identifier: Apache-2.0
"""The CPU time of process trees."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench import processes

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"
# A parent that has one child work and end, says so, and waits to be told to end.
PARENT = (
    "import subprocess, sys\nsubprocess.run([sys.executable, '-c', sys.argv[1]])\nprint('done', flush=True)\ninput()"
)
# The kernel cuts user and system time to whole ticks, each for itself.
TICKS = 2 / os.sysconf("SC_CLK_TCK")


def test_ended_children_count(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PARENT, BURN.format(seconds=0.3)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        (tmp_path / "one.pid").write_text(f"{parent.pid}\n")
        top = processes.roots(tmp_path)
        used = processes.spent(top)
        parent.communicate("\n")
    assert top == {parent.pid: "one"}
    assert 0.3 - 2 * TICKS <= used["one"] < 2


def test_living_descendants_count_for_the_nearest_root() -> None:
    argv = [sys.executable, "-c", BURN.format(seconds=0.2) + "print('done', flush=True)\ninput()"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        child.stdout.readline()
        ours = processes.spent({os.getpid(): "test"})["test"]
        apart = processes.spent({os.getpid(): "test", child.pid: "child"})
        child.communicate("\n")
    assert apart["child"] >= 0.2 - TICKS
    assert ours >= apart["child"]


def test_a_process_that_left_its_parent_is_known_by_its_session() -> None:
    leave = "import subprocess, sys, os\nsubprocess.Popen([sys.executable, '-c', sys.argv[1]])\n"
    code = BURN.format(seconds=0.2) + "print('done', flush=True)\ninput()"
    argv = [sys.executable, "-c", f"{leave}os.waitpid(-1, 0)", code]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        table = processes.read_table()
        child = next(pid for pid, usage in table.items() if usage.parent == leader.pid)
        assert table[child].session == leader.pid
        assert processes.spent({leader.pid: "leader"})["leader"] >= 0.2 - TICKS
        leader.communicate("\n")


def test_a_folder_without_living_processes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gone.pid").write_text("4194305")
    with pytest.raises(processes.NoProcesses, match="names no running process"):
        processes.roots(tmp_path)
