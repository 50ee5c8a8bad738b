# SPDX-License-Identifier: Apache-2.0
"""Some random walks of every run, always the same; `make walks` goes on for long, and elsewhere each time."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from kills.walks import Walk

WALKS = int(os.environ.get("WALKS", "4"))
STEPS = int(os.environ.get("WALK_STEPS", "30"))
SEED = int(os.environ.get("WALK_SEED", "20260703"))

# Shrinking is of no use where the moments of kills decide; the deadline is the machine's business.
HOW = settings(
    max_examples=WALKS, stateful_step_count=STEPS, deadline=None, database=None, phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck), print_blob=False,
)  # fmt: skip


def walk(world):
    walking = seed(SEED)(type("Walking", (Walk,), {"world": world}))
    run_state_machine_as_test(walking, settings=HOW)


@pytest.mark.timeout(3600 if WALKS > 4 else 900)
def test_walks_on_one_machine(world):
    walk(world)
