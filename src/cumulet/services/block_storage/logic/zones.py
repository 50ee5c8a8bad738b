# SPDX-License-Identifier: Apache-2.0
"""Availability zones: which there are, and in which of them a new volume may be."""

from __future__ import annotations

from collections.abc import Mapping

from cumulet.kernel.db import Source
from cumulet.kernel.errors import Invalid
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.store import backends as store
from cumulet.settings.block_storage import BlockStorage

OF_TYPE = "RESKEY:availability_zones"  # of a volume type's extra specs: zones, with commas between them


def found(source: Source) -> dict[str, bool]:
    """The zones of all back ends, and whether any of each takes volumes, in the back ends' order."""
    zones: dict[str, bool] = {}
    for each in store.find_all(source):
        zones[each.availability_zone] = zones.get(each.availability_zone, False) or not each.disabled
    return zones


def known(source: Source, settings: BlockStorage) -> set[str]:
    """The zones that may be named."""
    return {*found(source), settings.storage_availability_zone}


def usual(settings: BlockStorage) -> str:
    """The zone of what names none."""
    return settings.default_availability_zone or settings.storage_availability_zone


def of_type(extra_specs: Mapping[str, str]) -> list[str] | None:
    """The zones that a type's volumes may be in; None for any."""
    said = extra_specs.get(OF_TYPE)
    return None if said is None else [each.strip() for each in said.split(",") if each]


def chosen(
    source: Source, settings: BlockStorage, wanted: str | None, extra_specs: Mapping[str, str], origin: str, what: str
) -> list[str]:
    """The zones that a volume may be in: `wanted`, that of its `origin` (`what`), the settings', or the type's.

    Invalid (`InvalidAvailabilityZone`, `InvalidTypeAvailabilityZones`) where there is no such zone.
    """
    there = known(source, settings)
    own = of_type(extra_specs)
    if own is not None:
        there &= set(own)
        if not there:
            text = f"Volume type is only supported in these availability zones: {own}"
            raise Invalid(text, code="InvalidTypeAvailabilityZones")
    zone = wanted if wanted is not None else origin or (usual(settings) if own is None else "")
    if zone and zone not in there:
        if not settings.allow_availability_zone_fallback:
            raise Invalid(f"Availability zone '{zone}' is invalid.", code="InvalidAvailabilityZone")
        zone = usual(settings)
    if zone and origin and origin != zone:
        raise invalid_input(f"Volume must be in the same availability zone as the {what}")
    return [zone] if zone else sorted(there)
