# SPDX-License-Identifier: Apache-2.0
"""Trunks: the tagged frames of a guest, each tag a port of its own on a network of its own.

A subport's device has the name of any port's tap, so that filters, services and shapers know it as one.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from pyroute2.netlink.exceptions import NetlinkError

from cumulet.services.network.drivers import layers
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.drivers.fabric.tags import Tagged, Tags
from cumulet.services.network.types import HostState, Layer, NetworkState, PortState

_TAP = "tun"  # the kernel's kind of devices that hypervisors open


class Trunks(Stage):
    """Makes the devices of subports while their parent's tap is there; taps come and go with hypervisors."""

    prefixes = ("spt-",)

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._tags = Tags(ground.capabilities.tags)

    def wanted(self, state: HostState) -> set[str]:
        return {names.subport_stub(port.id) for port in state.ports if port.trunk is not None}

    def plug(self, links: Links, run: Run) -> None:
        for port in run.state.ports:
            device = links.devices.get(names.tap(port.id))
            if port.trunk is None and device is not None and device.kind != _TAP:
                links.remove(device.name)  # it was a subport
        trunks = _by_parent(run.state)
        for parent, subports in trunks.items():
            self._settle(links, parent, subports, run.networks, run.failed, thorough=not run.known)
        self._tags.keep(links, {names.tap(parent) for parent in trunks})

    def opened(self, port: PortState, state: HostState, failed: dict[str, str]) -> None:
        subports = _by_parent(state).get(port.id)
        if subports is not None:
            networks = {network.id: network for network in state.networks}
            with Links() as links:
                self._settle(links, port.id, subports, networks, failed)

    def look(self, port: PortState, state: HostState, links: Links) -> Iterable[Layer]:
        there = port.trunk is not None and names.tap(port.trunk.parent) in links.devices
        return layers.of_trunk(port, there=there)

    def close(self) -> None:
        self._tags.close()

    def _settle(
        self,
        links: Links,
        parent: str,
        subports: list[PortState],
        networks: dict[str, NetworkState],
        failed: dict[str, str],
        *,
        thorough: bool = False,
    ) -> None:
        carrier = names.tap(parent)
        if carrier not in links.devices:
            return
        wanted = [
            Tagged(port.trunk.number, names.tap(port.id), names.subport_stub(port.id), networks[port.network_id].mtu)
            for port in subports
            if port.trunk is not None
        ]
        try:
            self._tags.settle(links, carrier, wanted, thorough=thorough)
        except (OSError, NetlinkError) as error:
            for port in subports:
                failed.setdefault(port.id, f"no tagged frames at {carrier}: {error}")
                links.remove(names.tap(port.id))
            return
        for port in subports:
            network = networks[port.network_id]
            try:
                links.settle(names.tap(port.id), mtu=network.mtu, master=names.bridge(network.id), up=port.up)
            except (OSError, NetlinkError, KeyError) as error:
                failed.setdefault(port.id, str(error))


def is_whole(port: PortState, devices: Container[str]) -> bool:
    """Whether the port has a device behind it: a subport has its parent's too."""
    return names.tap(port.id) in devices and (port.trunk is None or names.tap(port.trunk.parent) in devices)


def _by_parent(state: HostState) -> dict[str, list[PortState]]:
    found: dict[str, list[PortState]] = {}
    for port in state.ports:
        if port.trunk is not None:
            found.setdefault(port.trunk.parent, []).append(port)
    return found
