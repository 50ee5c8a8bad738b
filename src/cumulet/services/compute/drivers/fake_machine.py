# SPDX-License-Identifier: Apache-2.0
"""The machine that the fake hypervisor makes up: its nodes and devices, as the settings shape it."""

from __future__ import annotations

import msgspec

from cumulet.services.compute.drivers.parts import GpuFound, words_of
from cumulet.services.compute.types import HostNode, Pages, PciDevice

ORDINARY_PAGE, HUGE_PAGE = 4, 2048  # KiB
KIB_A_MIB = 1024


class FakeMachine(msgspec.Struct, frozen=True, kw_only=True):
    """See `settings.devices.FakeMachine`."""

    nodes: int = 1
    cpus: int = 64
    threads: int = 1
    memory: int = 65536
    huge_pages: int = 0
    devices: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()

    def found_nodes(self) -> list[HostNode]:
        count, memory, huge = self.cpus // self.nodes, self.memory // self.nodes, self.huge_pages // self.nodes
        return [
            HostNode(
                id=node,
                memory=memory,
                shared=list(range(node * count, (node + 1) * count)),
                siblings=_cores(node * count, count, self.threads) if self.threads > 1 else [],
                pages=_pages(memory, huge),
                socket=node,
            )
            for node in range(self.nodes)
        ]

    def found_devices(self) -> list[PciDevice]:
        """ValueError (msgspec's) for words that make no device."""
        return [msgspec.convert(words_of(each), PciDevice, strict=False) for each in self.devices]

    def found_gpus(self) -> list[GpuFound]:
        told: list[GpuFound] = []
        for words in map(words_of, self.gpus):
            node = int(words["node"]) if "node" in words else None
            told.append(GpuFound(address=words["address"], types={words["type"]: int(words["total"])}, node=node))
        return told


USUAL = FakeMachine()


def _cores(first: int, count: int, threads: int) -> list[list[int]]:
    return [list(range(at, min(at + threads, first + count))) for at in range(first, first + count, threads)]


def _pages(memory: int, huge: int) -> list[Pages]:
    ordinary = max(0, memory * KIB_A_MIB - huge * HUGE_PAGE) // ORDINARY_PAGE
    pages = [Pages(size=ORDINARY_PAGE, total=ordinary)]
    return [*pages, Pages(size=HUGE_PAGE, total=huge)] if huge else pages
