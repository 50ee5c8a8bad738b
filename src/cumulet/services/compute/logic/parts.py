# SPDX-License-Identifier: Apache-2.0
"""Parts of hosts that servers have for themselves: what is wanted, whether a host has it, and who holds what.

What a server holds is a row, made in the commit that claims its host in placement. A lock for each host makes the
claims of its parts wait for each other, so that what was free when it was looked at is free when it is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.logic import offers
from cumulet.services.compute.logic.guest.agreement import Wishes
from cumulet.services.compute.logic.numa import fit as numa_fit
from cumulet.services.compute.logic.numa import wanted as numa
from cumulet.services.compute.logic.pci import fit as pci_fit
from cumulet.services.compute.logic.pci import wanted as pci
from cumulet.services.compute.store import parts as store
from cumulet.services.compute.types import (
    ComputeHost,
    Flavor,
    GuestNode,
    GuestNodes,
    HeldParts,
    Mdev,
    Parts,
    Passed,
    PciDevice,
    Server,
)
from cumulet.services.network.contract import ResourceRequest

_ASKING = ("hw_", "trait:")  # what images' properties begin with that ask for anything of this kind

# What a claim takes of which provider: `Candidate.allocations`.
Allocations = Mapping[str, Mapping[str, int]]


class WantedParts(msgspec.Struct, frozen=True, kw_only=True):
    """What a server is to have for itself; `vgpus` are counted and placed by placement."""

    nodes: numa.WantedNodes | None = None
    devices: tuple[pci.DeviceRequest, ...] = ()
    vgpus: int = 0

    def __bool__(self) -> bool:
        return self.nodes is not None or bool(self.devices) or self.vgpus > 0


def wanted(cloud: Cloud, flavor: Flavor, words: Mapping[str, str]) -> WantedParts:
    """What flavor and image ask for. Invalid, in Nova's words, for what they cannot."""
    if not flavor.extra_specs and not any(name.startswith(_ASKING) for name in words):
        return WantedParts()
    wishes = Wishes.of(flavor, words)
    amount = flavor.extra_specs.get(f"resources:{offers.VGPU}", "")
    return WantedParts(
        nodes=numa.of(wishes),
        devices=pci.of(wishes, cloud.settings.pci.alias),
        vgpus=int(amount) if amount.isascii() and amount.isdigit() else 0,
    )


def of_server(
    cloud: Cloud, server: Server, flavor: Flavor | None = None, ports: Iterable[ResourceRequest] = ()
) -> WantedParts:
    """What the server, and its ports, ask for."""
    found = wanted(cloud, flavor or server.kind, server.image.get("properties", {}))
    of_ports = pci.of_ports(ports)
    return msgspec.structs.replace(found, devices=(*found.devices, *of_ports)) if of_ports else found


def fits_nodes(host: ComputeHost, held: Iterable[Parts], asked: WantedParts) -> bool:
    """Whether the host has room for the server's NUMA nodes, near enough to the devices that it wants."""
    return asked.nodes is None or _nodes(host, list(held), asked) is not None


def fits_devices(host: ComputeHost, held: Iterable[Parts], asked: WantedParts) -> bool:
    """Whether the host has the devices, wherever they are."""
    return not asked.devices or pci_fit.fit(_free(host, held), asked.devices) is not None


def fits(host: ComputeHost, held: Iterable[Parts], asked: WantedParts) -> bool:
    """Whether the host has everything."""
    held = list(held)
    return fits_nodes(host, held, asked) and fits_devices(host, held, asked)


def free_devices(host: ComputeHost, held: Iterable[Parts]) -> int:
    return len(_free(host, held))


def held_on(source: Source, host: str) -> list[Parts]:
    return [read(each) for each in store.on_host(source, host)]


def held_everywhere(source: Source) -> dict[str, list[Parts]]:
    """What is held of each host, by its name."""
    found: dict[str, list[Parts]] = {}
    for each in store.everywhere(source):
        found.setdefault(each.host, []).append(read(each))
    return found


def held_by(source: Source, owner: str) -> Parts:
    """What a server, or a migration of it, holds."""
    found = store.find(source, owner)
    return Parts() if found is None else read(found)


def nodes_of(cloud: Cloud, server: Server) -> list[GuestNode]:
    """The server's NUMA nodes as it has them, or as it asks for them where it is on no host."""
    held = held_by(cloud.db, server.id).numa
    if held is not None:
        return held.nodes
    asked = of_server(cloud, server).nodes
    return [
        GuestNode(cpus=node.cpus, memory=node.memory, host_node=number)
        for number, node in enumerate(asked.nodes if asked is not None else ())
    ]


def conflicts(held: Iterable[Parts]) -> list[str]:
    """What of one host several have: `processor 3`, `device 0000:84:00.0`. There is never any."""
    named: list[str] = []
    for each in held:
        own = each.numa.own_cpus if each.numa is not None else set()
        named += [f"processor {cpu}" for cpu in sorted(own)]
        named += [f"device {device.address}" for device in each.devices]
    return sorted({name for name in named if named.count(name) > 1})


