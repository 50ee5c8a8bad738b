# SPDX-License-Identifier: Apache-2.0
"""What lies on the devices of a store whose processes have ended, looked at by one that has all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from cumulet.services.object_store.drivers.base import ObjectDevice
from cumulet.services.object_store.drivers.nodes import Where
from cumulet.services.object_store.engine.assembly import opened
from cumulet.services.object_store.engine.coded.scheme import whole_of
from cumulet.services.object_store.engine.jobs.upkeep import Upkeep
from cumulet.services.object_store.engine.places import Places
from cumulet.services.object_store.logic.standing import Alone, Standing
from cumulet.services.object_store.types.objects import WHOLE, Entry, Kind
from cumulet.settings import load


async def examine(state: Path, others: Mapping[Where, Path], count: int) -> None:
    """After upkeep of all `count` devices, those in `state` and `others` of other hosts: each replica and fragment is
    whole, at its place and as the others, and nothing is anywhere else or owed."""
    settings = load(environ={}, overrides={"state": str(state), "object_store.workers": "1"})
    reach = Alone()
    async with contextlib.AsyncExitStack() as stack:
        for where, folder in others.items():
            reach.nodes[where] = await stack.enter_async_context(opened(folder, where[2]))
        standing = await Standing.open(settings.objects_folder, settings.object_store, reach)
        stack.push_async_callback(standing.close)
        upkeep = Upkeep(standing.engine)
        for _ in range(3):
            for job in upkeep.jobs:
                if job.name != "reclaimer":
                    await job.run()
        places = standing.engine.places
        assert len(places.devices) == count
        for node in places.devices.values():
            assert (await node.objects.audit()).damaged == ()
            assert await node.objects.owed() == []
            assert await node.objects.pending() == []
        await _compare(places)


async def _compare(places: Places) -> None:
    found: dict[tuple[int, str], list[tuple[Where, Entry]]] = {}
    for where, node in places.devices.items():
        for entry in await _entries(node.objects):
            found.setdefault((entry.address.policy, entry.address.hash), []).append((where, entry))
    kinds = {(policy, entry.version.kind) for (policy, _), copies in found.items() for _, entry in copies}
    assert kinds >= {(policy, Kind.DATA) for policy in places.rings.objects}
    for copies in found.values():
        address = copies[0][1].address
        ring = places.ring(address.policy)
        homes = [(each.ip, each.port, each.device) for each in ring.nodes(address.partition)]
        whole = address.fragment == WHOLE
        wanted = [(where, WHOLE if whole else place) for place, where in enumerate(homes)]
        there = [(where, entry.address.fragment) for where, entry in copies]
        assert sorted(there) == sorted(wanted), address
        versions = [entry.version if whole else whole_of(entry.version) for _, entry in copies]
        assert len(set(map(repr, versions))) == 1, versions


async def _entries(device: ObjectDevice) -> list[Entry]:
    found = []
    for policy, part in await device.partitions():
        for suffix in await device.digests(policy, part):
            found += await device.entries(policy, part, suffix)
    return found
