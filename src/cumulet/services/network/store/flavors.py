# SPDX-License-Identifier: Apache-2.0
"""Which service profiles flavors have."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.tables import flavor_profile
from cumulet.services.network.types.flavors import FlavorProfile

_OLDEST = ("created_at", "service_profile_id")


def of_flavors(source: Source, keys: Iterable[str]) -> list[FlavorProfile]:
    """The profiles of these flavors, in the order in which they came to be theirs."""
    return sql.find_all(source, flavor_profile, FlavorProfile, _OLDEST, flavor_id=list(keys))


def is_used(source: Source, profile_id: str) -> bool:
    """Whether any flavor has the profile."""
    return bool(sql.find_all(source, flavor_profile, FlavorProfile, _OLDEST, service_profile_id=[profile_id]))


def add(tx: Tx, row: FlavorProfile) -> None:
    sql.add(tx, flavor_profile, row)


def remove(tx: Tx, flavor_id: str, profile_id: str) -> None:
    sql.remove(tx, flavor_profile, flavor_id=flavor_id, service_profile_id=profile_id)
