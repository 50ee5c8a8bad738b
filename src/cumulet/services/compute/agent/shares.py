# SPDX-License-Identifier: Apache-2.0
"""How much of this host is for servers, as its settings have it."""

from __future__ import annotations

import math

from cumulet.services.compute.types import Share
from cumulet.settings.compute import Compute


def of(settings: Compute) -> dict[str, Share]:
    """By resource class."""
    return {
        "VCPU": Share(
            ratio=settings.cpu_allocation_ratio,
            initial=settings.initial_cpu_allocation_ratio,
            reserved=settings.reserved_host_cpus,
        ),
        "MEMORY_MB": Share(
            ratio=settings.ram_allocation_ratio,
            initial=settings.initial_ram_allocation_ratio,
            reserved=settings.reserved_host_memory_mb,
        ),
        "DISK_GB": Share(
            ratio=settings.disk_allocation_ratio,
            initial=settings.initial_disk_allocation_ratio,
            reserved=math.ceil(settings.reserved_host_disk_mb / 1024),
        ),
    }
