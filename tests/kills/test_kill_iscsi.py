# SPDX-License-Identifier: Apache-2.0
"""Flows on volumes that are opened over iSCSI, and initiators outside, killed at each place; on fake drivers."""

from __future__ import annotations

import dataclasses
import secrets

import pytest

from kills import matrix
from kills.scenarios import SCENARIOS
from support.waiting import until

pytestmark = pytest.mark.timeout(600)

INITIATOR = "iqn.1993-08.org.debian:01:mine"


def _volume(world):
    name = secrets.token_hex(4)
    specs = {"name": name, "extra_specs": {"volume_backend_name": "san"}}
    world.ask("POST", f"{world.volumes_root}/types", {"volume_type": specs})
    return world.make_volume(volume_type=name)


def _server_and_volume(world):
    return world.make_server(), _volume(world)


def _attached(world):
    server, volume = _server_and_volume(world)
    world.attach(server, volume)
    world.rest()
    return server, volume


PREPARED = {
    "compute.attach_volume": _server_and_volume,
    "compute.detach_volume": _attached,
    "compute.delete": _attached,
    "block_storage.snapshot": lambda world: [_attached(world)[1]],
}
STORIES = {flow: dataclasses.replace(SCENARIOS[flow], prepare=prepare) for flow, prepare in PREPARED.items()}
# The places at which targets come and go, by flow; the others have their like elsewhere. KILLS=all takes all of them.
CONTROL = [
    place
    for place in matrix.CONTROL
    if matrix.flow_of(place) in STORIES
    and (matrix.EVERY or place.endswith(("plug:inside", "plug:undone", "take_out:inside", "take_out:undone")))
]
HOSTS = {
    "compute.attach_volume": ["volume.export:inside", "server.attach_volume:inside"],
    "compute.detach_volume": ["volume.unexport:inside"],
    "block_storage.snapshot": ["volume.snapshot:inside"],
}


@pytest.mark.parametrize("place", CONTROL)
def test_a_kill_of_the_control_plane_over_iscsi(world, place):
    flow = matrix.flow_of(place)
    assert matrix.run(world, flow, matrix.wishes(place), scenario=STORIES[flow]) == [], world.cloud.last_words()


@pytest.mark.parametrize("flow", STORIES if matrix.EVERY else HOSTS)
def test_a_kill_of_the_host_part_over_iscsi(world, flow):
    story = STORIES[flow]
    found = matrix.watch(world, flow, story) if matrix.EVERY else HOSTS[flow]
    wrong = {place: matrix.run(world, flow, [place], scenario=story) for place in found}
    assert {place: each for place, each in wrong.items() if each} == {}, world.cloud.last_words()


def test_kills_while_an_initiator_outside_comes_and_goes(world):
    volume, connector = _volume(world), {"host": "outside", "initiator": INITIATOR}
    made = world.ask("POST", f"{world.volumes_root}/attachments", {"attachment": {"volume_uuid": volume}})
    path = f"{world.volumes_root}/attachments/{made['attachment']['id']}"
    world.cloud.wish("volume.export:inside")
    now = world.ask("PUT", path, {"attachment": {"connector": connector}})["attachment"]
    world.rest()
    assert world.cloud.ungranted() == []
    assert now["connection_info"]["driver_volume_type"] == "iscsi"
    assert world.ask("GET", path)["attachment"] == now
    assert world.findings() == [], world.cloud.last_words()
    world.cloud.wish("volume.unexport:inside")
    world.ask("DELETE", path)
    world.rest()
    until(lambda: not world.cloud.ungranted())
    assert world.volume(volume)["status"] == "available"
    assert world.findings() == [], world.cloud.last_words()
    world.clear()
    assert world.findings() == [], world.cloud.last_words()
