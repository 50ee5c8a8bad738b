# SPDX-License-Identifier: Apache-2.0
"""A replica killed in the middle of a flow stays dead, and the other brings the flow to its end; on PostgreSQL."""

from __future__ import annotations

import random

import pytest

from kills import matrix

pytestmark = pytest.mark.timeout(600)

# Each costs the length of a lease, so that the default suite takes a part; KILLS=all takes every place.
SHARE = 1.0 if matrix.EVERY else 0.2
_chosen = random.Random(3)
PLACES = [place for place in matrix.CONTROL if _chosen.random() < SHARE]


# Whoever dies while a server whose build has failed goes to another host: there it is in the end, and nowhere else.
ON_THE_WAY = ["compute.boot.spawn:inside", "compute.boot.spawn:after", "server.destroy:inside"]


@pytest.mark.parametrize("place", ON_THE_WAY if matrix.EVERY else ON_THE_WAY[:1])
def test_a_kill_on_the_way_to_another_host(scaled_world, place):
    cloud = scaled_world.cloud
    cloud.wish("server.build:after fail", f"{place} kill")
    server = scaled_world.make_server()
    assert cloud.ungranted() == []
    wrong = scaled_world.findings()
    scaled_world.remove_server(server)
    scaled_world.clear()
    assert [*wrong, *scaled_world.findings()] == [], cloud.last_words()


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_of_a_replica(scaled_world, place):
    found = matrix.run(scaled_world, matrix.flow_of(place), matrix.wishes(place), alone=True)
    assert found == [], scaled_world.cloud.last_words()
