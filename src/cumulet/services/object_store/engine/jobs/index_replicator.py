# SPDX-License-Identifier: Apache-2.0
"""Brings what changed in the indexes of a device to their other replicas."""

from __future__ import annotations

from cumulet.kernel.errors import NotFound
from cumulet.services.object_store.drivers.index_base import IndexDevice
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.behind import INDEXES, Behind
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.types.indexes import SHARDING, UNSHARDED, Changed, Info, Key, Peer
from cumulet.services.object_store.types.merges import merged_state

PAGE = 1000
FULL = 60  # runs, one of which compares all indexes


class IndexReplicator:
    """For the devices of this process.

    Each run begins behind the last change that all replicas have; one in `full` begins at the first change, as does
    one that meets other rings, or a store of indexes which was not there before. Sharded roots with rows hold up
    nothing but what other replicas of theirs may lack: when their rows have gone to shards they have changed.
    """

    def __init__(self, places: Places, behind: Behind, full: int = FULL) -> None:
        self._places = places
        self._behind = behind
        self._full = full
        self._runs = 0
        self._peers: frozenset[str] = frozenset()
        self._rings = places.rings
        self._points: dict[str, int] = {}
        self._unmoved: dict[Node, set[Key]] = {}

    async def run(self) -> int:
        """How many indexes were brought to another replica, or handed back."""
        if len(self._places.devices) < 2:
            return 0
        peers = frozenset(node.indexes.identity for node in self._places.devices.values())
        rings = self._places.rings
        if peers != self._peers or rings is not self._rings or self._runs % self._full == 0:
            self._points.clear()
            self._unmoved.clear()
        self._peers, self._rings = peers, rings
        self._runs += 1
        begun = self._behind.begin(self._places.devices.values())
        done, well = 0, True
        for node in self._places.local():
            try:
                brought, all_well = await self._device(node)
            except TROUBLE:
                well = False
                continue
            done += brought
            well = well and all_well
        if well:
            lacking = {
                other for node, keys in self._unmoved.items() for key in keys for other in self._others(node, key)
            }
            self._behind.caught_up(INDEXES, {node: number for node, number in begun.items() if node not in lacking})
        return done

    async def _device(self, node: Node) -> tuple[int, bool]:
        """How many indexes were brought, and whether every replica has all of them."""
        source = self._places.timed(node).indexes
        unmoved = self._unmoved.setdefault(node, set())
        for key in list(unmoved):
            if await source.info(key) is None:
                unmoved.discard(key)
        done, all_well = 0, True
        after = self._points.get(source.identity, 0)
        while page := await source.changed(after, PAGE):
            for each in page:
                brought = await self._index(node, each)
                all_well = all_well and brought is not None
                done += bool(brought)
                after = each.change
                if all_well:
                    self._points[source.identity] = after
        return done, all_well

    async def _index(self, node: Node, changed: Changed) -> bool | None:
        """Whether something was brought; None where a replica that should have it has it not."""
        key, source = changed.key, self._places.timed(node).indexes
        done, safe = False, True
        for other in self._others(node, key):
            if other is None:
                safe = False
                continue
            try:
                done = await bring(source, self._places.timed(other).indexes, changed) or done
            except TROUBLE:
                safe = False
        info = await source.info(key)
        unmoved = self._unmoved[node]
        unmoved.discard(key)
        if info is not None and info.sharding != UNSHARDED and not info.bare:
            unmoved.add(key)  # it lies here until its shards have its rows
        elif safe and node not in self._places.index(key).primaries:
            done = await source.drop(key, changed.change) or done
        return done if safe else None

    def _others(self, node: Node, key: Key) -> list[Node | None]:
        """Where it should lie, too."""
        return [other for other in self._places.index(key).primaries if other is not node]


async def bring(source: IndexDevice, target: IndexDevice, changed: Changed) -> bool:
    """Whether there was anything that `target` did not know. The errors of devices are raised."""
    key = changed.key
    ours, theirs = await source.info(key), await target.info(key)
    if ours is None:
        return False  # dropped meanwhile
    done = False
    if theirs is None or merged_state(theirs.state, ours.state) != theirs.state:
        theirs = await target.merge_state(key, ours.state)
        done = True
    if ours.sharding != UNSHARDED or theirs.sharding != UNSHARDED:
        # Their rows go to shards, each replica's by itself: here they would come back from one to the other.
        return await _ranges(source, target, ours, theirs) or done
    if theirs.digest != ours.digest:
        done = await _rows(source, target, key) or done
    return done


async def _rows(source: IndexDevice, target: IndexDevice, key: Key) -> bool:
    """From the change on up to which `target` has heard of `source`."""
    peer = Peer(source.identity, True)
    point = (await target.sync_points(key)).get(peer, 0)
    news = 0
    try:
        if key.container:
            while objects := await source.object_rows(key, point, PAGE):
                point = objects[-1][0]
                news += await target.merge_objects(key, [row for _, row in objects], source=peer, point=point)
        else:
            while containers := await source.container_rows(key, point, PAGE):
                point = containers[-1][0]
                news += await target.merge_containers(key, [row for _, row in containers], source=peer, point=point)
    except NotFound:
        return False  # reclaimed or dropped meanwhile
    return news > 0


async def _ranges(source: IndexDevice, target: IndexDevice, ours: Info, theirs: Info) -> bool:
    """What either of them knows of ranges, and that it is sharded; whether `target` did not know that."""
    key = ours.key
    for giver, taker in ((source, target), (target, source)):
        found = await giver.ranges(key, deleted=True, own=True)
        if found:
            await taker.merge_ranges(key, found)
    for device, info in ((source, ours), (target, theirs)):
        if info.sharding == UNSHARDED:
            await device.set_sharding(key, SHARDING)
    return theirs.sharding == UNSHARDED
