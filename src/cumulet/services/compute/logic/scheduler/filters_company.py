# SPDX-License-Identifier: Apache-2.0
"""Filters by the company that a server would have: its group, servers that hints name, its host's aggregates."""

from __future__ import annotations

import ipaddress
from collections import Counter

from cumulet.services.compute.logic.scheduler import operators
from cumulet.services.compute.logic.scheduler.asked import Asked
from cumulet.services.compute.logic.scheduler.filters import Filter
from cumulet.services.compute.logic.scheduler.place import Place

_SCOPE = "aggregate_instance_extra_specs"
_TENANT = "filter_tenant_id"  # what such keys begin with


def apart_from(place: Place, asked: Asked) -> bool:
    return place.name not in {asked.taken.get(each) for each in asked.hinted("different_host")}


def together_with(place: Place, asked: Asked) -> bool:
    named = asked.hinted("same_host")
    return not named or place.name in {asked.taken.get(each) for each in named}


def near_address(place: Place, asked: Asked) -> bool:
    """Whether the host's address is in the network of the hint `build_near_host_ip`, as wide as `cidr` says."""
    near = asked.hints.get("build_near_host_ip")
    if not near:
        return True
    width = str(asked.hints.get("cidr") or "/24")
    try:
        network = ipaddress.ip_network(f"{near}/{width.removeprefix('/')}", strict=False)
        return ipaddress.ip_address(str(place.host.capabilities.get("address", "127.0.0.1"))) in network
    except ValueError:
        return False


def group_together(place: Place, asked: Asked) -> bool:
    """Where the group's members are, once there are any."""
    if asked.group is None or asked.group.policy != "affinity" or not asked.members:
        return True
    return place.name in asked.members


def group_apart(place: Place, asked: Asked) -> bool:
    """Where fewer of the group's members are than its rules allow."""
    if asked.group is None or asked.group.policy != "anti-affinity":
        return True
    return Counter(asked.members)[place.name] < int(asked.group.rules.get("max_server_per_host", 1))


def aggregates_have(place: Place, asked: Asked) -> bool:
    """Whether the host's aggregates say what the flavor's extra specs want, each under its own name."""
    for key, wanted in asked.flavor.extra_specs.items():
        scope, mark, rest = key.partition(":")
        if mark and scope != _SCOPE:
            continue
        if not any(operators.fits(value, wanted) for value in place.words.get(rest if mark else key, ())):
            return False
    return True


def aggregates_admit(place: Place, asked: Asked) -> bool:
    """Whether the host's aggregates are for the server's project, where they are for some alone."""
    admitted = {value for key, values in place.words.items() if key.startswith(_TENANT) for value in values}
    return not admitted or asked.server.project_id in admitted


def aggregates_suit_image(place: Place, asked: Asked) -> bool:
    """Whether the host's aggregates say nothing else of a property than the image does."""
    space = asked.settings.aggregate_image_properties_isolation_namespace
    start = space + asked.settings.aggregate_image_properties_isolation_separator if space else ""
    return all(
        str(asked.image[key]) in values
        for key, values in place.words.items()
        if key.startswith(start) and asked.image.get(key)
    )


def aggregates_take_flavor(place: Place, asked: Asked) -> bool:
    """Whether the flavor is among those that the host's aggregates name under `instance_type`, if they name any."""
    named = place.words.get("instance_type")
    return not named or asked.flavor.name in named


FILTERS: dict[str, Filter] = {
    "DifferentHostFilter": apart_from,
    "SameHostFilter": together_with,
    "SimpleCIDRAffinityFilter": near_address,
    "ServerGroupAffinityFilter": group_together,
    "ServerGroupAntiAffinityFilter": group_apart,
    "AggregateInstanceExtraSpecsFilter": aggregates_have,
    "AggregateMultiTenancyIsolation": aggregates_admit,
    "AggregateImagePropertiesIsolation": aggregates_suit_image,
    "AggregateTypeAffinityFilter": aggregates_take_flavor,
}
