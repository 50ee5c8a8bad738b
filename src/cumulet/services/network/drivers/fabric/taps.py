# SPDX-License-Identifier: Apache-2.0
"""Taps: the devices whose other end is a file descriptor in a hypervisor's hands."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterable

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.stages import Run, Stage
from cumulet.services.network.types import HostState, Layer, NetworkState, PortState

_TUNSETIFF = 0x400454CA
_TAP, _NO_PI, _VNET_HDR, _MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100


def open_tap(name: str, *, multi_queue: bool = False) -> int:
    """Make the tap `name` in the calling thread's namespace, or take it up again; the descriptor is the caller's.

    The device goes when its last descriptor is closed. Each descriptor of a `multi_queue` one is a further pair of
    queues; else there is one, and OSError (EBUSY) is raised where another process has it.
    """
    flags = _TAP | _NO_PI | _VNET_HDR | (_MULTI_QUEUE if multi_queue else 0)
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError:
        os.close(handle)
        raise
    return handle


class Taps(Stage):
    """Servers' ports: hypervisors make and end the devices, the engine joins them to the bridges."""

    prefixes = ("tap",)

    def wanted(self, state: HostState) -> set[str]:
        return {names.tap(port.id) for port in state.ports}

    def plug(self, links: Links, run: Run) -> None:
        for port in run.state.ports:
            if port.trunk is None and names.tap(port.id) in links.devices:
                with run.guarded(port.id):
                    settle_tap(links, port, run.networks[port.network_id])

    def look(self, port: PortState, state: HostState, links: Links) -> Iterable[Layer]:
        device = links.devices.get(names.tap(port.id))
        bridge = links.devices.get(names.bridge(port.network_id))
        trouble = ""
        if device is None:
            trouble = "no hypervisor has opened it" if port.trunk is None else "not there"
        elif bridge is None or device.master != bridge.index:
            trouble = "not on its bridge"
        elif not device.up:
            trouble = "down"
        yield Layer(name="device", sound=not trouble, words=f"{names.tap(port.id)} {trouble or 'is up, on its bridge'}")


def plug_tap(
    port: PortState, network: NetworkState, *, multi_queue: bool, prepare: Callable[[], object] | None = None
) -> int:
    """Open the port's tap in the fabric's namespace, on its bridge; the descriptor is the caller's.

    What `prepare` does is done before the device is up.
    """
    handle = open_tap(names.tap(port.id), multi_queue=multi_queue)
    try:
        if prepare is not None:
            prepare()
        with Links(names.tap(port.id), names.bridge(network.id)) as links:
            settle_tap(links, port, network)
    except BaseException:
        os.close(handle)
        raise
    return handle


def settle_tap(links: Links, port: PortState, network: NetworkState) -> None:
    """Bring the port's device to its state; `links` are the fabric's."""
    links.settle(names.tap(port.id), mtu=network.mtu, master=names.bridge(network.id), up=port.up)


def unplug_tap(port_id: str) -> None:
    """Take the port's device away from the fabric's namespace."""
    with Links(names.tap(port_id)) as links:
        links.remove(names.tap(port_id))
