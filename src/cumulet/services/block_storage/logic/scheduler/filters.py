# SPDX-License-Identifier: Apache-2.0
"""Filters: by what a back end has and can do, by where other volumes and servers are, by what failed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from cumulet.kernel import json_query
from cumulet.services.block_storage.logic.scheduler import functions, operators
from cumulet.services.block_storage.logic.scheduler.asked import Asked
from cumulet.services.block_storage.logic.scheduler.place import Place

LOG = logging.getLogger(__name__)

# Whether the volume may be there. A filter knows nothing of other places, and changes nothing.
Filter = Callable[[Place, Asked], bool]

_SCOPE = "capabilities"


def in_zone(place: Place, asked: Asked) -> bool:
    return not asked.zones or place.backend.availability_zone in asked.zones


def has_room(place: Place, asked: Asked) -> bool:
    """Whether the size can be promised: as often as the operator allows it, or where it is not thin, once."""
    if asked.exists_on == place.name or asked.size == 0:
        return True
    return place.room.total > 0 and place.room.left(thin=asked.thin) >= asked.size


def able(place: Place, asked: Asked) -> bool:
    """Whether it can do what the type asks for, under a name without a scope or with the scope `capabilities`."""
    if asked.attached and place.capabilities["online_extend_support"] is False:
        return False
    return satisfies(place.capabilities, asked.extra_specs)


def satisfies(capabilities: Mapping[str, Any], extra_specs: Mapping[str, str]) -> bool:
    """Whether capabilities are those that extra specs ask for; specs of other scopes are no matter."""
    for key, wanted in extra_specs.items():
        path = key.split(":")
        if len(path) > 1 and path[0] != _SCOPE:
            continue
        found: Any = capabilities
        for part in path[1:] if path[0] == _SCOPE else path:
            found = found[part] if isinstance(found, Mapping) and part in found else _NOTHING
        each = found if isinstance(found, list) else [found]
        if not any(one is not _NOTHING and operators.fits(one, wanted) for one in each):
            return False
    return True


def driver(place: Place, asked: Asked) -> bool:
    return functions.passes(place, asked)


def different(place: Place, asked: Asked) -> bool:
    """Whether none of the volumes of the hint `different_host` is there."""
    named = hinted(asked, "different_host")
    return named is not None and all(place.facts.pools_of.get(each) != place.name for each in named)


def same(place: Place, asked: Asked) -> bool:
    """Whether one of the volumes of the hint `same_host` is there."""
    named = hinted(asked, "same_host")
    if named is None:
        return False
    return not named or any(place.facts.pools_of.get(each) == place.name for each in named)


def local(place: Place, asked: Asked) -> bool:
    """Whether its host has the server of the hint `local_to_instance`."""
    server = asked.hints.get("local_to_instance")
    return not server or place.facts.host_of(str(server)) in place.backend.hosts


def queried(place: Place, asked: Asked) -> bool:
    """Whether it meets the hint `query`; one that is no condition is met nowhere."""
    words = asked.hints.get("query")
    if not words:
        return True
    facts = {**place.state, "capabilities": place.capabilities}
    try:
        return isinstance(words, str) and json_query.holds(words, facts)
    except json_query.BadQuery:
        return False


def untried(place: Place, asked: Asked) -> bool:
    return place.name not in asked.tried


def hinted(asked: Asked, name: str) -> list[str] | None:
    """The volumes of a hint that is one id or several; None where it is neither."""
    value = asked.hints.get(name, [])
    listed = [value] if isinstance(value, str) else value
    return listed if isinstance(listed, list) and all(isinstance(each, str) and each for each in listed) else None


_NOTHING: Any = object()

FILTERS: dict[str, Filter] = {
    "AvailabilityZoneFilter": in_zone,
    "CapacityFilter": has_room,
    "CapabilitiesFilter": able,
    "DriverFilter": driver,
    "DifferentBackendFilter": different,
    "SameBackendFilter": same,
    "InstanceLocalityFilter": local,
    "JsonFilter": queried,
    "IgnoreAttemptedHostsFilter": untried,
}
