# SPDX-License-Identifier: Apache-2.0
"""Which of a machine's processors, pages and devices servers may have by the host's settings, whatever its driver."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase

import msgspec

from cumulet.services.compute.types import Gpu, HostNode, Pages, Parts, PciDevice, read_cpus

_MATCHED = ("vendor_id", "product_id", "address")


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings say: see `settings.compute` and `settings.devices`."""

    dedicated: str = ""
    shared: str = ""
    reserved_pages: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    mdev_types: tuple[str, ...] = ()


NO_RULES = Rules()


class GpuFound(msgspec.Struct, frozen=True, kw_only=True):
    """A device that makes virtual ones, of one of `types`: how many of each it would make."""

    address: str
    types: dict[str, int]
    node: int | None = None


def words_of(text: str) -> dict[str, str]:
    """`a=b c=d` by name."""
    return {name: value for name, _, value in (word.partition("=") for word in text.split())}


def nodes(found: Iterable[HostNode], rules: Rules) -> list[HostNode]:
    """The machine's nodes, whose processors all stand in `shared`, as servers may have them.

    ValueError where a processor is to be shared and dedicated, or a set says nothing.
    """
    dedicated, shared = read_cpus(rules.dedicated), read_cpus(rules.shared)
    if dedicated & shared:
        raise ValueError("compute.cpu_dedicated_set and compute.cpu_shared_set have processors in common")
    reserved: dict[tuple[int, int], int] = {}
    for words in map(words_of, rules.reserved_pages):
        reserved[int(words["node"]), int(words["size"])] = int(words["count"])
    told: list[HostNode] = []
    for node in found:
        cpus = set(node.shared)
        told.append(
            msgspec.structs.replace(
                node,
                shared=sorted(cpus & shared if rules.dedicated or rules.shared else cpus),
                dedicated=sorted(cpus & dedicated),
                pages=[
                    Pages(size=each.size, total=each.total, reserved=reserved.get((node.id, each.size), each.reserved))
                    for each in node.pages
                ],
            )
        )
    return told


def devices(found: Iterable[PciDevice], rules: Rules) -> list[PciDevice]:
    """Those of the machine's devices that servers may have, with what the settings say of them."""
    specs = [words_of(each) for each in rules.devices]
    told: list[PciDevice] = []
    for device in found:
        spec = next((each for each in specs if _fits(device, each)), None)
        if spec is not None:
            tags = {name: value for name, value in spec.items() if name not in _MATCHED}
            told.append(msgspec.structs.replace(device, tags=tags))
    return sorted(told, key=lambda each: each.address)


def gpus(found: Iterable[GpuFound], rules: Rules) -> list[Gpu]:
    """Those that make virtual devices, each of the type that the settings give it."""
    wanted = [(name, address) for name, _, address in (each.partition("=") for each in rules.mdev_types)]
    told: list[Gpu] = []
    for gpu in found:
        named = [name for name, address in wanted if address == gpu.address]
        usual = [name for name, address in wanted if not address]
        kind = next((name for name in (*named, *usual) if name in gpu.types), None)
        if kind is not None and gpu.types[kind] > 0:
            told.append(Gpu(address=gpu.address, type=kind, total=gpu.types[kind], node=gpu.node))
    return sorted(told, key=lambda each: each.address)


def taken(held: Parts) -> tuple[set[int], set[str]]:
    """The processors and the PCI devices that nobody else can have."""
    return (set() if held.numa is None else held.numa.own_cpus), {each.address for each in held.devices}


def _fits(device: PciDevice, spec: Mapping[str, str]) -> bool:
    return all(fnmatchcase(getattr(device, name), spec[name].lower()) for name in _MATCHED if name in spec)