def hold(
    cloud: Cloud,
    tx: Tx,
    server: Server,
    host: ComputeHost,
    asked: WantedParts,
    allocations: Allocations,
    kept: Sequence[Passed] = (),
) -> dict[str, dict[str, int]]:
    """Let the server hold what it wants of the host, instead of whatever it held; the claim with its devices in it.

    `allocations` are what placement would have it claim, `kept` the devices among those that it held which stay its
    own, besides. Conflict where the host has not enough left.
    """
    store.remove(tx, server.id)
    claim = {provider: dict(amounts) for provider, amounts in allocations.items()}
    if not asked and not kept:
        return claim
    tx.lock(f"compute:parts:{host.name}")
    held = [*held_on(tx, host.name), Parts(devices=list(kept))]
    nodes = None if asked.nodes is None else _nodes(host, held, asked)
    near = None if nodes is None else {each.host_node for each in nodes.nodes}
    devices = pci_fit.fit(_free(host, held), asked.devices, near, offers.nodes(host.capabilities))
    if devices is None or (nodes is None and asked.nodes is not None):
        raise Conflict(f"the host {host.name} has not enough parts left")
    devices = [*kept, *devices]
    parts = Parts(numa=nodes, devices=devices, mdevs=_mdevs(host, allocations))
    if not parts.is_empty:
        store.add(tx, HeldParts(owner=server.id, server_id=server.id, host=host.name, parts=msgspec.to_builtins(parts)))
    for device in devices:
        _count_device(cloud, claim, host, device.address)
    return claim


def keep(tx: Tx, server_id: str, migration: str) -> None:
    """What the server holds is the migration's from now on, but for the devices that its ports are."""
    store.give(tx, server_id, migration)
    _put_devices(tx, migration, lambda devices: [each for each in devices if not each.port])


def take_back(tx: Tx, server_id: str, migration: str) -> None:
    """The server holds what the migration has kept for it, the devices that its ports are, and nothing else."""
    ports = of_ports(tx, server_id)
    mine = store.find(tx, server_id)
    store.remove(tx, server_id)
    store.give(tx, migration, server_id)
    if ports and mine is not None and store.find(tx, server_id) is None:
        store.add(tx, msgspec.structs.replace(mine, parts=msgspec.to_builtins(Parts())))
    if ports:
        _put_devices(tx, server_id, lambda devices: [*ports, *devices])


def of_ports(source: Source, owner: str) -> list[Passed]:
    """The devices that network ports of the server are."""
    return [each for each in held_by(source, owner).devices if each.port]


def drop_port(tx: Tx, owner: str, port_id: str) -> None:
    """The port is not the server's any more, nor is the device that it was."""
    if any(each.port == port_id for each in of_ports(tx, owner)):
        _put_devices(tx, owner, lambda devices: [each for each in devices if each.port != port_id])


def claims_of(cloud: Cloud, host: ComputeHost, devices: Iterable[Passed]) -> dict[str, dict[str, int]]:
    """What is claimed of placement for these devices of the host."""
    claim: dict[str, dict[str, int]] = {}
    for each in devices:
        _count_device(cloud, claim, host, each.address)
    return claim


def _put_devices(tx: Tx, owner: str, change: Callable[[list[Passed]], list[Passed]]) -> None:
    found = store.find(tx, owner)
    if found is None:
        return
    before = read(found)
    after = msgspec.structs.replace(before, devices=change(before.devices))
    if after.is_empty:
        store.remove(tx, owner)
    elif after != before:
        store.change(tx, owner, msgspec.to_builtins(after))


def release(tx: Tx, owner: str) -> None:
    """The server, or the migration, holds nothing any more."""
    store.remove(tx, owner)


def _nodes(host: ComputeHost, held: Sequence[Parts], asked: WantedParts) -> GuestNodes | None:
    there = offers.nodes(host.capabilities)
    assert asked.nodes is not None
    left = numa_fit.rooms(there, [each.numa for each in held if each.numa is not None])
    cpu, memory = (offers.share(host.capabilities, name).planned for name in ("VCPU", "MEMORY_MB"))
    ratios = numa_fit.Ratios(cpu, memory)
    if not asked.devices:
        return numa_fit.fit(left, asked.nodes, ratios)
    free = _free(host, held)
    counts: dict[int, int] = {}
    for device in free:
        if device.node is not None:
            counts[device.node] = counts.get(device.node, 0) + 1

    def near(nodes: Collection[int]) -> bool:
        return pci_fit.fit(free, asked.devices, nodes, there) is not None

    return numa_fit.fit(left, asked.nodes, ratios, devices=counts, near=near)


def _free(host: ComputeHost, held: Iterable[Parts]) -> list[PciDevice]:
    return pci_fit.free(offers.devices(host.capabilities), [each for parts in held for each in parts.devices])


def _mdevs(host: ComputeHost, allocations: Allocations) -> list[Mdev]:
    """A virtual device for each that placement gives of one of the host's devices."""
    found: list[Mdev] = []
    for gpu in offers.gpus(host.capabilities):
        count = allocations.get(offers.provider_of(host, gpu.address), {}).get(offers.VGPU, 0)
        found += [Mdev(uuid=new_uuid(), parent=gpu.address, type=gpu.type) for _ in range(count)]
    return found


def _count_device(cloud: Cloud, claim: dict[str, dict[str, int]], host: ComputeHost, address: str) -> None:
    """Add a device to the claim, where placement knows of the host's devices."""
    found = offers.claim_of_device(cloud, host, address)
    if found is not None:
        provider, name = found
        amounts = claim.setdefault(provider, {})
        amounts[name] = amounts.get(name, 0) + 1


def read(row: HeldParts) -> Parts:
    """What the row says."""
    return msgspec.convert(row.parts, Parts)
