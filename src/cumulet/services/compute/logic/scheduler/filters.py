# SPDX-License-Identifier: Apache-2.0
"""Filters by what a host is and what is on it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from cumulet.kernel import json_query
from cumulet.services.compute.logic.scheduler import operators
from cumulet.services.compute.logic.scheduler.asked import Asked
from cumulet.services.compute.logic.scheduler.place import Place

# Whether the server may be there. A filter knows nothing of other places, and changes nothing.
Filter = Callable[[Place, Asked], bool]

_SCOPE = "capabilities"
# Names of one thing in images' words (nova.objects.fields).
_ARCHITECTURES = {
    "amd64": "x86_64",
    "x64": "x86_64",
    "i386": "i686",
    "i486": "i686",
    "i586": "i686",
    "arm64": "aarch64",
}
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
_NATIVE = {"x86_64": frozenset({"x86_64", "i686"})}


def everywhere(_place: Place, _asked: Asked) -> bool:
    return True


def enabled(place: Place, _asked: Asked) -> bool:
    """Whether the host takes new servers; whether it is up is asked of all that are left in the end."""
    return not place.host.disabled


def able(place: Place, asked: Asked) -> bool:
    """Whether the host has what the flavor asks for under `capabilities:`, or without a scope under a name it has."""
    wanted = {key: value for key, value in asked.flavor.extra_specs.items() if key.partition(":")[0] == _SCOPE}
    plain = {key: value for key, value in asked.flavor.extra_specs.items() if ":" not in key}
    if not wanted and not plain:
        return True
    facts = place.facts()
    wanted |= {f"{_SCOPE}:{key}": value for key, value in plain.items() if key in facts}
    return all(_has(facts, key.split(":")[1:], value) for key, value in wanted.items())


def suits_image(place: Place, asked: Asked) -> bool:
    """Whether the host runs the architecture, by the hypervisor and in the mode that the image names."""
    capabilities, image = place.host.capabilities, asked.image
    architecture = image.get("hw_architecture") or asked.settings.image_properties_default_architecture
    own = str(capabilities["architecture"])
    if architecture and _canonical(architecture) not in _NATIVE.get(own, {own}):
        return False
    kinds = {
        str(capabilities["hypervisor"]).lower(),
        "qemu",
        *(("kvm",) if capabilities["accelerator"] == "kvm" else ()),
    }
    if (kind := image.get("img_hv_type")) and kind.lower() not in kinds:
        return False
    if (mode := image.get("hw_vm_mode")) and mode.lower() != "hvm":
        return False
    return _is_version(place.version, image.get("img_hv_requested_version", ""))


def not_busy(place: Place, asked: Asked) -> bool:
    return place.busy < asked.settings.max_io_ops_per_host


def not_busy_by_aggregate(place: Place, asked: Asked) -> bool:
    return place.busy < _least(place, "max_io_ops_per_host", asked.settings.max_io_ops_per_host)


def not_full(place: Place, asked: Asked) -> bool:
    return len(place.servers) < asked.settings.max_instances_per_host


def not_full_by_aggregate(place: Place, asked: Asked) -> bool:
    most = _least(place, "max_instances_per_host", asked.settings.max_instances_per_host)
    return len(place.servers) < most


def isolated(place: Place, asked: Asked) -> bool:
    """Whether host and image are both among the isolated ones, or neither; see the settings."""
    settings = asked.settings
    host_is = place.name in settings.isolated_hosts
    if not settings.isolated_images:
        return not (settings.restrict_isolated_hosts_to_isolated_images and host_is)
    image_is = asked.server.image_id in settings.isolated_images
    return image_is == host_is if settings.restrict_isolated_hosts_to_isolated_images else host_is or not image_is


def queried(place: Place, asked: Asked) -> bool:
    """Whether the host meets the hint `query`; one that is no condition is met nowhere."""
    words = asked.hints.get("query")
    if not words:
        return True
    try:
        return isinstance(words, str) and json_query.holds(words, place.facts())
    except json_query.BadQuery:
        return False


def measured(place: Place, asked: Asked) -> bool:
    """Whether the host tells of all metrics that are weighed."""
    names = {each.partition("=")[0] for each in asked.settings.metrics_weight_setting}
    return names <= set(place.host.usage.get("metrics", {}))


def _has(facts: dict[str, Any], path: list[str], wanted: str) -> bool:
    found: Any = facts
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found is not None and operators.fits(str(found), wanted)


def _canonical(architecture: str) -> str:
    return _ARCHITECTURES.get(architecture.lower(), architecture.lower())


def _is_version(version: int, wanted: str) -> bool:
    """Whether 7002009 (7.2.9) meets all of `>=7.0,<8`."""
    own = (version // 1_000_000, version // 1000 % 1000, version % 1000)
    return all(_meets(own, condition.strip()) for condition in wanted.split(",") if condition.strip())


def _meets(own: tuple[int, int, int], condition: str) -> bool:
    sign = condition[: len(condition) - len(condition.lstrip("<>=!"))]
    parts = condition[len(sign) :].strip().split(".")
    if len(parts) > len(own) or not all(part.isascii() and part.isdigit() for part in parts):
        return False
    other = tuple(int(part) for part in parts) + (0,) * (len(own) - len(parts))
    compare = _SIGNS.get(sign)
    return compare is not None and compare(own, other)


def _least(place: Place, key: str, usual: int) -> int:
    """The least of what the host's aggregates say; the usual where they say nothing, or nonsense."""
    try:
        return min((int(each) for each in place.said(key)), default=usual)
    except ValueError:
        return usual


FILTERS: dict[str, Filter] = {
    "AllHostsFilter": everywhere,
    "ComputeFilter": enabled,
    "ComputeCapabilitiesFilter": able,
    "ImagePropertiesFilter": suits_image,
    "IoOpsFilter": not_busy,
    "AggregateIoOpsFilter": not_busy_by_aggregate,
    "NumInstancesFilter": not_full,
    "AggregateNumInstancesFilter": not_full_by_aggregate,
    "IsolatedHostsFilter": isolated,
    "JsonFilter": queried,
    "MetricsFilter": measured,
}
