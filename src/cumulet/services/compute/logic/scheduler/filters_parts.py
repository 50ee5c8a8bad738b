# SPDX-License-Identifier: Apache-2.0
"""Filters and a weigher by the parts of a host that a server is to have for itself: NUMA nodes and PCI devices."""

from __future__ import annotations

from cumulet.services.compute.logic import parts
from cumulet.services.compute.logic.scheduler.asked import Asked
from cumulet.services.compute.logic.scheduler.filters import Filter
from cumulet.services.compute.logic.scheduler.place import Place
from cumulet.services.compute.logic.scheduler.weighers import Weigher

MOST_DEVICES = 100  # more of them make no difference


def has_nodes(place: Place, asked: Asked) -> bool:
    """Whether the host has nodes for the server's, with processors, memory and pages that nobody else has."""
    return asked.parts.nodes is None or parts.fits_nodes(place.host, place.held, asked.parts)


def has_devices(place: Place, asked: Asked) -> bool:
    """Whether the host has the PCI devices that the server wants, and nobody else does."""
    return not asked.parts.devices or parts.fits_devices(place.host, place.held, asked.parts)


def few_devices(place: Place, _asked: Asked) -> float:
    """Hosts with devices are for servers that want some, and those that have few of them left come first."""
    if not place.host.capabilities.get("pci"):
        return float(MOST_DEVICES)
    return float(MOST_DEVICES - min(parts.free_devices(place.host, place.held), MOST_DEVICES - 1))


FILTERS: dict[str, Filter] = {"NUMATopologyFilter": has_nodes, "PciPassthroughFilter": has_devices}
WEIGHERS: dict[str, Weigher] = {"PCIWeigher": Weigher("pci_weight_multiplier", few_devices)}
