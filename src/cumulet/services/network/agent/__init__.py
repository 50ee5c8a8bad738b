# SPDX-License-Identifier: Apache-2.0
"""The network service on a host: takes the desired state, keeps it through reboots, serves taps to the hypervisor."""

from __future__ import annotations

from cumulet.kernel.link.host import Host
from cumulet.services.network.agent.service import NetworkHost

__all__ = ["create"]


def create(host: Host) -> NetworkHost:
    """The host part, with the engine that the setting `network.driver` names."""
    return NetworkHost(host)
