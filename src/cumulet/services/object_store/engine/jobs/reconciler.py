# SPDX-License-Identifier: Apache-2.0
"""Moves objects to the storage policy of their container, where two had made it with different ones.

As in Swift: what is moved has an offset behind its stamp, larger than that of the tombstone which it leaves, and
smaller than any other time. So each step may be done again, here or by another replica, and later writes stay.
"""

from __future__ import annotations

import logging

import msgspec

from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.by_policy import EveryObject
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.jobs.watching import Watch, for_each
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.engine.sharding.names import root_of
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Info, Key, ObjectRow, Peer
from cumulet.services.object_store.types.objects import Kind, Version

LOG = logging.getLogger(__name__)

WATCHED = "misplaced objects"
PAGE = 1000
BURIED, MOVED = 1, 3  # offsets of what is left and of what is moved


def wanted(info: Info) -> bool:
    """Whether it is a container that may have objects in another policy than its own."""
    if not info.key.container:
        return False
    policies = {each.policy for each in info.state.choices} | {
        policy for policy, count in info.counts.items() if count.objects
    }
    return bool(policies - {info.policy})


class Reconciler:
    """For the containers of this process's devices; of several replicas the first that answers sees to it.

    An object that no device has is given up `keep` seconds after its entry was made.
    """

    def __init__(self, places: Places, watch: Watch, objects: EveryObject, indexes: Indexes, keep: float) -> None:
        self._places, self._watch, self._objects, self._indexes, self._keep = places, watch, objects, indexes, keep
        watch.want(WATCHED, wanted)

    async def run(self) -> int:
        """How many objects were moved, or deleted where they should be."""
        return await for_each(self._places, self._watch, WATCHED, self._container)

    async def _container(self, node: Node, key: Key) -> int:
        device = self._places.timed(node).indexes
        try:
            own, known = await device.info(key), await self._indexes.info(key, newest=True)
        except Unavailable:
            return 0
        if own is None or known is None or own.policy != known.policy:
            return 0  # the replicas have not agreed yet
        return await self._rows(device, key, known.policy, root_of(own) or key)

    async def _rows(self, device: IndexDevice, key: Key, policy: int, container: Key) -> int:
        """What is behind the point up to which all has been moved to `policy`."""
        point = Peer(f"reconciled-{policy}", False)
        after = (await device.sync_points(key)).get(point, 0)
        done, well = 0, True
        while page := await device.object_rows(key, after, PAGE, misplaced=True):
            for number, row in page:
                after = number
                try:
                    moved = await self._row(container, row, policy)
                except (Unavailable, *TROUBLE) as error:
                    LOG.info("object %s in %s stays in policy %d: %s", row.name, "/".join(container), row.policy, error)
                    moved = None
                well = well and moved is not None
                done += bool(moved)
            if well:
                await device.set_sync_point(key, point, after)
        return done

    async def _row(self, key: Key, row: ObjectRow, policy: int) -> bool | None:
        """Whether something was done; None where that is still to come."""
        source, target = Name(*key, row.name, row.policy), Name(*key, row.name, policy)
        there = await self._objects.head(target, newest=True)
        found = await self._objects.head(source, newest=True)
        if row.deleted and (found is None or found.kind is Kind.TOMBSTONE):
            return await self._bury(target, there, row.stamp)
        if found is None or found.stamp < row.stamp:
            return False if row.stamp < stamps.now() - stamps.stamp(self._keep) else None
        if found.kind is Kind.TOMBSTONE:
            return False  # its entry is on the way
        if (there is None or there.stamp < found.stamp) and not await self._copy(source, target):
            return None
        await self._objects.remove(source, found.stamp + BURIED)
        return True

    async def _bury(self, target: Name, there: Version | None, stamp: int) -> bool:
        if there is not None and there.stamp >= stamp:
            return False
        await self._objects.remove(target, stamp)
        return True

    async def _copy(self, source: Name, target: Name) -> bool:
        reading = await self._objects.read(source, newest=True)
        if reading is None:
            return False
        async with reading:
            version = reading.version
            stamp = version.stamp + MOVED
            async with await self._objects.write(target, version.size) as writing:
                async for piece in reading.chunks():
                    await writing.write(piece)
                if (writing.size, await writing.etag()) != (version.size, version.etag):
                    LOG.warning("object %s in %s is damaged in policy %d", source.object, source.listing, source.policy)
                    return False
                await writing.commit(
                    msgspec.structs.replace(
                        version,
                        stamp=stamp,
                        meta_stamp=max(stamp, version.meta_stamp),
                        type_stamp=max(stamp, version.type_stamp),
                    )
                )
        return True
