# SPDX-License-Identifier: Apache-2.0
"""What every network engine says that it can do, on a host where nothing stands in its way."""

from __future__ import annotations

import os

import pytest
from network_labs import FabricLab

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import HostState, NetworkState


def test_an_engine_says_what_it_can_do(lab):
    said = lab.fabric.capabilities
    assert said.driver
    assert said.namespaces
    assert said.bridge_filter
    assert said.nat
    assert said.tap
    assert said.vxlan
    assert said.missing.keys() <= {"egress", "gre", "geneve"}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces")
def test_without_a_way_outside_all_else_is_there():
    """The namespace that stands for the host has no way out that pasta could use."""
    lab = FabricLab(egress=True)
    try:
        assert not lab.fabric.capabilities.egress
        assert "pasta does not run here" in lab.fabric.capabilities.missing["egress"]
        applied = lab.apply(HostState(generation=1, networks=[NetworkState(id="public", mtu=1500, physical="public")]))
        assert applied.failed == {}
    finally:
        lab.close()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps")
def test_what_an_agent_left_that_was_killed_while_it_tried_is_gone_with_the_next():
    lab = FabricLab()
    try:
        scratch = Namespace(names.scratch_space(lab.mark))
        assert scratch.create(), "the one of this agent is gone"
        lab.restart()
        assert not scratch.exists()
    finally:
        lab.close()
