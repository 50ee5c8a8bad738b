# SPDX-License-Identifier: Apache-2.0
"""Filters of lists mean what Python's own words for them mean."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.store import regions, services
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Service

TEXT = st.text("abAB%_\\'é", max_size=4)
MEANING: dict[str, Callable[[str, str], bool]] = {
    "equals": str.__eq__,
    "contains": lambda whole, part: part in whole,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(TEXT, unique=True, max_size=5), value=TEXT.filter(bool), how=st.sampled_from(sorted(MEANING)))
def test_a_filter_finds_what_it_says(cloud: Cloud, names: list[str], value: str, how: str) -> None:
    def write(tx: object) -> list[Service]:
        for old in services.find_all(tx):
            services.remove(tx, old.id)
        for number, name in enumerate(names):
            services.add(tx, Service(str(number), "type", name, None, True, {}))
        return services.find_all(tx, [Filter("name", value, how)])

    found = {service.name for service in cloud.db.write(write)}
    assert found == {name for name in names if MEANING[how](name, value)}


@pytest.mark.parametrize("how", sorted(MEANING))
def test_a_folded_filter_takes_any_case(cloud: Cloud, how: str) -> None:
    service = Service("1", "type", "Delphi", None, True, {})
    cloud.db.write(lambda tx: services.add(tx, service))
    part = {"equals": "DELPHI", "contains": "ELPH", "startswith": "dEL", "endswith": "PHI"}[how]
    assert [one.id for one in services.find_all(cloud.db, [Filter("name", part, how, folded=True)])] == ["1"]
    assert not services.find_all(cloud.db, [Filter("name", part, how)])


def test_no_value_means_none(cloud: Cloud) -> None:
    assert [one.id for one in regions.find_all(cloud.db)] == ["RegionOne"]
    assert not services.find_all(cloud.db, [Filter("name", None)])
