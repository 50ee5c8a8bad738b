# SPDX-License-Identifier: Apache-2.0
"""What a host offers, as it reported it, in placement: its processors, memory, disk, and a provider for each device."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict
from cumulet.services.compute.logic import host_traits
from cumulet.services.compute.types import ComputeHost, Gpu, HostNode, PciDevice, Share
from cumulet.services.network.contract import NetworkContract
from cumulet.services.placement.contract import Inventory, PlacementContract

# Of hosts of a release that did not tell.
_SHARES = {"VCPU": Share(initial=4.0), "MEMORY_MB": Share(reserved=512), "DISK_GB": Share()}
VGPU = "VGPU"
_LEFT = "left_providers"  # in a host's capabilities: devices that are gone, of which something is still claimed
_VIRTUAL = "type-VF"

Capabilities = Mapping[str, Any]


class Offer(msgspec.Struct, frozen=True):
    """A provider below the host's own, and all that it has."""

    name: str
    inventory: Mapping[str, Inventory]


def nodes(capabilities: Capabilities) -> list[HostNode]:
    return msgspec.convert(capabilities.get("nodes", []), list[HostNode])


def devices(capabilities: Capabilities) -> list[PciDevice]:
    return msgspec.convert(capabilities.get("pci", []), list[PciDevice])


def gpus(capabilities: Capabilities) -> list[Gpu]:
    return msgspec.convert(capabilities.get("gpus", []), list[Gpu])


def provider_of(host: ComputeHost, address: str) -> str:
    """The provider of a device of the host."""
    return str(uuid.uuid5(uuid.UUID(host.id), address))


def claim_of_device(cloud: Cloud, host: ComputeHost, address: str) -> tuple[str, str] | None:
    """Of which provider, and of which class, a PCI device of the host is claimed; None where placement has none."""
    if not cloud.settings.pci.report_in_placement:
        return None
    found = next((each for each in devices(host.capabilities) if each.address == address), None)
    return None if found is None else (provider_of(host, _place(found)), _class(found))


def processors(capabilities: Capabilities) -> int:
    """How many of the host's processors are for servers, shared or not."""
    return sum(each.total for name, each in _inventory(capabilities).items() if name in ("VCPU", "PCPU"))


