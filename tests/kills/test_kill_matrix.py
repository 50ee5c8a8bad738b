# SPDX-License-Identifier: Apache-2.0
"""The control plane killed, and every step refused, at every place of every flow; on fake drivers."""

from __future__ import annotations

import pytest

from kills import matrix
from kills.scenarios import SCENARIOS

pytestmark = pytest.mark.timeout(600)


def test_every_flow_has_a_scenario():
    assert sorted(SCENARIOS) == sorted(matrix.FLOWS)


@pytest.mark.parametrize("place", matrix.CONTROL)
def test_a_kill_of_the_control_plane(world, place):
    assert matrix.run(world, matrix.flow_of(place), matrix.wishes(place)) == [], world.cloud.last_words()


@pytest.mark.parametrize("place", matrix.REFUSED)
def test_a_step_that_cannot_be_done(world, place):
    assert matrix.run(world, matrix.flow_of(place), [f"{place} fail"]) == [], world.cloud.last_words()
