# SPDX-License-Identifier: Apache-2.0
"""Patterns of server names, as the database is asked for them."""

from __future__ import annotations

import pytest

from cumulet.services.compute.logic.patterns import like


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("web", "%web%"),
        ("^web", "web%"),
        ("web$", "%web"),
        ("^web$", "web"),
        ("a.*b", "%a%b%"),
        ("a.b", "%a_b%"),
        (r"a\.b", "%a.b%"),
        ("50%_", r"%50\%\_%"),
        (r"\\", r"%\\%"),
        (r"cost\$", "%cost$%"),
        ("(a+)+[", "%(a+)+[%"),
        ("", "%%"),
    ],
)
def test_a_pattern_becomes_one_for_the_database(pattern, wanted):
    assert like(pattern) == wanted