def topology(capabilities: Capabilities) -> dict[str, int]:
    """The host's sockets, the cores of each and the threads of each core."""
    there = nodes(capabilities)
    sockets = len({node.socket for node in there if node.socket is not None}) or 1
    threads = max((len(core) for node in there for core in node.siblings), default=1)
    return {"sockets": sockets, "cores": max(1, int(capabilities["vcpus"]) // (sockets * threads)), "threads": threads}


def share(capabilities: Capabilities, name: str) -> Share:
    """How much of a class (VCPU, MEMORY_MB, DISK_GB) is for servers."""
    told = capabilities.get("shares", {})
    return msgspec.convert(told[name], Share) if name in told else _SHARES[name]


def make(cloud: Cloud, tx: Tx, host: ComputeHost, before: Capabilities, now: Capabilities) -> list[str]:
    """Say in placement what the host has, now that it reported `now` after `before`.

    The providers of devices that are gone though something is claimed of them: they are to be kept with the report.
    What is claimed of anything that is gone stays so, and nothing more can be.
    """
    placement = cloud.contracts.use(PlacementContract)
    placement.ensure_provider(tx, host.id, host.name)
    _set(placement, tx, host.id, _as_said(placement, tx, host.id, now))
    placement.set_traits(tx, host.id, host_traits.of(now))
    below = _below(cloud, host, now)
    for provider, offer in below.items():
        placement.ensure_provider(tx, provider, offer.name, host.id)
        _set(placement, tx, provider, offer.inventory)
    gone = ({*_below(cloud, host, before), *before.get(_LEFT, ())} if before else set()) - below.keys()
    return [provider for provider in sorted(gone) if not placement.retire_provider(tx, provider)]


def kept(capabilities: Capabilities, left: list[str]) -> dict[str, Any]:
    """The report with the providers that `make` could not remove."""
    return {**capabilities, _LEFT: left} if left else dict(capabilities)


def remove(cloud: Cloud, tx: Tx, host: ComputeHost) -> None:
    """Take away all that the host offered. Conflict while something is claimed of it."""
    placement = cloud.contracts.use(PlacementContract)
    cloud.contracts.use(NetworkContract).withdraw_host(tx, host.name)
    for provider in (*_below(cloud, host, host.capabilities), *host.capabilities.get(_LEFT, ())):
        placement.delete_provider(tx, provider)
    placement.delete_provider(tx, host.id)


def _inventory(capabilities: Capabilities) -> dict[str, Inventory]:
    """What is the host's own, by class; classes of which there is nothing are left out."""
    there, memory = nodes(capabilities), int(capabilities["memory"])
    shared = sum(len(node.shared) for node in there) if there else int(capabilities["vcpus"])
    own = sum(len(node.dedicated) for node in there)
    totals = {"VCPU": shared, "MEMORY_MB": memory, "DISK_GB": max(1, capabilities["disk"])}
    found = {name: _shared(total, share(capabilities, name)) for name, total in totals.items() if total}
    return {**found, "PCPU": Inventory(total=own)} if own else found


def _shared(total: int, share: Share) -> Inventory:
    return Inventory(total=total, reserved=min(share.reserved, total), allocation_ratio=share.planned)


def _as_said(placement: PlacementContract, tx: Tx, provider: str, capabilities: Capabilities) -> dict[str, Inventory]:
    """The host's own inventory, with the ratios that users of placement chose where the host's operator chose none."""
    before = placement.provider_usage(tx, provider)
    wanted = _inventory(capabilities)
    for name in wanted.keys() & before.keys() & _SHARES.keys():
        if not share(capabilities, name).ratio:
            ratio = before[name].inventory.allocation_ratio
            wanted[name] = msgspec.structs.replace(wanted[name], allocation_ratio=ratio)
    return wanted


def _below(cloud: Cloud, host: ComputeHost, capabilities: Capabilities) -> dict[str, Offer]:
    """The providers of the host's devices, by their uuids."""
    found: dict[str, Offer] = {}
    for gpu in gpus(capabilities):
        name = f"{host.name}_pci_{gpu.address.replace(':', '_').replace('.', '_')}"
        found[provider_of(host, gpu.address)] = Offer(name, {VGPU: Inventory(total=gpu.total)})
    if cloud.settings.pci.report_in_placement:
        counts: dict[tuple[str, str], int] = {}
        for device in devices(capabilities):
            key = (_place(device), _class(device))
            counts[key] = counts.get(key, 0) + 1
        for (address, name), count in counts.items():
            uuid_ = provider_of(host, address)
            earlier = found[uuid_].inventory if uuid_ in found else {}
            found[uuid_] = Offer(f"{host.name}_{address}", {**earlier, name: Inventory(total=count)})
    return found


def _place(device: PciDevice) -> str:
    """The address that stands for the device in placement: what others are cut out of stands for them all."""
    return device.parent if device.kind == _VIRTUAL and device.parent else device.address


def _class(device: PciDevice) -> str:
    said = device.tags.get("resource_class", "").upper().replace("-", "_")
    if said:
        return said if said.startswith("CUSTOM_") else f"CUSTOM_{said}"
    return f"CUSTOM_PCI_{device.vendor_id}_{device.product_id}".upper()


def _set(placement: PlacementContract, tx: Tx, provider: str, wanted: Mapping[str, Inventory]) -> None:
    """Replace an inventory; of classes that vanish, what is claimed stays claimed."""
    try:
        placement.set_inventory(tx, provider, wanted)
    except Conflict:
        usage = placement.provider_usage(tx, provider)
        in_use = {name: each.used for name, each in usage.items() if each.used and name not in wanted}
        kept = {name: Inventory(total=used, reserved=used) for name, used in in_use.items()}
        placement.set_inventory(tx, provider, {**wanted, **kept})
