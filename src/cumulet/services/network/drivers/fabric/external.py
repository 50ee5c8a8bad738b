# SPDX-License-Identifier: Apache-2.0
"""Devices of the host's own that lead to physical networks: taken into the fabric, and given back."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable

from pyroute2.netlink.exceptions import NetlinkError

from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread


def take(home: Namespace, device: str) -> int:
    """Have the host's device in the fabric; the number of changes. Raises OSError where neither has it."""

    def give() -> int:
        with Links(device) as links:
            if device not in links.devices:
                raise OSError(f"this host has no device {device}: see network.physical_interface_mappings")
            links.give(device, home)
            return links.changes

    return 0 if home.visit(lambda: has(device)) else in_thread(give, "external")


def has(device: str) -> bool:
    """Whether the calling thread's namespace has the device."""
    return device in {name for _, name in socket.if_nameindex()}


def give_back(home: Namespace, devices: Iterable[str]) -> None:
    """Move the devices into the calling thread's namespace, but for those that the fabric does not have."""
    wanted = sorted(set(devices))
    if not wanted:
        return
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def give() -> None:
        with Links(*wanted) as links:
            for device in list(links.devices):
                try:
                    links.hear_all(device, every=False)
                    links.give(device, own)
                except NetlinkError as error:
                    if error.code != errno.ENODEV:  # else its other end's namespace went in this moment
                        raise

    try:
        home.visit(give)
    finally:
        os.close(own)
