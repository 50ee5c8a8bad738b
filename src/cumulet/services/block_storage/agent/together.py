# SPDX-License-Identifier: Apache-2.0
"""Copies of several volumes as of one and the same moment, whoever has each of them open.

Volumes that are closed are held closed. Those of one server are copied by it alone, in one transaction. Where several
have volumes open (servers, exports to other hosts), all of them hold still for the moment in which their copies begin.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

from cumulet.kernel.moment import Moment
from cumulet.services.block_storage.agent.disks import DisksForServers
from cumulet.services.block_storage.agent.exports import Exports
from cumulet.services.block_storage.types import SnapshotSpec

Targets: TypeAlias = Mapping[str, Path]
Format: TypeAlias = Literal["qcow2", "raw"]
Copy: TypeAlias = Callable[[Moment | None], None]


class CopiesTogether:
    """Through the openers of this host's volumes."""

    def __init__(self, disks: DisksForServers, exports: Exports) -> None:
        self._disks = disks
        self._exports = exports

    def copy(
        self, held: ExitStack, specs: Mapping[str, SnapshotSpec], targets: Targets, target_format: Format
    ) -> Collection[str]:
        """Copy what is open, by volume; the rest is held closed until `held` ends. The ids of those copied.

        NotReady where one is opened or closed meanwhile, Conflict (`StaleAttachment`) for an older attachment's order.
        """
        generations = {volume_id: spec.generation for volume_id, spec in specs.items()}
        exported = [volume_id for volume_id in targets if self._exports.find(volume_id) is not None]
        hypervisor = self._disks.hypervisor()
        servers = {} if hypervisor is None else hypervisor.openers([each for each in targets if each not in exported])
        opened = {*exported, *(volume_id for volumes in servers.values() for volume_id in volumes)}
        closed = [volume_id for volume_id in targets if volume_id not in opened]
        held.enter_context(self._disks.closed(closed, attached=any(specs[each].attached for each in closed)))
        copies: list[Copy] = []
        for volume_id in exported:
            generation = generations[volume_id]
            copies.append(partial(self._exports.copy_at, volume_id, targets[volume_id], target_format, generation))
        for server_id, volumes in servers.items():
            assert hypervisor is not None
            wanted = {volume_id: targets[volume_id] for volume_id in volumes}

            def through(moment: Moment | None, server_id: str = server_id, wanted: Targets = wanted) -> None:
                hypervisor.copy_together(server_id, wanted, target_format, generations=generations, moment=moment)

            copies.append(through)
        _at_once(copies)
        return opened


def _at_once(copies: list[Copy]) -> None:
    """Have all copies begin at one moment, and wait for their ends. Raises what the first one that failed did."""
    if len(copies) < 2:
        for copy in copies:
            copy(None)
        return
    moment = Moment(len(copies))

    def work(copy: Copy) -> None:
        try:
            copy(moment)
        except BaseException:
            moment.fail()
            raise

    with ThreadPoolExecutor(len(copies), thread_name_prefix="copies") as pool:
        ends = [pool.submit(work, copy) for copy in copies]
    for end in ends:
        end.result()
