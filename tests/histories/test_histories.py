# SPDX-License-Identifier: Apache-2.0
"""Stories of clients, disks, hosts and wires: what clients were told is what the store promises.

`HISTORIES=1000 HISTORY_SEED=7 pytest tests/histories/test_histories.py` tells other stories; a failure names its seed.

Few seeds meet a fault that shows at one moment alone: a quorum of one, a POST that one replica took, fragments in one
step, a newest read by whoever is first, a row behind a sync point, a tombstone that a plain read passes over, a handoff
that is emptied too early, a damaged body that goes on. Each has a test of its own in `tests/drivers/object_store`
(`test_rare_promises.py`, `test_cluster_faults.py`, `test_coded_faults.py`).
"""

from __future__ import annotations

import os

import pytest

from histories.stories import CODED, play

COUNT = int(os.environ.get("HISTORIES", "12"))
SEED = int(os.environ.get("HISTORY_SEED", "2"))


@pytest.mark.timeout(60 + COUNT * 10)
def test_histories():
    for seed in range(SEED, SEED + COUNT):
        wrong = play(seed)
        assert not wrong, f"HISTORY_SEED={seed} HISTORIES=1: " + "\n".join(wrong[:5])


@pytest.mark.timeout(60 + COUNT * 10)
def test_histories_of_fragments():
    for seed in range(SEED, SEED + (COUNT + 3) // 4):
        wrong = play(seed, CODED)
        assert not wrong, f"HISTORY_SEED={seed} HISTORIES=1: " + "\n".join(wrong[:5])
