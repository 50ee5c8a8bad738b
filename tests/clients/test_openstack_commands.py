# SPDX-License-Identifier: Apache-2.0
"""Every command of `openstack` for identity, keys, placement, images, compute, networks, volumes, objects."""

from __future__ import annotations

import pytest

from clients.table import Teller, commands, needs, stories, told

pytestmark = pytest.mark.clients

GROUPS = (
    "openstack.identity.v3", "openstack.key_manager.v1", "openstack.placement.v1", "openstack.image.v2",
    "openstack.compute.v2", "openstack.network.v2", "openstack.volume.v3",
    "openstack.object_store.v1", "openstack.common",
)  # fmt: skip
# What is not run, and why.
LEFT_OUT = {
    "ca get": "Barbican has no certificate authorities any more",
    "ca list": "Barbican has no certificate authorities any more",
    "network agent router set": "OVN alone has it",
    "cloud cache delete": "empties a cache of the client's own, which is off",
    "project cleanup": "of all services; its own work are lists and deletions that the others prove",
    "server ssh": "logs in to a guest: Tempest does (`compute-guest`)",
}


@pytest.mark.parametrize("name", stories())
def test_a_story(cloud, name, tmp_path, monkeypatch, request):
    story = stories()[name]
    cloud.objects_url()  # some commands ask every service that the catalogue names
    words = {word: request.getfixturevalue(word) for word in needs(story)}
    Teller(cloud, name, tmp_path, words, monkeypatch).tell(story)


def test_every_command_is_told_of():
    known = commands(*GROUPS)
    assert len(known) > 100
    assert known - set(told(known)) == LEFT_OUT.keys()
