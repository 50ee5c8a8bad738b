# SPDX-License-Identifier: Apache-2.0
"""The control plane killed, and every step refused, at every place of every flow; on fake drivers."""

from __future__ import annotations

import pytest

from kills import matrix
from kills.scenarios import SCENARIOS
from kills.world import IMAGE
from support.web import Page, serve

pytestmark = pytest.mark.timeout(600)


def test_every_flow_has_a_scenario():
    assert sorted(SCENARIOS) == sorted(matrix.FLOWS)


@pytest.mark.parametrize("place", matrix.CONTROL)
def test_a_kill_of_the_control_plane(world, place):
    assert matrix.run(world, matrix.flow_of(place), matrix.wishes(place)) == [], world.cloud.last_words()


def test_a_kill_in_the_middle_of_a_download(world):
    with serve() as web:
        web.pages["/disk"] = Page(b"x" * 3_000_000)
        image = world.ask("POST", f"{IMAGE}/images", {"disk_format": "raw", "container_format": "bare"})["id"]
        world.cloud.wish("image.fetch")
        method = {"name": "web-download", "uri": f"{web.url}/disk"}
        world.begin("POST", f"{IMAGE}/images/{image}/import", {"method": method})
        world.rest()
        assert world.cloud.ungranted() == []
        assert len(web.asked) == 2  # it begins anew
    found = world.ask("GET", f"{IMAGE}/images/{image}")
    assert (found["status"], found["size"]) == ("active", 3_000_000), world.cloud.last_words()
    assert world.findings() == []
    world.clear()
    assert world.findings() == []


@pytest.mark.parametrize("place", matrix.REFUSED)
def test_a_step_that_cannot_be_done(world, place):
    assert matrix.run(world, matrix.flow_of(place), [f"{place} fail"]) == [], world.cloud.last_words()
