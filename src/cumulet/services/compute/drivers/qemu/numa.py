# SPDX-License-Identifier: Apache-2.0
"""A guest's NUMA nodes as arguments of QEMU: memory of the host's node and pages, and the processors beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.types import GuestNode, GuestNodes

MOUNTS = Path("/proc/mounts")
MEMINFO = Path("/proc/meminfo")
_UNITS = {"K": 1, "M": 1024, "G": 1024 * 1024}  # KiB


def shared_memory(size: int) -> list[str]:
    """Memory (MiB) of a guest without nodes that others on the host may share."""
    return ["-object", f"memory-backend-memfd,id=mem,size={size}M,share=on", "-machine", "memory-backend=mem"]


def arguments(
    numa: GuestNodes | None, ordinary: int, pages: Mapping[int, Path], *, binds: bool, shared: bool = False
) -> list[str]:
    """The nodes, each with a memory object of its own; nothing for a guest that has none.

    `ordinary` is the size of the host's pages (KiB), `pages` where files of larger ones are made. Memory is bound to
    the host's node where it `binds`; where it is `shared`, others on the host may look at it. Conflict where nothing
    makes files of the pages.
    """
    if numa is None:
        return []
    words: list[str] = []
    for number, node in enumerate(numa.nodes):
        bound = f",host-nodes={node.host_node},policy=bind" if binds else ""
        bound += ",share=on" if shared else ""
        words += ["-object", f"{_memory(node, number, ordinary, pages)}{bound}"]
        cpus = "".join(f",cpus={first}-{last}" for first, last in _ranges(node.cpus))
        words += ["-numa", f"node,nodeid={number}{cpus},memdev=mem{number}"]
    return [*words, "-overcommit", "mem-lock=on"] if numa.realtime else words


def mounts(table: Path = MOUNTS, meminfo: Path = MEMINFO) -> dict[int, Path]:
    """Where files of large pages are made, by the pages' size in KiB."""
    found: dict[int, Path] = {}
    for line in table.read_text().splitlines():
        _source, path, kind, options = line.split()[:4]
        if kind == "hugetlbfs":
            said = next((option[9:] for option in options.split(",") if option.startswith("pagesize=")), None)
            size = int(said[:-1]) * _UNITS[said[-1]] if said else _usual_size(meminfo)
            found.setdefault(size, Path(path))
    return found


def _memory(node: GuestNode, number: int, ordinary: int, pages: Mapping[int, Path]) -> str:
    if node.page_size in (0, ordinary):
        return f"memory-backend-ram,id=mem{number},size={node.memory}M"
    if node.page_size not in pages:
        raise Conflict(f"Page size {node.page_size} is not supported by the host.", code="MemoryPageSizeNotSupported")
    path = str(pages[node.page_size]).replace(",", ",,")
    return f"memory-backend-file,id=mem{number},size={node.memory}M,mem-path={path},prealloc=on"


def _ranges(cpus: Sequence[int]) -> list[tuple[int, int]]:
    """Processors as first and last of each run of them."""
    found: list[tuple[int, int]] = []
    for cpu in sorted(cpus):
        if found and found[-1][1] == cpu - 1:
            found[-1] = (found[-1][0], cpu)
        else:
            found.append((cpu, cpu))
    return found


def _usual_size(meminfo: Path) -> int:
    for line in meminfo.read_text().splitlines():
        if line.startswith("Hugepagesize:"):
            return int(line.split()[1])
    return 0
