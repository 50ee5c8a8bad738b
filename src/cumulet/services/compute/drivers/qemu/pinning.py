# SPDX-License-Identifier: Apache-2.0
"""On which of the host's processors QEMU's threads run: those that run the guest's, and its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import Monitor
from cumulet.services.compute.types import GuestNodes, HostNode

PROC = Path("/proc")
REALTIME_PRIORITY = 1


async def threads(monitor: Monitor) -> dict[int, int]:
    """The thread of each of the guest's processors."""
    return {each["cpu-index"]: each["thread-id"] for each in await monitor.execute("query-cpus-fast")}


def pin(pid: int, threads: Mapping[int, int], numa: GuestNodes | None, nodes: Sequence[HostNode]) -> None:
    """Give each thread its processors; nothing happens to a guest without nodes on a host where all are shared.

    Conflict where the host will not have it so.
    """
    shared = {cpu for node in nodes for cpu in node.shared}
    if numa is None and not any(node.dedicated for node in nodes):
        return
    places = places_of(numa, nodes) if numa is not None else dict.fromkeys(threads, shared)
    own = own_place(numa, places, shared)
    try:
        for task in (PROC / str(pid) / "task").iterdir():
            if int(task.name) not in threads.values():
                _set(int(task.name), own)
        for guest, thread in threads.items():
            _set(thread, places.get(guest, shared))
        for guest in numa.realtime if numa is not None else ():
            os.sched_setscheduler(threads[guest], os.SCHED_FIFO, os.sched_param(REALTIME_PRIORITY))
    except (OSError, KeyError) as error:
        raise Conflict(f"the guest's processors cannot be pinned: {error}", code="HypervisorFailed") from error


def places_of(numa: GuestNodes, nodes: Sequence[HostNode]) -> dict[int, set[int]]:
    """The host's processors on which each of the guest's may run."""
    there = {node.id: set(node.shared) for node in nodes}
    found: dict[int, set[int]] = {}
    for node in numa.nodes:
        found |= {cpu: there.get(node.host_node, set()) for cpu in node.cpus}
        found |= {guest: {host} for guest, host in node.pins}
    return found


def own_place(numa: GuestNodes | None, places: Mapping[int, set[int]], shared: set[int]) -> set[int]:
    """Where QEMU's own threads run."""
    if numa is None:
        return shared
    if numa.reserved:
        return set(numa.reserved)
    if numa.emulator == "share" and shared:
        return shared
    return {cpu for place in places.values() for cpu in place}


def _set(thread: int, cpus: set[int]) -> None:
    """A thread that ended meanwhile needs no place."""
    if not cpus:
        return
    try:
        os.sched_setaffinity(thread, cpus)
    except ProcessLookupError:
        return
