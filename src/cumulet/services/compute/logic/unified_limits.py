# SPDX-License-Identifier: Apache-2.0
"""Limits that the identity service keeps (`quota.driver` is `unified`): how far they reach, in oslo.limit's words.

Servers are limited by number and by each class of resources that they take in placement (`class:VCPU`), each project by
its own limits; metadata, key pairs and groups by the registered limits, whoever asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import OverQuota
from cumulet.services.compute.logic.guest import needs
from cumulet.services.compute.store import unified_limits as store
from cumulet.services.compute.types import Flavor
from cumulet.services.identity.contract import IdentityContract
from cumulet.services.placement.contract import PlacementContract

SERVERS = "servers"
OF_PROJECTS = {"instances": SERVERS, "cores": "class:VCPU", "ram": "class:MEMORY_MB"}
OF_ALL = {
    "metadata_items": "server_metadata_items",
    "injected_files": "server_injected_files",
    "injected_file_content_bytes": "server_injected_file_content_bytes",
    "injected_file_path_bytes": "server_injected_file_path_bytes",
    "key_pairs": "server_key_pairs",
    "server_groups": "server_groups",
    "server_group_members": "server_group_members",
}
_CLASS = "class:"
_SERVICE_TYPE = "compute"


class _Over(NamedTuple):
    """A resource of which there would be more than its limit."""

    name: str
    limit: int
    used: int
    more: int

    def __str__(self) -> str:
        words = f"is over limit of {self.limit} due to current usage {self.used} and delta {self.more}"
        return f"Resource {self.name} {words}"


def are_used(cloud: Cloud) -> bool:
    return cloud.settings.quota.driver == "unified"


def limits(cloud: Cloud, source: Source, project_id: str | None) -> dict[str, int]:
    """By the quotas' older names; those of a project (None: the registered ones). 0 where nothing is registered."""
    registered = _limits(cloud, source, None)
    own = registered if project_id is None else _limits(cloud, source, project_id)
    found = {older: own.get(name, 0) for older, name in OF_PROJECTS.items()}
    return {**found, **{older: registered.get(name, 0) for older, name in OF_ALL.items()}}


def used(cloud: Cloud, source: Source, project_id: str) -> dict[str, int]:
    """What a project's servers take, by the quotas' older names."""
    taken = _taken(cloud, source, project_id)
    return {older: taken[name] for older, name in OF_PROJECTS.items()}


def servers_allowed(
    cloud: Cloud, source: Source, project_id: str, each: Mapping[str, int], least: int, most: int
) -> int:
    """How many servers, between `least` and `most`, the project may have more, of which each takes `each` (by class).

    OverQuota where there may not be `least`.
    """
    taken, allowed = _taken(cloud, source, project_id), _limits(cloud, source, project_id)
    first: OverQuota | None = None
    for count in range(most, least - 1, -1):
        more = {SERVERS: count, **{_CLASS + name: amount * count for name, amount in each.items() if amount}}
        refused = _refusal(cloud, project_id, allowed, taken, more, "TooManyInstances")
        if refused is None:
            return count
        first = first or refused
    assert first is not None
    raise first


def check(cloud: Cloud, source: Source, older: str, used: int, more: int, code: str) -> None:
    """OverQuota where `more` of what is not counted by projects may not be added to what is used."""
    name = OF_ALL[older]
    refused = _refusal(cloud, None, _limits(cloud, source, None), {name: used}, {name: more}, code)
    if refused is not None:
        raise refused


def _refusal(
    cloud: Cloud,
    project_id: str | None,
    allowed: Mapping[str, int],
    used: Mapping[str, int],
    more: Mapping[str, int],
    code: str,
) -> OverQuota | None:
    asked = [_Over(name, allowed.get(name, 0), used.get(name, 0), amount) for name, amount in more.items()]
    over = [one for one in asked if one.limit < one.used + one.more]
    if not _counts(cloud, over, allowed):
        return None
    words = ", ".join(str(one) for one in over)
    return OverQuota(f"Project {project_id} is over a limit for [{words}]", code=code)


def _counts(cloud: Cloud, over: list[_Over], registered: Mapping[str, int]) -> bool:
    """Whether to refuse: -1 is no limit, and what nobody registered is one only where the settings say so."""
    if any(one.limit > 0 for one in over):
        return True
    empty = {one.name for one in over if one.limit == 0}
    if empty & registered.keys():
        return True
    chosen = cloud.settings.quota
    named = set(chosen.unified_limits_resource_list)
    return bool(empty & named if chosen.unified_limits_resource_strategy == "require" else empty - named)


def _taken(cloud: Cloud, source: Source, project_id: str) -> Counter[str]:
    """What the project has: servers, and what these take in placement or will have taken once they have a host."""
    placement = cloud.contracts.use(PlacementContract)
    found: Counter[str] = Counter({SERVERS: store.count_servers(source, project_id)})
    found.update({_CLASS + name: amount for name, amount in placement.project_usage(source, project_id).items()})
    for flavor, image, image_id in store.without_host(source, project_id):
        claim = needs.claim(msgspec.convert(flavor, Flavor), image.get("properties", {}), with_disk=bool(image_id))
        found.update({_CLASS + name: amount for name, amount in claim.items()})
    return found


def _limits(cloud: Cloud, source: Source, project_id: str | None) -> dict[str, int]:
    identity = cloud.contracts.use(IdentityContract)
    return identity.limits(source, _SERVICE_TYPE, cloud.settings.region, project_id)
