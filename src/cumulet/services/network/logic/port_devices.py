# SPDX-License-Identifier: Apache-2.0
"""Ports that are PCI devices of their hosts: what they are to be, and which one compute has given them.

The device stands in the profile of the port's binding, as Nova writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cumulet.kernel.db import Source, Tx
from cumulet.services.network.contract import DeviceWish, GivenDevice
from cumulet.services.network.logic import macs
from cumulet.services.network.store import common
from cumulet.services.network.types import Network, Port
from cumulet.services.network.types.plugs import MACVTAP

KINDS = ("direct", MACVTAP, macs.PASSED_THROUGH)  # vnic types
_WORDS = ("pci_slot", "pci_vendor_info", "physical_network", "device_mac_address")


def wishes(source: Source, ports: Sequence[Port]) -> dict[str, DeviceWish]:
    """The devices that ports are to be, by the ports' ids."""
    asking = [port for port in ports if port.vnic_type in KINDS]
    networks = common.by_id(source, Network, {port.network_id for port in asking}) if asking else {}
    return {
        port.id: DeviceWish(
            physical_network=networks[port.network_id].segment_physical or "",
            whole=port.vnic_type == macs.PASSED_THROUGH,
            tap=port.vnic_type == MACVTAP,
            policy=port.numa_affinity_policy,
        )
        for port in asking
        if port.network_id in networks
    }


def note(tx: Tx, ports: list[Port], host: str, devices: Mapping[str, GivenDevice]) -> list[Port]:
    """Write down which device each port is on `host`; on no host it is none. The ports as they are then."""
    noted = []
    for port in ports:
        device = devices.get(port.id)
        if port.vnic_type in KINDS and (device is not None or not host):
            changes: dict[str, Any] = {"profile": _without(port) if device is None else _with(tx, port, device)}
            changes |= macs.of_device(tx, port, {**changes, "host": host})
            common.set_quietly(tx, Port, [port.id], changes)
            port = msgspec.structs.replace(port, **changes)
        noted.append(port)
    return noted


def let_go(tx: Tx, port: Port) -> dict[str, Any]:
    """What changes of a port that leaves its server: the columns."""
    if port.vnic_type not in KINDS:
        return {}
    profile = _without(port)
    return {"profile": profile, **macs.of_device(tx, port, {"host": "", "device_id": "", "profile": profile})}


def _with(tx: Tx, port: Port, device: GivenDevice) -> dict[str, Any]:
    network = common.find(tx, Network, port.network_id)
    said = {"pci_slot": device.address, "pci_vendor_info": device.vendor_info}
    said["physical_network"] = (network.segment_physical if network is not None else None) or ""
    if port.vnic_type == macs.PASSED_THROUGH and device.mac:
        said["device_mac_address"] = device.mac
    return {**_without(port), **said}


def _without(port: Port) -> dict[str, Any]:
    return {name: value for name, value in port.profile.items() if name not in _WORDS}
