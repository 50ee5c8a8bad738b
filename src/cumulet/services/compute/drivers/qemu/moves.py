# SPDX-License-Identifier: Apache-2.0
"""Bringing a volume of a running server to another disk: mirrored while the guest writes, then exchanged.

What the guest writes meanwhile is copied again; it never waits for the new disk. (A mirror that writes to both at once
would have it stand for as long as the new one is away, and QEMU 7.2 corrupts its heap where such a job ends early.) For
the rest, and for the exchange, the guest stands still: until what follows from it is written down nothing is on the one
disk that is not on the other. The device keeps its name; the block node's tells by which attachment the disk is open,
until the next start. What was interrupted is begun anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import Monitor
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import exchange, work
from cumulet.services.compute.drivers.qemu.command_line import (
    block_arguments,
    credentials_arguments,
    moved_node,
    volume_node,
)
from cumulet.services.compute.types import VolumeSpec

PIVOT_TIME = 30.0  # seconds


async def move_disk(monitor: Monitor, volume: VolumeSpec, disk: Disk, moved: Callable[[], Awaitable[object]]) -> None:
    """Put `disk` in the place of the one on which the guest has the volume; `moved` is awaited as in `base`.

    Conflict (`HypervisorFailed`) where the guest has not the volume, or where that is a container.
    """
    node, ordinary = moved_node(volume.volume_id, volume.generation), volume_node(volume.volume_id)
    await exchange.end_job(monitor)
    now = await work.shown_node(monitor, ordinary)
    if now is None:
        raise Conflict(f"volume {volume.volume_id} is not open here", code="HypervisorFailed")
    if disk.key or now.startswith("luks"):
        raise Conflict("encrypted volumes are not moved", code="HypervisorFailed")
    if now == node:
        await moved()
        return
    await work.remove_disk(monitor, node)
    try:
        if (secret := credentials_arguments(node, disk)) is not None:
            await monitor.send("object-add", secret)
        await monitor.send("blockdev-add", block_arguments(node, disk))
        await exchange.mirror(monitor, now, node)
    except BaseException:
        await exchange.end_job(monitor)
        if await work.shown_node(monitor, ordinary) == now:
            await work.remove_disk(monitor, node)
        raise
    runs = (await monitor.execute("query-status"))["running"]
    if runs:
        await monitor.execute("stop")
    try:
        await exchange.pivot(monitor, PIVOT_TIME)
    except BaseException:
        await exchange.end_job(monitor)
        if await work.shown_node(monitor, ordinary) == now:
            await work.remove_disk(monitor, node)
            if runs:
                await monitor.execute("cont")
        raise
    await moved()
    if runs:
        await monitor.execute("cont")
    await work.remove_disk(monitor, now)


async def has_moved(monitor: Monitor, volume: VolumeSpec) -> bool:
    """End what was interrupted: whether the guest has the volume on this disk. The other one is closed then."""
    await exchange.end_job(monitor)
    node, ordinary = moved_node(volume.volume_id, volume.generation), volume_node(volume.volume_id)
    now = await work.shown_node(monitor, ordinary)
    for entry in await monitor.execute("query-named-block-nodes"):
        name = entry["node-name"]
        if now is not None and name != now and name in (node, ordinary):
            await work.remove_disk(monitor, name)
    return now == node
