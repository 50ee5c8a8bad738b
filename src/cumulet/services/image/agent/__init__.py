# SPDX-License-Identifier: Apache-2.0
"""The image service on a host: local copies of images for the hypervisor, and the way back for snapshots."""

from __future__ import annotations

from cumulet.kernel.link.host import Host, HostService
from cumulet.services.image.agent.cache import ImagesOnHost
from cumulet.services.image.contract import HostImages


def create(host: Host) -> HostService:
    """The host part."""
    service = ImagesOnHost(host)
    host.contracts.offer(HostImages, lambda: service)
    return service
