# SPDX-License-Identifier: Apache-2.0
"""A replica killed in the middle of a flow stays dead, and the other brings the flow to its end; on PostgreSQL."""

from __future__ import annotations

import os
import random

import pytest

from kills import matrix

pytestmark = pytest.mark.timeout(600)

# Each costs the length of a lease, so that the default suite takes a part; KILLS=all takes every place.
SHARE = 1.0 if os.environ.get("KILLS") == "all" else 0.15
_chosen = random.Random(3)
PLACES = [place for place in matrix.CONTROL if _chosen.random() < SHARE]


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_of_a_replica(scaled_world, place):
    found = matrix.run(scaled_world, matrix.flow_of(place), matrix.wishes(place), alone=True)
    assert found == [], scaled_world.cloud.last_words()
