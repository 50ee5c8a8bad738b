# SPDX-License-Identifier: Apache-2.0
"""What Linux says of the machine: NUMA nodes with processors and pages, PCI devices, makers of virtual devices."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cumulet.services.compute.drivers.parts import GpuFound
from cumulet.services.compute.types import HostNode, Pages, PciDevice, PciKind, read_cpus

SYS = Path("/sys")
KIB = 1024
KIB_A_MIB = 1024


def nodes(root: Path = SYS) -> list[HostNode]:
    """The nodes whose processors this process may use; one with everything where Linux tells of none."""
    usable = os.sched_getaffinity(0)
    found = [
        node for folder in _numbered(root / "devices/system/node", "node") if (node := _node(root, folder, usable))
    ]
    if found:
        return sorted(found, key=lambda node: node.id)
    page = os.sysconf("SC_PAGE_SIZE") // KIB
    memory = os.sysconf("SC_PHYS_PAGES") * page // KIB_A_MIB
    pages = [Pages(size=page, total=memory * KIB_A_MIB // page)]
    return [HostNode(id=0, memory=memory, shared=sorted(usable), siblings=_siblings(root, usable), pages=pages)]


def devices(root: Path = SYS) -> list[PciDevice]:
    """All PCI devices."""
    folder = root / "bus/pci/devices"
    return [_device(each) for each in sorted(folder.iterdir())] if folder.is_dir() else []


def gpus(root: Path = SYS) -> list[GpuFound]:
    """The devices that make virtual ones, with how many of each type there are and could still be."""
    folder = root / "class/mdev_bus"
    found: list[GpuFound] = []
    for device in sorted(folder.iterdir()) if folder.is_dir() else ():
        types: dict[str, int] = {}
        for kind in sorted((device / "mdev_supported_types").iterdir()):
            made = kind / "devices"
            there = len(list(made.iterdir())) if made.is_dir() else 0
            types[kind.name] = int(_word(kind / "available_instances") or 0) + there
        found.append(GpuFound(address=device.name, types=types, node=_near(device)))
    return found


def _node(root: Path, folder: Path, usable: set[int]) -> HostNode | None:
    cpus = read_cpus(_word(folder / "cpulist")) & usable
    memory = _memory(folder)
    if not memory:
        return None
    pages = [
        Pages(
            size=int(each.name.removeprefix("hugepages-").removesuffix("kB")), total=int(_word(each / "nr_hugepages"))
        )
        for each in (folder / "hugepages").glob("hugepages-*kB")
    ]
    huge = sorted((each for each in pages if each.total), key=lambda each: each.size)
    size = os.sysconf("SC_PAGE_SIZE") // KIB
    ordinary = (memory - sum(each.size * each.total for each in huge)) // size
    sockets = {_word(root / f"devices/system/cpu/cpu{cpu}/topology/physical_package_id") for cpu in cpus}
    socket = next(iter(sockets)) if len(sockets) == 1 else ""
    return HostNode(
        id=int(folder.name.removeprefix("node")),
        memory=memory // KIB_A_MIB,
        shared=sorted(cpus),
        siblings=_siblings(root, cpus),
        pages=[Pages(size=size, total=max(0, ordinary)), *huge],
        socket=int(socket) if socket.isdigit() else None,
    )


def _memory(folder: Path) -> int:
    """All of a node's memory in KiB."""
    for line in _word(folder / "meminfo").splitlines():
        _, _, value = line.partition("MemTotal:")
        if value:
            return int(value.split()[0])
    return 0


def _siblings(root: Path, cpus: set[int]) -> list[list[int]]:
    """The threads of each core that has several."""
    found: set[tuple[int, ...]] = set()
    for cpu in cpus:
        threads = read_cpus(_word(root / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")) & cpus
        if len(threads) > 1:
            found.add(tuple(sorted(threads)))
    return [list(core) for core in sorted(found)]


def _device(folder: Path) -> PciDevice:
    kind: PciKind = "type-PCI"
    parent = ""
    if (folder / "physfn").is_symlink():
        kind, parent = "type-VF", (folder / "physfn").resolve().name
    elif int(_word(folder / "sriov_totalvfs") or 0):
        kind = "type-PF"
    return PciDevice(
        address=folder.name,
        vendor_id=_word(folder / "vendor").removeprefix("0x"),
        product_id=_word(folder / "device").removeprefix("0x"),
        kind=kind,
        node=_near(folder),
        parent=parent,
        card=next((each.name for each in sorted((folder / "physfn/net").glob("*"))), ""),
        mac=next((_word(each / "address") for each in sorted((folder / "net").glob("*"))), ""),
    )


def _near(device: Path) -> int | None:
    """The node that a device is near; Linux says -1 where it does not know."""
    text = _word(device / "numa_node")
    return int(text) if text.isdigit() else None


def _numbered(folder: Path, prefix: str) -> Iterator[Path]:
    if folder.is_dir():
        yield from (each for each in folder.iterdir() if each.name.removeprefix(prefix).isdigit())


def _word(path: Path) -> str:
    """What a file says, "" where there is none."""
    try:
        return path.read_text().strip()
    except OSError:
        return ""
