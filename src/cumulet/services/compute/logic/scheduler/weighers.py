# SPDX-License-Identifier: Apache-2.0
"""Weighers: how well off a server would be at each place, as a number that only counts beside the others' numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from cumulet.services.compute.logic.scheduler.asked import Asked
from cumulet.services.compute.logic.scheduler.place import Place


class Weigher(msgspec.Struct, frozen=True):
    """`weigh` says how good a place is; `multiplier` names the setting that says how much this counts.

    An aggregate may say it otherwise for its hosts, under the same name. With `against` more is worse.
    """

    multiplier: str
    weigh: Callable[[Place, Asked], float]
    against: bool = False


def memory(place: Place, _asked: Asked) -> float:
    return place.left("MEMORY_MB")


def processors(place: Place, _asked: Asked) -> float:
    return place.left("VCPU")


def disk(place: Place, _asked: Asked) -> float:
    return place.left("DISK_GB")


def quiet(place: Place, _asked: Asked) -> float:
    return float(place.busy)


def number(place: Place, _asked: Asked) -> float:
    return float(len(place.servers))


def newest(place: Place, _asked: Asked) -> float:
    return float(place.version)


def reliable(place: Place, _asked: Asked) -> float:
    return float(place.host.failed_builds)


def group_together(place: Place, asked: Asked) -> float:
    return _members(place, asked, "soft-affinity")


def group_apart(place: Place, asked: Asked) -> float:
    return -_members(place, asked, "soft-anti-affinity")


def alike(place: Place, asked: Asked) -> float:
    """How many properties of their images its servers have in common with this one."""
    weights = _pairs(asked.settings.image_props_weight_setting)
    wanted = set(asked.image.items())
    there = Counter(pair for each in place.servers for pair in each.image.get("properties", {}).items())
    return sum(there[pair] * (weights.get(pair[0], 0.0) if weights else 1.0) for pair in wanted)


def measured(place: Place, asked: Asked) -> float:
    """The sum of the host's metrics, each as much as the settings say; without one of them, the weight for that."""
    metrics, ratios = place.host.usage.get("metrics", {}), _pairs(asked.settings.metrics_weight_setting)
    if not ratios.keys() <= metrics.keys():
        return asked.settings.metrics_weight_of_unavailable
    return sum(float(metrics[name]) * ratio for name, ratio in ratios.items())


def _pairs(setting: Iterable[str]) -> dict[str, float]:
    return {name: float(value) for name, _, value in (each.partition("=") for each in setting)}


def _members(place: Place, asked: Asked, policy: str) -> float:
    if asked.group is None or asked.group.policy != policy:
        return 0.0
    return float(Counter(asked.members)[place.name])


WEIGHERS: dict[str, Weigher] = {
    "RAMWeigher": Weigher("ram_weight_multiplier", memory),
    "CPUWeigher": Weigher("cpu_weight_multiplier", processors),
    "DiskWeigher": Weigher("disk_weight_multiplier", disk),
    "IoOpsWeigher": Weigher("io_ops_weight_multiplier", quiet),
    "NumInstancesWeigher": Weigher("num_instances_weight_multiplier", number),
    "HypervisorVersionWeigher": Weigher("hypervisor_version_weight_multiplier", newest),
    "BuildFailureWeigher": Weigher("build_failure_weight_multiplier", reliable, against=True),
    "ServerGroupSoftAffinityWeigher": Weigher("soft_affinity_weight_multiplier", group_together),
    "ServerGroupSoftAntiAffinityWeigher": Weigher("soft_anti_affinity_weight_multiplier", group_apart),
    "ImagePropertiesWeigher": Weigher("image_props_weight_multiplier", alike),
    "MetricsWeigher": Weigher("metrics_weight_multiplier", measured),
}
