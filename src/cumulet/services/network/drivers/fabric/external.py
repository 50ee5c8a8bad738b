# SPDX-License-Identifier: Apache-2.0
"""The host's own device that leads to the floating IPs' network: taken into the fabric, and given back."""

from __future__ import annotations

import os

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread
from cumulet.services.network.types import NetworkState


def join(home: Namespace, device: str, network: NetworkState) -> int:
    """Have the device in the fabric, on the network's bridge; the number of changes. Raises OSError without it."""

    def take() -> int:
        with Links() as links:
            if device not in links.devices:
                raise OSError(f"this host has no device {device}: see network.external_device")
            links.give(device, home)
            return links.changes

    def plug() -> int | None:
        with Links() as links:
            if device not in links.devices:
                return None
            links.settle(device, mtu=network.mtu, master=names.bridge(network.id))
            return links.changes

    changes = home.visit(plug)
    if changes is not None:
        return changes
    return in_thread(take, "external") + (home.visit(plug) or 0)


def give_back(home: Namespace, device: str) -> None:
    """Move the device into the calling thread's namespace; nothing happens where the fabric does not have it."""
    if not device:
        return
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def give() -> None:
        with Links() as links:
            if device in links.devices:
                links.give(device, own)

    try:
        home.visit(give)
    finally:
        os.close(own)
