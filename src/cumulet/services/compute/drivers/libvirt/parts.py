# SPDX-License-Identifier: Apache-2.0
"""The parts of its host that a server has for itself, as libvirt's XML: nodes, processors, pages and devices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cumulet.services.compute.drivers.libvirt.words import Element, element
from cumulet.services.compute.drivers.qemu import pinning
from cumulet.services.compute.types import Guest, GuestNodes, HostNode, Parts


class Tuning(NamedTuple):
    """What libvirt says of them at four places of a domain; None where there is nothing to say."""

    memory: Element | None = None
    nodes: Element | None = None
    processors: Element | None = None
    cells: Element | None = None


def tuning(guest: Guest, numa: GuestNodes | None, there: Sequence[HostNode], vcpus: int) -> Tuning:
    """`there` are the host's nodes. Memory is bound to them where there are several, as the QEMU driver's is."""
    backing = _backing(guest, numa, there)
    shared = {cpu for node in there for cpu in node.shared}
    if numa is None:
        if not any(node.dedicated for node in there):
            return Tuning(memory=backing)
        return Tuning(memory=backing, processors=_pinned(dict.fromkeys(range(vcpus), shared), shared, None))
    places = pinning.places_of(numa, there)
    bound = [
        element("memnode", cellid=number, mode="strict", nodeset=node.host_node)
        for number, node in enumerate(numa.nodes)
    ]
    cells = [
        element("cell", id=number, cpus=words(node.cpus), memory=node.memory, unit="MiB")
        for number, node in enumerate(numa.nodes)
    ]
    return Tuning(
        memory=backing,
        nodes=element("numatune", *bound) if len(there) > 1 else None,
        processors=_pinned(places, pinning.own_place(numa, places, shared), numa),
        cells=element("numa", *cells),
    )


def devices(parts: Parts) -> list[Element]:
    """The host's devices; libvirt takes PCI devices from the host's drivers and gives them back."""
    found: list[Element] = []
    for each in parts.handed_over:
        domain, bus, place = each.address.split(":")
        slot, function = place.split(".")
        numbers = {"domain": domain, "bus": bus, "slot": slot, "function": function}
        address = element("address", **{name: f"0x{number}" for name, number in numbers.items()})
        found.append(element("hostdev", element("source", address), mode="subsystem", type="pci", managed="yes"))
    for mdev in parts.mdevs:
        source = element("source", element("address", uuid=mdev.uuid))
        found.append(element("hostdev", source, mode="subsystem", type="mdev", model="vfio-pci"))
    return found


def words(numbers: Iterable[int]) -> str:
    """`0-3,6` for processors."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _backing(guest: Guest, numa: GuestNodes | None, there: Sequence[HostNode]) -> Element | None:
    ordinary = min((each.size for node in there for each in node.pages), default=0)
    pages = [
        element("page", size=node.page_size, unit="KiB", nodeset=number)
        for number, node in enumerate(numa.nodes if numa is not None else ())
        if node.page_size not in (0, ordinary)
    ]
    is_locked = guest.locked_memory or (numa is not None and bool(numa.realtime))
    if not pages and not is_locked:
        return None
    large = element("hugepages", *pages) if pages else None
    return element("memoryBacking", large, element("locked") if is_locked else None)


def _pinned(places: dict[int, set[int]], own: set[int], numa: GuestNodes | None) -> Element | None:
    found = [element("vcpupin", vcpu=cpu, cpuset=words(place)) for cpu, place in sorted(places.items()) if place]
    if own:
        found.append(element("emulatorpin", cpuset=words(own)))
    if numa is not None and numa.realtime:
        priority = pinning.REALTIME_PRIORITY
        found.append(element("vcpusched", vcpus=words(numa.realtime), scheduler="fifo", priority=priority))
    return element("cputune", *found) if found else None
