# SPDX-License-Identifier: Apache-2.0
"""What every network engine says that it can do, on a host where nothing stands in its way."""

from __future__ import annotations


def test_an_engine_says_what_it_can_do(lab):
    said = lab.fabric.capabilities
    assert said.driver
    assert said.namespaces
    assert said.bridge_filter
    assert said.nat
    assert said.tap
    assert said.vxlan
    assert said.missing.keys() <= {"egress"}
