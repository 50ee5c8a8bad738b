# SPDX-License-Identifier: Apache-2.0
"""Choosing among a host's devices: one for each that is asked for, which nobody else has, near enough to the guest."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from cumulet.services.compute.logic.pci.wanted import DeviceRequest
from cumulet.services.compute.types import HostNode, Passed, PciDevice

PHYSICAL, VIRTUAL = "type-PF", "type-VF"


def free(there: Iterable[PciDevice], held: Iterable[Passed]) -> list[PciDevice]:
    """The devices that nobody has: neither themselves, nor what they are cut out of, nor anything cut out of them."""
    devices = list(there)
    taken = {each.address for each in held}
    parents = {each.parent for each in devices if each.kind == VIRTUAL and each.address in taken}
    return [each for each in devices if not {each.address, each.parent} & taken and each.address not in parents]


def fit(
    left: Sequence[PciDevice],
    wanted: Iterable[DeviceRequest],
    near: Collection[int] | None = None,
    nodes: Sequence[HostNode] = (),
) -> list[Passed] | None:
    """A device for each that is wanted, or None where there are not enough.

    `near` are the host's NUMA nodes that the guest is on, None where it has none: then any device will do. `nodes` are
    all of the host's.
    """
    physical: list[DeviceRequest] = []
    others: list[DeviceRequest] = []
    for each in wanted:
        (physical if any(spec.get("kind") == PHYSICAL for spec in each.specs) else others).append(each)
    chosen = _match(left, physical, near, nodes)
    if chosen is None:
        return None
    addresses = {each.address for each in chosen}
    rest = [each for each in left if not {each.address, each.parent} & addresses]
    more = _match(rest, others, near, nodes)
    return None if more is None else [*chosen, *more]


def _match(
    left: Sequence[PciDevice], wanted: Sequence[DeviceRequest], near: Collection[int] | None, nodes: Sequence[HostNode]
) -> list[Passed] | None:
    """A device for each, found by letting those that were chosen before change to others where that makes room."""
    units = [each for each in wanted for _ in range(min(each.count, len(left) + 1))]
    options = [_options(left, each, near, nodes) for each in units]
    owner: dict[str, int] = {}

    def seat(unit: int, seen: set[str]) -> bool:
        for device in options[unit]:
            if device in seen:
                continue
            seen.add(device)
            if device not in owner or seat(owner[device], seen):
                owner[device] = unit
                return True
        return False

    if not all(seat(unit, set()) for unit in range(len(units))):
        return None
    return [
        Passed(address=device, alias=units[unit].alias, port=units[unit].port, tap=units[unit].tap)
        for device, unit in sorted(owner.items())
    ]


def _options(
    left: Iterable[PciDevice], wanted: DeviceRequest, near: Collection[int] | None, nodes: Sequence[HostNode]
) -> list[str]:
    """The addresses of the devices that would do, the best first."""
    fitting = [each for each in left if any(_is(each, spec) for spec in wanted.specs)]
    if near is None:
        return [each.address for each in fitting]
    inside = {each.address: each.node in _reach(wanted.policy, near, nodes) for each in fitting}
    unknown = {each.address for each in fitting if each.node is None and wanted.policy == "legacy"}
    anywhere = wanted.policy == "preferred"
    usable = [address for address in inside if inside[address] or anywhere or address in unknown]
    return sorted(usable, key=lambda address: not inside[address])


def _reach(policy: str, near: Collection[int], nodes: Sequence[HostNode]) -> set[int]:
    """The nodes whose devices are near enough."""
    if policy != "socket":
        return set(near)
    sockets = {each.socket for each in nodes if each.id in near and each.socket is not None}
    return set(near) | {each.id for each in nodes if each.socket in sockets}


def _is(device: PciDevice, spec: Mapping[str, str]) -> bool:
    """Whether a device is what the spec says; one that others are cut out of has to be asked for as such."""
    if device.kind == PHYSICAL and spec.get("kind") != PHYSICAL:
        return False
    facts = {**device.tags, "vendor_id": device.vendor_id, "product_id": device.product_id, "kind": device.kind}
    facts["card"] = device.card
    return all(str(facts.get(name, "")).lower() == value.lower() for name, value in spec.items())
