# SPDX-License-Identifier: Apache-2.0
"""What a cloud's processes cost: the CPU time of whole process trees, ended children included, out of `/proc`.

On a machine that others use too, times on the clock waver; the CPU time that an operation costs does so much less.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


class NoProcesses(Exception):
    """The folder names no running process."""


@dataclass(frozen=True)
class Usage:
    """One process: its parent, its session's leader, and the seconds of CPU it and its ended children have used."""

    parent: int
    session: int
    seconds: float


@dataclass(frozen=True)
class Memory:
    """How many processes a cloud is, and the MiB that they hold together."""

    processes: int
    mebibytes: float


def roots(folder: Path) -> dict[int, str]:
    """Process ids and names: from `NAME.pid` files, or of the Cumulet whose state directory this is.

    Raises NoProcesses.
    """
    files = sorted(folder.glob("*.pid"))
    found = _from_files(files) if files else _from_status(folder)
    living = {pid: name for pid, name in found.items() if (PROC / str(pid)).exists()}
    if not living:
        raise NoProcesses(f"{folder} names no running process")
    return living


def spent(top: dict[int, str]) -> dict[str, float]:
    """Seconds of CPU up to now by name, each process counted for the nearest of `top` above it (or its session)."""
    table = read_table()
    total = dict.fromkeys(top.values(), 0.0)
    for pid in table:
        name = _owner(pid, table, top)
        if name is not None:
            total[name] += table[pid].seconds
    return total


def members(top: dict[int, str]) -> list[int]:
    """The processes that are counted for any of `top`."""
    table = read_table()
    return [pid for pid in table if _owner(pid, table, top) is not None]


def held(top: dict[int, str]) -> Memory:
    """What they hold now; a page that several processes share is counted once."""
    found = [_share(pid) for pid in members(top)]
    return Memory(processes=len(found), mebibytes=sum(found) / 1024)


def _share(pid: int) -> int:
    """The process's proportional share of memory in KiB; 0 where it is gone."""
    try:
        words = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in words if line.startswith("Pss:")), 0)


def read_table() -> dict[int, Usage]:
    """All processes of the machine."""
    table = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text(errors="replace").rpartition(") ")[2].split()
            except OSError:
                continue
            table[int(entry.name)] = Usage(int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])) / _TICKS)
    return table


class Bystanders:
    """How many cores the rest of the machine has kept busy since this was made: neither the driver nor `top`."""

    def __init__(self, top: dict[int, str]) -> None:
        self._top = top
        self._began = time.monotonic()
        self._before = self._used()

    def cores(self) -> float:
        took = time.monotonic() - self._began
        return max(0.0, (self._used() - self._before) / took) if took > 0 else 0.0

    def _used(self) -> float:
        words = (PROC / "stat").read_text().splitlines()[0].split()[1:9]
        busy = sum(map(int, words)) - int(words[3]) - int(words[4])  # all but idle and waiting for disks
        return busy / _TICKS - sum(spent(self._top).values()) - time.process_time()


def _owner(pid: int, table: dict[int, Usage], top: dict[int, str]) -> str | None:
    at = pid
    for _ in range(64):
        if at in top:
            return top[at]
        usage = table.get(at)
        if usage is None:
            return None
        if usage.session in top:
            return top[usage.session]
        at = usage.parent
    return None


def _from_files(files: list[Path]) -> dict[int, str]:
    found = {}
    for file in files:
        words = file.read_text().split()
        if words and words[0].isdigit():
            found[int(words[0])] = file.stem
    return found


def _from_status(state: Path) -> dict[int, str]:
    argv = [sys.executable, "-m", "cumulet.cli", "--state", str(state), "status", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    try:
        told = json.loads(done.stdout)
    except ValueError as error:
        raise NoProcesses(f"{state}: {done.stderr.strip() or error}") from error
    found = {part["pid"]: part["name"] for part in told["parts"] if part["pid"]}
    if told["supervisor"]:
        found[told["supervisor"]] = "supervisor"
    return found
