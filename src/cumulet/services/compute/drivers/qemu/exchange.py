# SPDX-License-Identifier: Apache-2.0
"""Giving a running server another volume in the place of one that it has, with its content: mirrored, then exchanged.

The guest keeps its device; below it the new volume takes the place of the old one at a moment at which both are alike.
A piece of work that was interrupted anywhere is done again from its beginning, or found done.
"""

from __future__ import annotations

from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import Event, Monitor, QmpError
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import work
from cumulet.services.compute.drivers.qemu.command_line import block_arguments, credentials_arguments, volume_node
from cumulet.services.compute.types import VolumeSpec

JOB = "exchange"
_READY, _DONE, _CANCELLED = "BLOCK_JOB_READY", "BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED"


async def exchange_disk(monitor: Monitor, old_id: str, volume: VolumeSpec, disk: Disk) -> None:
    """Put `volume`, which is opened at `disk`, in the place of the volume `old_id`.

    Conflict (`HypervisorFailed`) where the guest has neither, or where the new one is too small or cannot be written.
    """
    old, new = volume_node(old_id), volume_node(volume.volume_id)
    await _end_job(monitor)
    if await work.device_of_node(monitor, new) is None:
        if await work.device_of_node(monitor, old) is None:
            raise Conflict(f"volume {old_id} is not open here", code="HypervisorFailed")
        await work.remove_disk(monitor, new)
        try:
            await _mirror(monitor, old, new, volume, disk)
        except BaseException:
            await _end_job(monitor)
            await work.remove_disk(monitor, new)
            raise
    await work.remove_disk(monitor, old)


async def settle(monitor: Monitor, old_id: str, volume: VolumeSpec) -> bool:
    """End what was interrupted: whether the guest has the new volume. The other one is closed then."""
    await _end_job(monitor)
    new = volume_node(volume.volume_id)
    has_new = await work.device_of_node(monitor, new) is not None
    await work.remove_disk(monitor, volume_node(old_id) if has_new else new)
    return has_new


async def _mirror(monitor: Monitor, old: str, new: str, volume: VolumeSpec, disk: Disk) -> None:
    if (secret := credentials_arguments(new, disk)) is not None:
        await monitor.send("object-add", secret)
    below = work.node_below(new)
    await monitor.send("blockdev-add", {**block_arguments(new, disk), "node-name": below})
    sizes = await _sizes(monitor)
    if sizes[below] < sizes[old]:
        raise Conflict(f"volume {volume.volume_id} is too small", code="HypervisorFailed")
    # A mirror wants disks of one size: until the exchange only the first part of a larger one is seen.
    whole = {"node-name": new, "driver": "raw", "discard": "unmap", "file": below}
    if sizes[below] > sizes[old]:
        await monitor.send("blockdev-add", {**whole, "size": sizes[old]})
    else:
        await monitor.execute("blockdev-del", node_name=below)
        await monitor.send("blockdev-add", block_arguments(new, disk))
    await monitor.execute("blockdev-mirror", job_id=JOB, device=old, target=new, sync="full")
    await _await(monitor, _READY)
    await monitor.execute("block-job-complete", device=JOB)
    await _await(monitor, _DONE)
    if sizes[below] > sizes[old]:
        await monitor.send("blockdev-reopen", {"options": [whole]})
        await work.resize_disk(monitor, new, sizes[below])


async def _await(monitor: Monitor, wanted: str) -> None:
    ends = (wanted, _DONE, _CANCELLED)
    event = await monitor.wait(lambda each: _is_of_job(each) and each["event"] in ends, work.COPY_TIMEOUT)
    if event["event"] != wanted or "error" in event["data"]:
        raise QmpError("GenericError", event["data"].get("error", "the exchange was cancelled"))


async def _end_job(monitor: Monitor) -> None:
    """Cancel an exchange under way; one that was about to end ends well."""
    for job in await monitor.execute("query-block-jobs"):
        if job["device"] == JOB:
            await monitor.execute("block-job-cancel", device=JOB, force=True)
            await monitor.wait(_is_end_of_job, work.COPY_TIMEOUT)


async def _sizes(monitor: Monitor) -> dict[str, int]:
    return {
        entry["node-name"]: int(entry["image"]["virtual-size"])
        for entry in await monitor.execute("query-named-block-nodes")
    }


def _is_end_of_job(event: Event) -> bool:
    return _is_of_job(event) and event["event"] != _READY


def _is_of_job(event: Event) -> bool:
    return event["event"] in (_READY, _DONE, _CANCELLED) and bool(event["data"]["device"] == JOB)
