# SPDX-License-Identifier: Apache-2.0
"""Every command of `openstack` for identity, the key manager, placement and images, run for real: see `table.py`."""

from __future__ import annotations

import pytest

from clients.table import Teller, commands, stories, told

pytestmark = pytest.mark.clients

GROUPS = ("openstack.identity.v3", "openstack.key_manager.v1", "openstack.placement.v1", "openstack.image.v2")
# What is not run, and why.
LEFT_OUT = {
    "ca get": "Barbican has no certificate authorities any more",
    "ca list": "Barbican has no certificate authorities any more",
}


@pytest.mark.parametrize("name", stories())
def test_a_story(cloud, name, tmp_path):
    Teller(cloud, name, tmp_path).tell(stories()[name])


def test_every_command_is_told_of():
    known = commands(*GROUPS)
    assert len(known) > 100
    run = set(told(known))
    assert known - run == LEFT_OUT.keys()
