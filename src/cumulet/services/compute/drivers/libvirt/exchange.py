# SPDX-License-Identifier: Apache-2.0
"""Giving a running domain another volume in the place of one that it has, with its content: copied, then exchanged."""

from __future__ import annotations

import queue
import time
from pathlib import Path

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt import library, places, plugged
from cumulet.services.compute.drivers.libvirt.connection import Connection, Heard
from cumulet.services.compute.drivers.libvirt.copies import TIMEOUT
from cumulet.services.compute.drivers.libvirt.disks import local_path
from cumulet.services.compute.drivers.libvirt.running import RunningDomain
from cumulet.services.compute.drivers.libvirt.words import element, write
from cumulet.services.compute.drivers.qemu import overlay


def exchange_disk(
    connection: Connection, domain: RunningDomain, folder: Path, server_id: str, old_id: str, new_id: str, source: Disk
) -> None:
    """Put the volume `new_id`, which is opened at `source`, in the place of the volume `old_id`.

    Conflict (`HypervisorFailed`) where the guest has neither, or where the new one is too small or cannot be written.
    """
    there = domain.description()
    if places.find(folder, there, new_id) is not None:
        return
    alias = places.find(folder, there, old_id)
    if alias is None:
        raise Conflict(f"volume {old_id} is not open here", code="HypervisorFailed")
    plugged.check_plain(there, alias)
    target = plugged.targets(there)[alias]
    domain.end_block_job(target)
    path, wanted = Path(local_path(source)), domain.disk_size(target)
    size = max(overlay.size_of(path, source.format), places.size_of(folder, new_id))
    if size < wanted:
        raise Conflict(f"volume {new_id} is too small", code="HypervisorFailed")
    if size > wanted:
        # Copies want disks of one size, and nothing of the new one is wanted: it is made larger again afterwards.
        places.add(folder, there, places.Place(new_id, "", str(path), size))
        overlay.cut(path, source.format, wanted)
    copy = element("disk", element("source", file=str(path)), element("driver", type=source.format), type="file")
    with connection.listening(server_id) as heard:
        domain.begin_block_copy(target, write(copy))
        try:
            _await_copy(heard, target)
            places.add(folder, there, places.Place(new_id, alias, str(path), size))
            domain.end_block_job(target, pivot=True)
        except BaseException:
            domain.end_block_job(target)
            raise
    if size > domain.disk_size(target):
        domain.resize_disk(target, size)


def settle(domain: RunningDomain, folder: Path, old_id: str, new_id: str) -> bool:
    """End what was interrupted: whether the guest has the new volume."""
    there = domain.description()
    if (alias := places.find(folder, there, old_id)) is not None:
        domain.end_block_job(plugged.targets(there)[alias])
    return places.find(folder, domain.description(), new_id) is not None


def _await_copy(heard: queue.SimpleQueue[Heard], target: str) -> None:
    """Wait until the two are alike."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            told = heard.get(timeout=max(deadline - time.monotonic(), 0.0))
        except queue.Empty:
            raise Conflict("the copy took too long", code="HypervisorFailed") from None
        if told == Heard("block", (target, library.BLOCK_JOB_READY)):
            return
        if told.kind == "ended" or (told.kind == "block" and told.what[0] == target):
            raise Conflict("the volume could not be copied", code="HypervisorFailed")
