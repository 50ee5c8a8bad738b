# SPDX-License-Identifier: Apache-2.0
"""The standard names are those of OpenStack's own packages."""

from __future__ import annotations

import os_resource_classes
import os_traits

from cumulet.services.placement.logic import standard


def test_the_standard_traits_are_those_of_os_traits():
    assert standard.traits() == set(os_traits.get_traits())


def test_the_standard_classes_are_those_of_os_resource_classes():
    assert list(standard.classes()) == os_resource_classes.STANDARDS


def test_a_custom_name_is_told_from_others():
    assert standard.is_custom("CUSTOM_A_1")
    assert not any(map(standard.is_custom, ("CUSTOM_", "VCPU", "CUSTOM_a", "CUSTOM_A\n", "CUSTOM_" + "A" * 249)))
