# SPDX-License-Identifier: Apache-2.0
"""Settings of the choice of hosts for servers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cumulet.settings.base import Count, Section

Pair = Annotated[str, msgspec.Meta(pattern=r"^[^=,]+=-?[0-9]+(\.[0-9]+)?$")]


class Scheduler(Section, frozen=True, kw_only=True):
    """The choice of hosts, under the names of Nova's `[filter_scheduler]` and with its defaults.

    `enabled_filters` look at each host in their order; on besides Nova's own are the two that follow the hints
    `same_host` and `different_host`, and those of NUMA nodes and PCI devices. `weight_classes` say which of the hosts
    that are left is best, each as much as its multiplier says; of several that are best, and of the best
    `host_subset_size`, any is taken. A server that a host fails to build is built on another one, until `max_attempts`
    hosts have failed. The names and weights of metrics and of images' properties are pairs (`name=1.0`).
    """

    enabled_filters: tuple[str, ...] = (
        "ComputeFilter",
        "ComputeCapabilitiesFilter",
        "ImagePropertiesFilter",
        "ServerGroupAntiAffinityFilter",
        "ServerGroupAffinityFilter",
        "SameHostFilter",
        "DifferentHostFilter",
        "NUMATopologyFilter",
        "PciPassthroughFilter",
    )
    weight_classes: tuple[str, ...] = ("nova.scheduler.weights.all_weighers",)
    max_attempts: Annotated[int, msgspec.Meta(ge=1)] = 3
    host_subset_size: Count = 1
    max_io_ops_per_host: int = 8
    max_instances_per_host: Count = 50
    ram_weight_multiplier: float = 1.0
    cpu_weight_multiplier: float = 1.0
    disk_weight_multiplier: float = 1.0
    io_ops_weight_multiplier: float = -1.0
    num_instances_weight_multiplier: float = 0.0
    hypervisor_version_weight_multiplier: float = 1.0
    build_failure_weight_multiplier: float = 1_000_000.0
    pci_weight_multiplier: Annotated[float, msgspec.Meta(ge=0)] = 1.0
    soft_affinity_weight_multiplier: float = 1.0
    soft_anti_affinity_weight_multiplier: float = 1.0
    image_props_weight_multiplier: float = 0.0
    image_props_weight_setting: tuple[Pair, ...] = ()
    metrics_weight_multiplier: float = 1.0
    metrics_weight_setting: tuple[Pair, ...] = ()
    metrics_weight_of_unavailable: float = -10_000.0
    isolated_images: tuple[str, ...] = ()
    isolated_hosts: tuple[str, ...] = ()
    restrict_isolated_hosts_to_isolated_images: bool = True
    aggregate_image_properties_isolation_namespace: str = ""
    aggregate_image_properties_isolation_separator: str = "."
    image_properties_default_architecture: Literal["", "x86_64", "i686", "aarch64", "ppc64le", "s390x", "riscv64"] = ""
