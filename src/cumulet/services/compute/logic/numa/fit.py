# SPDX-License-Identifier: Apache-2.0
"""Fitting a guest's nodes on a host's: each on one of its own, with processors, memory and pages that nobody else has.

Nothing is held here: who finds a fit holds it in the commit in which no other is made on that host (`logic.parts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import msgspec

from cumulet.services.compute.logic.guest import exclusive
from cumulet.services.compute.logic.numa.wanted import WantedNode, WantedNodes
from cumulet.services.compute.types import GuestNode, GuestNodes, HostNode

KIB_A_MIB = 1024
MOST_STEPS = 20_000  # of the search for host nodes that are near enough to devices


class Ratios(msgspec.Struct, frozen=True):
    """How often a shared processor and a MiB of memory are given out."""

    cpu: float
    memory: float


class NodeRoom:
    """What is left of a host's node."""

    def __init__(self, node: HostNode) -> None:
        self.node = node
        self.own = set(node.dedicated)
        self.shared_used = 0
        self.memory_used = 0
        self.pages = {each.size: each.total - each.reserved for each in node.pages}

    @property
    def ordinary(self) -> int:
        """The size of the pages that memory is made of where nobody asks for a size, 0 where nobody counts them."""
        return min(self.pages, default=0)

    @property
    def threads(self) -> int:
        """How many threads a core has at most of those that servers may have."""
        own = set(self.node.dedicated)
        return max((len(own & set(core)) for core in self.node.siblings), default=1) or 1

    def take(self, taken: GuestNode) -> None:
        self.own -= {host for _, host in taken.pins}
        self.shared_used += len(taken.cpus) - len(taken.pins)
        self.memory_used += taken.memory
        size = taken.page_size or self.ordinary
        if size:
            self.pages[size] = self.pages.get(size, 0) - -(-taken.memory * KIB_A_MIB // size)

    def cores(self) -> list[list[int]]:
        """The free threads of each core that has any."""
        found = [sorted(self.own & set(core)) for core in self.node.siblings]
        alone = self.own - {cpu for core in found for cpu in core}
        return sorted([*filter(None, found), *([cpu] for cpu in alone)])


def rooms(host: Iterable[HostNode], held: Iterable[GuestNodes]) -> dict[int, NodeRoom]:
    """What is left of each of a host's nodes, by its id."""
    found = {node.id: NodeRoom(node) for node in host}
    for guest in held:
        for node in guest.nodes:
            if node.host_node in found:
                found[node.host_node].take(node)
        for room in found.values():
            room.own -= guest.own_cpus
    return found


def fit(
    left: Mapping[int, NodeRoom],
    wanted: WantedNodes,
    ratios: Ratios,
    *,
    devices: Mapping[int, int] | None = None,
    near: Callable[[set[int]], bool] = lambda _: True,
) -> GuestNodes | None:
    """The guest's nodes on the host's, or None where they do not fit.

    `near(ids of host nodes)` says whether these will do for the devices that are asked for; `devices` counts the free
    ones by node: nodes that have some are left to those who want some (`near` is given then).
    """
    order = sorted(left.values(), key=lambda room: _preference(room, wanted, devices or {}, wants=devices is not None))
    options = [
        {room.node.id: found for room in order if (found := _on(room, part, wanted, ratios, first=number == 0))}
        for number, part in enumerate(wanted.nodes)
    ]
    for chosen in _choices(options):
        if near(set(chosen)):
            picked = [options[number][host] for number, host in enumerate(chosen)]
            return GuestNodes(
                nodes=[node for node, _ in picked],
                emulator=wanted.emulator,
                reserved=[cpu for _, reserved in picked for cpu in reserved],
                realtime=sorted(wanted.realtime),
            )
    return None


def _preference(
    room: NodeRoom, wanted: WantedNodes, devices: Mapping[int, int], *, wants: bool
) -> tuple[int, int, int]:
    """The least is tried first: nodes with devices for those who want some, then those with most room."""
    there = devices.get(room.node.id, 0)
    cpus = -len(room.own) if wanted.is_pinned else room.shared_used
    return -there if wants else there, cpus, room.memory_used - room.node.memory


def _choices(options: Sequence[Mapping[int, object]]) -> Iterator[list[int]]:
    """The ways to give each guest node a host node of its own, up to a limit; who has fewest options chooses first."""
    order = sorted(range(len(options)), key=lambda number: len(options[number]))
    chosen: dict[int, int] = {}
    steps = 0

    def search(at: int) -> Iterator[list[int]]:
        nonlocal steps
        if at == len(order):
            yield [chosen[number] for number in range(len(options))]
            return
        for host in options[order[at]]:
            steps += 1
            if steps > MOST_STEPS:
                return
            if host not in chosen.values():
                chosen[order[at]] = host
                yield from search(at + 1)
                del chosen[order[at]]

    return search(0)


def _on(
    room: NodeRoom, part: WantedNode, wanted: WantedNodes, ratios: Ratios, *, first: bool
) -> tuple[GuestNode, list[int]] | None:
    """A guest's node on a host's, and the processors beside for the hypervisor; None where it does not fit."""
    size = _page_size(room, part, wanted)
    if size is None or not _has_shared(room, part, wanted, ratios):
        return None
    reserved = wanted.reserved_count if first else 0
    picked = _pick(room, len(part.own), reserved, wanted.threads) if wanted.is_pinned else ([], [])
    if picked is None:
        return None
    own, beside = picked
    pins = list(zip(sorted(part.own), own, strict=True))
    node = GuestNode(cpus=part.cpus, memory=part.memory, host_node=room.node.id, page_size=size, pins=pins)
    return node, beside


def _page_size(room: NodeRoom, part: WantedNode, wanted: WantedNodes) -> int | None:
    """The size of the pages that the node's memory is made of, 0 where nobody asked; None where there is not enough."""
    sizes = sorted(room.pages, reverse=True)
    if not wanted.page_size:
        if not sizes:
            free = room.node.memory - (room.memory_used if wanted.is_pinned else 0)
            return 0 if part.memory <= free else None
        ordinary = next(each for each in room.node.pages if each.size == sizes[-1])
        left = room.pages[sizes[-1]] if wanted.is_pinned else ordinary.total
        return 0 if part.memory * KIB_A_MIB <= left * sizes[-1] else None
    if wanted.page_size == exclusive.SMALL:
        sizes = sizes[-1:]
    elif wanted.page_size == exclusive.LARGE:
        sizes = sizes[:-1]
    elif wanted.page_size != exclusive.ANY:
        sizes = [each for each in sizes if each == wanted.page_size]
    memory = part.memory * KIB_A_MIB
    return next((size for size in sizes if memory % size == 0 and memory // size <= room.pages[size]), None)


def _has_shared(room: NodeRoom, part: WantedNode, wanted: WantedNodes, ratios: Ratios) -> bool:
    """Whether the node has the processors and the memory that are given out several times; no guest has one twice."""
    if wanted.policy == "dedicated":
        return True
    count, there = len(part.shared), len(room.node.shared)
    if count > there or room.shared_used + count > there * ratios.cpu:
        return False
    return room.memory_used + part.memory <= room.node.memory * ratios.memory


def _pick(room: NodeRoom, count: int, reserved: int, policy: str) -> tuple[list[int], list[int]] | None:
    """`count` free processors, and `reserved` others; whole cores first, None where the policy cannot be followed."""
    threads, cores = room.threads, room.cores()
    if count + reserved > len(room.own):
        return None
    if (policy == "isolate" and threads > 1) or (policy == "require" and threads < 2):
        return None
    for each in range(max(map(len, cores), default=1), 1 if policy == "require" else 0, -1):
        usable = [cpu for core in cores if len(core) >= each for cpu in core[:each]]
        if len(usable) >= count:
            return _with_reserved(room, usable[:count], reserved)
    if policy == "require":
        return None
    return _with_reserved(room, [cpu for core in cores for cpu in core][:count], reserved)


def _with_reserved(room: NodeRoom, own: list[int], reserved: int) -> tuple[list[int], list[int]]:
    return own, sorted(room.own - set(own))[:reserved]
