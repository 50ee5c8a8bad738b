# SPDX-License-Identifier: Apache-2.0
"""QEMU's own monitor behind libvirt, for what libvirt has no words for: internal snapshots of single disks.

Pieces of work that the QEMU driver does on a monitor are done here as they stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar, cast

from cumulet.kernel.qmp import Monitor, QmpError
from cumulet.services.compute.drivers.libvirt.library import LibvirtError
from cumulet.services.compute.drivers.libvirt.running import RunningDomain
from cumulet.services.compute.drivers.qemu import work
from cumulet.services.compute.drivers.qemu.work import Job

GROWTH_TRIES, GROWTH_PAUSE = 50, 0.1  # seconds
T = TypeVar("T")


class _Passed:
    """A monitor whose commands go through libvirt; it hears no events."""

    def __init__(self, domain: RunningDomain) -> None:
        self._domain = domain

    async def execute(self, command: str, **arguments: Any) -> Any:
        return await self.send(command, {name.replace("_", "-"): value for name, value in arguments.items()})

    async def send(self, command: str, words: Mapping[str, Any]) -> Any:
        try:
            return self._domain.ask_monitor(command, **words)
        except LibvirtError as error:
            raise QmpError("GenericError", str(error)) from error


def work_on(domain: RunningDomain, job: Job[T], *arguments: Any) -> T:
    """Do a piece of work that waits for no events. Raises QmpError."""

    async def do() -> T:
        return await job(cast(Monitor, _Passed(domain)), *arguments)

    return asyncio.run(do())


async def see_growth(monitor: Monitor, node: str, size: int) -> None:
    """Let the guest see that the volume, which its exporter has made larger, has `size` bytes. Raises QmpError."""
    for left in range(GROWTH_TRIES, -1, -1):
        try:
            await work.resize_disk(monitor, node, size)
        except QmpError as error:
            # It comes back to the export in the background.
            if "NBD" not in str(error) or not left:
                raise
            await asyncio.sleep(GROWTH_PAUSE)
        else:
            return


def node_of(domain: RunningDomain, alias: str) -> str:
    """The block node of the disk with this alias; QmpError where there is none."""
    for entry in domain.ask_monitor("query-block"):
        if f"/{alias}/" in f"{entry.get('qdev', '')}/" and "inserted" in entry:
            return str(entry["inserted"]["node-name"])
    raise QmpError("GenericError", f"no disk {alias}")
