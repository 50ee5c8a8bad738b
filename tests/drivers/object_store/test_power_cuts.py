# SPDX-License-Identifier: Apache-2.0
"""The power is cut at any moment: what was acknowledged is there, and nothing is half there."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cumulet.services.object_store.drivers.local.device import LocalDevice
from drivers.object_store import power_cuts
from drivers.object_store.crashes import check_after_a_crash
from drivers.object_store.device_benches import LocalBench, on_a_loop

CUTS = int(os.environ.get("POWER_CUTS", "6"))
STORY = """
import asyncio, os, random, sys
from pathlib import Path
from cumulet.services.object_store.drivers.local.device import LocalDevice
from drivers.object_store import device_worker
device_worker.SIZES = [0, 100, 65536, 65536, 65537, 150_000]
async def main():
    device = await LocalDevice.open(Path(sys.argv[1]), sys.argv[2])
    luck = random.Random(5)
    for turn in range(50):
        writes = (device_worker.one(device, number, luck, 1 + turn * 4 + number) for number in range(4))
        await asyncio.gather(*writes)
asyncio.run(main())
os._exit(0)
"""


class Cut(LocalBench):
    """What a cut left."""

    def __init__(self, root, name):
        self.root, self.name, self.opened = root, name, []


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
def test_the_power_is_cut(tmp_path):
    bench = LocalBench(tmp_path)

    async def open_once():
        await (await LocalDevice.open(bench.root, bench.name)).close()

    asyncio.run(open_once())
    base = tmp_path / "base"
    shutil.copytree(bench.root, base)
    trace = tmp_path / "trace"
    words = ["strace", "-f", "-y", "-xx", "-s", "1000000", "-e", f"trace={power_cuts.CALLS}", "-o", str(trace)]
    words += [sys.executable, "-c", STORY, str(bench.root), bench.name]
    path = os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])
    subprocess.run(words, check=True, timeout=100, capture_output=True, env={**os.environ, "PYTHONPATH": path})
    events = power_cuts.events(trace, bench.root)
    trace.unlink()
    said = [event.line for event in events if event.kind == "say"]
    assert sum("done" in line for line in said) == 200
    assert any((event.kind, event.file) == ("write", "catalogue.db") for event in events), "a checkpoint is among them"
    luck = random.Random(7)
    for number in range(CUTS):
        moment = luck.randrange(len(events)) + 1
        left = tmp_path / "left"
        power_cuts.cut(base, events[:moment], left, luck if number % 2 else None)
        lines = [event.line for event in events[:moment] if event.kind == "say"]
        on_a_loop(check_after_a_crash)(Cut(left, bench.name), lines=lines)
        shutil.rmtree(left)
