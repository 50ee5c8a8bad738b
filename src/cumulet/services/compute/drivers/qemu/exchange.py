# SPDX-License-Identifier: Apache-2.0
"""Giving a running server another volume in the place of one that it has, with its content: mirrored, then exchanged.

The guest keeps its device; below it the new volume takes the place of the old one at a moment at which both are alike.
A piece of work that was interrupted anywhere is done again from its beginning, or found done.
"""

from __future__ import annotations

import contextlib
from typing import Any

from cumulet.kernel.errors import Conflict
from cumulet.kernel.qmp import Event, Monitor, QmpError
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import work
from cumulet.services.compute.drivers.qemu.command_line import (
    block_arguments,
    credentials_arguments,
    opened_node,
    volume_node,
)
from cumulet.services.compute.types import VolumeSpec

JOB = "exchange"
STILL = 1.0  # seconds that a guest may stand still for an exchange, by the rate of the copying
_LOOK = 0.5  # seconds
_READY, _DONE, _CANCELLED = "BLOCK_JOB_READY", "BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED"


async def exchange_disk(monitor: Monitor, old_id: str, volume: VolumeSpec, disk: Disk) -> None:
    """Put `volume`, which is opened at `disk`, in the place of the volume `old_id`.

    Conflict (`HypervisorFailed`) where the guest has neither, or where the new one is too small or cannot be written.
    """
    old, new = await work.current_node(monitor, volume_node(old_id)), volume_node(volume.volume_id)
    if disk.key or opened_node(volume_node(old_id)) in await _sizes(monitor):
        raise Conflict("encrypted volumes are not exchanged", code="HypervisorFailed")
    await end_job(monitor)
    if await work.device_of_node(monitor, new) is None:
        if await work.device_of_node(monitor, old) is None:
            raise Conflict(f"volume {old_id} is not open here", code="HypervisorFailed")
        await work.remove_disk(monitor, new)
        try:
            await _mirror(monitor, old, new, volume, disk)
        except BaseException:
            await end_job(monitor)
            await work.remove_disk(monitor, new)
            raise
    await _show_all(monitor, new)
    await work.remove_disk(monitor, old)


async def settle(monitor: Monitor, old_id: str, volume: VolumeSpec) -> bool:
    """End what was interrupted: whether the guest has the new volume. The other one is closed then."""
    await end_job(monitor)
    new = volume_node(volume.volume_id)
    has_new = await work.device_of_node(monitor, new) is not None
    if has_new:
        await _show_all(monitor, new)
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
    if sizes[below] > sizes[old]:
        await monitor.send("blockdev-add", {**_whole(new), "size": sizes[old]})
    else:
        await monitor.execute("blockdev-del", node_name=below)
        await monitor.send("blockdev-add", block_arguments(new, disk))
    await monitor.execute("blockdev-mirror", job_id=JOB, device=old, target=new, sync="full")
    await _await(monitor, _READY)
    await pivot(monitor)


def _whole(new: str) -> dict[str, str]:
    return {"node-name": new, "driver": "raw", "discard": "unmap", "file": work.node_below(new)}


async def _show_all(monitor: Monitor, new: str) -> None:
    """Let the guest see all of a volume that is larger than the one in whose place it is."""
    size = (await _sizes(monitor)).get(work.node_below(new))
    if size is not None:
        await monitor.send("blockdev-reopen", {"options": [_whole(new)]})
        await work.resize_disk(monitor, new, size)


async def mirror(monitor: Monitor, old: str, new: str) -> None:
    """Make the node `new` nearly what the node `old` is and becomes: copying the rest takes about `STILL` seconds.

    The guest never waits for the new one. TimeoutError where it always writes faster than is copied.
    """
    await monitor.execute("blockdev-mirror", job_id=JOB, device=old, target=new, sync="full")
    copied: int | None = None
    for _ in range(int(work.COPY_TIMEOUT / _LOOK)):
        with contextlib.suppress(TimeoutError):
            return await _await(monitor, _READY, _LOOK)
        if (job := await _find_job(monitor)) is not None:
            # Where nothing is copied at all, the guest would stand for as long as the new disk is away.
            if copied is not None and 0 < job["offset"] - copied >= (job["len"] - job["offset"]) * _LOOK / STILL:
                return
            copied = job["offset"]
    raise TimeoutError


async def pivot(monitor: Monitor, timeout: float = work.COPY_TIMEOUT) -> None:
    """Give whoever shows the mirrored node the other one; both steps may take `timeout` seconds."""
    job = await _find_job(monitor)
    if job is not None and not job["ready"]:
        await _await(monitor, _READY, timeout)
    await monitor.execute("block-job-complete", device=JOB)
    await _await(monitor, _DONE, timeout)


async def _await(monitor: Monitor, wanted: str, timeout: float = work.COPY_TIMEOUT) -> None:
    ends = (wanted, _DONE, _CANCELLED)
    event = await monitor.wait(lambda each: _is_of_job(each) and each["event"] in ends, timeout)
    if event["event"] != wanted or "error" in event["data"]:
        raise QmpError("GenericError", event["data"].get("error", "the exchange was cancelled"))


async def end_job(monitor: Monitor) -> None:
    """Cancel an exchange under way; one that was about to end ends well."""
    if await _find_job(monitor) is not None:
        await monitor.execute("block-job-cancel", device=JOB, force=True)
        await monitor.wait(_is_end_of_job, work.COPY_TIMEOUT)


async def _find_job(monitor: Monitor) -> dict[str, Any] | None:
    jobs: list[dict[str, Any]] = await monitor.execute("query-block-jobs")
    return next((job for job in jobs if job["device"] == JOB), None)


async def _sizes(monitor: Monitor) -> dict[str, int]:
    return {
        entry["node-name"]: int(entry["image"]["virtual-size"])
        for entry in await monitor.execute("query-named-block-nodes")
    }


def _is_end_of_job(event: Event) -> bool:
    return _is_of_job(event) and event["event"] != _READY


def _is_of_job(event: Event) -> bool:
    return event["event"] in (_READY, _DONE, _CANCELLED) and bool(event["data"]["device"] == JOB)
