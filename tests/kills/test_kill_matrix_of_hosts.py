# SPDX-License-Identifier: Apache-2.0
"""The host part killed before, inside and after each verb of each flow; on fake drivers."""

from __future__ import annotations

import pytest

from cumulet import settings as settings_module
from cumulet.agent import Agent
from kills import matrix
from kills.scenarios import SCENARIOS
from support.cloud import FAKES

pytestmark = pytest.mark.timeout(1200)

# Verbs that change nothing on a host: a kill there is a lost answer, as for any verb.
READING = frozenset(
    {"host.inventory", "server.report", "server.console", "server.consoles", "server.diagnostics", "server.power",
     "volume.report", "volume.strangers", "volume.log_levels", "volume.set_log_levels",
     "backup.look", "network.connections", "network.look", "network.report", "server.set_password"}
)  # fmt: skip
# Verbs that no flow need use; what does is killed elsewhere.
ELSEWHERE = {
    "backup.drop_restore": "tests/drivers/block_storage/test_backups.py",
    "image.forget": "tests/drivers/image/test_image_agent.py",
    "image.prefetch": "tests/drivers/image/test_image_agent.py",
    "image.tidy": "tests/drivers/image/test_image_agent.py",
    "network.adopt": "tests/drivers/network/test_network_connections.py",
    "server.limit_disk": "tests/drivers/compute/test_hypervisor_limits.py",
    "server.place_volume": "tests/fakes/test_moves_of_attached_volumes.py",
    "server.quiesce": "tests/drivers/compute/test_quiesced_copies.py",
    "server.resize_disk": "tests/drivers/compute/test_compute_agent.py",
    "server.unquiesce": "tests/drivers/compute/test_quiesced_copies.py",
    "volume.export": "tests/kills/test_kill_iscsi.py",
    "volume.unexport": "tests/kills/test_kill_iscsi.py",
}
# Flows that ask nothing of a host.
NO_HOSTS = frozenset({"image.import", "image.location_import", "key_manager.order", "block_storage.create_group"})
_seen: dict[str, list[str]] = {}


def places_of(world, flow):
    """Those where something is done that has to be done again without harm; KILLS=all takes every one."""
    if flow not in _seen:
        _seen[flow] = [place for place in matrix.watch(world, flow) if matrix.EVERY or not _adds_nothing(place)]
    return _seen[flow]


def _adds_nothing(place):
    """Before a verb all is as after the one before it; within a verb the kernel knows places enough."""
    return place.endswith(":before") or ".fake." in place


@pytest.mark.parametrize("flow", sorted(SCENARIOS.keys() - NO_HOSTS))
def test_a_kill_of_the_host_part(world, flow):
    found = places_of(world, flow)
    assert found, f"{flow} asks nothing of a host"
    wrong = {place: matrix.run(world, flow, [place]) for place in found}
    assert {place: each for place, each in wrong.items() if each} == {}, world.cloud.last_words()


def test_every_verb_that_changes_something_is_killed(world, tmp_path):
    agent = Agent(settings_module.load(environ={}, overrides={"state": str(tmp_path), **FAKES}))
    offered = set(agent.verbs)
    agent.stop()
    killed = {place.partition(":")[0] for flow in SCENARIOS.keys() - NO_HOSTS for place in places_of(world, flow)}
    assert offered - killed - READING <= ELSEWHERE.keys()
    assert ELSEWHERE.keys() <= offered
