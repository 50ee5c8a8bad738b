# SPDX-License-Identifier: Apache-2.0
"""Shards containers that have grown, and the shards in turn; merges those that have become small.

The ranges of a container are those of its root, on all of its replicas. One process leads: that of the first replica at
hand. It does one step after the other, each of which leaves a state that anybody can go on from, and that two may do at
once: what is known of ranges is merged by stamps.

1. FOUND: where to split. The root is `sharding` from now on, so that whoever lists it asks for its ranges.
2. CREATED: there are indexes. Every replica of the root learns that listings have to ask them.
3. CLEAVED: they take rows. What is to be emptied, a shard that was split or is merged with its neighbour, is fenced: it
   refuses rows. From then on its rows go to others (`mover.py`), as do those of the root.
4. ACTIVE: no majority of what was split has rows any more. A shard that was emptied is forgotten.

A name is listed out of all that may have it, so listings are complete at each moment; a row that comes to the root from
somebody who knows no better is listed, and moved.
"""

from __future__ import annotations

import logging

from cumulet.kernel import faults
from cumulet.kernel.errors import Conflict, CumuletError, NotFound
from cumulet.services.object_store.engine.asking import TROUBLE, Asker
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.places import Node, Places, where
from cumulet.services.object_store.engine.sharding import plans as plans
from cumulet.services.object_store.engine.sharding.keeping import ShardKeeper
from cumulet.services.object_store.engine.sharding.mover import Mover
from cumulet.services.object_store.engine.sharding.names import ENABLED, SENT, is_shard, key_of, root_of
from cumulet.services.object_store.engine.sharding.root import Root
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import (
    DRAINED_RANGES,
    SHARDED,
    SHARDING,
    UNSHARDED,
    Info,
    Key,
    RangeState,
    ShardRange,
)

LOG = logging.getLogger(__name__)

PAGE = 1000
FULL = 60  # runs, one of which looks at all indexes


class Sharder:
    """For the devices of this process. What is left of a shard without a root goes when it is `keep` seconds old."""

    def __init__(
        self, places: Places, asker: Asker, indexes: Indexes, sizes: plans.Sizes, keep: float, full: int = FULL
    ) -> None:
        self._places = places
        self._asker = asker
        self._indexes = indexes
        self._sizes = sizes
        self._keep = keep
        self._full = full
        self._runs = 0
        self._keeper = ShardKeeper(places, asker)
        self._mover = Mover(indexes)
        self._points: dict[str, int] = {}
        self._due: dict[str, set[Key]] = {}

    async def run(self) -> int:
        """How many rows were moved and steps done."""
        done = 0
        every = self._runs % self._full == 0
        self._runs += 1
        for node in self._places.local():
            try:
                done += await self._device(node, every)
            except TROUBLE:
                continue
        return done

    async def shard(self, key: Key, size: int) -> list[ShardRange]:
        """Begin to split a container into pieces of `size` objects, whatever it has; what is done then is `run`'s.

        NotFound where it is not there, Conflict where it is sharded, is sent to another one, or has not enough.
        """
        info = await self._indexes.info(key, newest=True)
        if info is None or not info.exists or is_shard(key):
            raise NotFound("There is no such container.")
        if _is_sent(info):
            raise Conflict("The container is sent to another one, and so stays whole.", code="Sent")
        root = await Root.read(self._indexes.shards, info)
        if root.live:
            raise Conflict("The container is sharded already.", code="Sharded")
        if not await self._find(root, size):
            raise Conflict(f"The container has no more than {size} objects.", code="TooSmall")
        await self._begin(root)
        return root.live

    async def _device(self, node: Node, every: bool) -> int:
        device = self._places.timed(node).indexes
        due = self._due.setdefault(device.identity, set())
        done = 0
        for key in list(due):
            done += await self._index(node, key, due, every)
        after = 0 if every else self._points.get(device.identity, 0)
        while page := await device.changed(after, PAGE):
            after = page[-1].change
            for each in page:
                if each.key.container:
                    done += await self._index(node, each.key, due, every)
        self._points[device.identity] = after
        return done

    async def _index(self, node: Node, key: Key, due: set[Key], every: bool) -> int:
        """`due` is to be looked at again with the next run."""
        done, again = 0, True
        try:
            done, again = await self._look(node, key, every)
        except TROUBLE:
            pass
        except CumuletError as error:
            LOG.warning("container %s: not sharded any further for now: %s", "/".join(key), error)
        if again:
            due.add(key)
        else:
            due.discard(key)
        return done

    async def _look(self, node: Node, key: Key, every: bool) -> tuple[int, bool]:
        device = self._places.timed(node).indexes
        info = await device.info(key)
        if info is None:
            return 0, False
        done, again = 0, False
        if info.sharding != UNSHARDED and not info.bare:
            done, empty = await self._mover.move(device, info)
            again = not empty
        if info.fenced:
            again = await self._given_up(info) or again
        if not self._leads(node, key):
            return done, again or await self._is_under_way(node, info)
        if not info.root:
            if every:
                await self._orphan(info)
            return done, again
        if info.sharding == UNSHARDED and not (info.exists and self._grown(info)):
            return done, again
        root = await Root.read(self._indexes.shards, info)
        before = root.steps
        pending = await self._lead(root)
        return done + root.steps - before, again or pending

    async def _is_under_way(self, node: Node, info: Info) -> bool:
        """Whether it may have to be led from here, when who leads it now does so no more."""
        if not info.root or info.sharding == UNSHARDED:
            return False
        ranges = await self._places.timed(node).indexes.ranges(info.key)
        return info.sharding == SHARDING or any(each.state != RangeState.ACTIVE for each in ranges)

    def _grown(self, info: Info) -> bool:
        return self._may(info) and info.total.objects >= self._sizes.threshold

    def _may(self, info: Info) -> bool:
        """Whether it is split and merged without being told each time."""
        asked = info.state.metadata.get(ENABLED, ("", 0))[0] == "True"
        return (self._sizes.auto or asked) and not _is_sent(info)

    def _leads(self, node: Node, key: Key) -> bool:
        """Whether it is the first replica at hand that lacks nothing."""
        spot = self._places.index(key)
        found = (self._places.devices.get(where(each)) for each in spot.ring.nodes(spot.part))
        there = [each for each in found if each is not None]
        return min(there, key=self._asker.avoids, default=None) is node

    async def _lead(self, root: Root) -> bool:
        """Whether there is more to be done."""
        if not root.live and not (root.info.exists and await self._find(root, self._sizes.rows_per_shard)):
            return False
        await self._begin(root)
        await self._tile(root)
        await self._make(root)
        await self._empty(root)
        await self._settle(root)
        if any(each.state != RangeState.ACTIVE for each in root.live):
            return True
        return self._may(root.info) and await self._resize(root)

    async def _find(self, root: Root, size: int, shard: ShardRange | None = None) -> bool:
        """Whether there is more than one piece, of the root or of a `shard`."""
        key, lower, upper = (key_of(shard.name), shard.lower, shard.upper) if shard else (root.key, "", "")
        pieces = await self._keeper.find(key, size, lower, upper, min(self._sizes.minimum, max(size // 5, 1)))
        if len(pieces) < 2:
            return False
        found = root.new_ranges(key, pieces)
        if shard is not None:
            found.append(plans.in_state(shard, RangeState.SHARDING, stamps.now()))
        await root.save(found)
        faults.point("object_sharder.found")
        return True

    async def _begin(self, root: Root) -> None:
        """Have whoever lists the root ask for ranges."""
        await self._keeper.begin(root.key)
        if root.info.sharding == UNSHARDED:
            self._indexes.forget(root.key)
        faults.point("object_sharder.begun")

    async def _tile(self, root: Root) -> None:
        """Make good what two who led at once, or a kill, have left: ranges that overlap, and gaps."""
        found = plans.tiling(root.live)
        now = stamps.now()
        extra = [plans.in_state(each, RangeState.SHRINKING, now) for each in found.extra]
        gaps = root.new_ranges(root.key, found.gaps)
        if extra or gaps:
            await root.save([*extra, *gaps])
            faults.point("object_sharder.tiled")

    async def _make(self, root: Root) -> None:
        found = root.of(RangeState.FOUND)
        for each in found:
            await self._keeper.make(key_of(each.name), root.key, each.stamp, root.info.policy)
            faults.point("object_sharder.made")
        await root.change(found, RangeState.CREATED)
        faults.point("object_sharder.created")
        await root.change(root.of(RangeState.CREATED), RangeState.CLEAVED)
        faults.point("object_sharder.cleaved")

    async def _empty(self, root: Root) -> None:
        """Fence what others take the rows of, and move those that are here."""
        for each in root.draining:
            if not plans.covered(each, root.live):
                continue
            key = key_of(each.name)
            await self._keeper.begin(key)
            faults.point("object_sharder.fenced")
            for node in self._places.index(key).primaries:
                if node is None or not node.local:
                    continue
                device = self._places.timed(node).indexes
                info = await device.info(key)
                if info is not None and not info.bare:
                    await self._mover.move(device, info)

    async def _settle(self, root: Root) -> None:
        for each in root.draining:
            key = key_of(each.name)
            if plans.covered(each, root.live) and await self._keeper.is_drained(key):
                await self._keeper.forget(key, stamps.now())
                faults.point("object_sharder.forgotten")
                await root.save([plans.drained(each, stamps.now())])
                faults.point("object_sharder.drained")
        replicas = [(node, info) for node, info in await self._keeper.replicas(root.key) if info is not None]
        for node, info in replicas:
            if info.bare and info.sharding == SHARDING:
                await self._places.timed(node).indexes.set_sharding(root.key, SHARDED)
        if not all(info.bare for _, info in replicas):
            return
        filled = [
            each
            for each in root.of(RangeState.CLEAVED)
            if not any(plans.overlaps(each, other) for other in root.draining)
        ]
        await root.change(filled, RangeState.ACTIVE)
        faults.point("object_sharder.active")

    async def _resize(self, root: Root) -> bool:
        """Split what has grown, or merge what has become small; whether there was something to do."""
        done = False
        for each in plans.too_big(root.live, self._sizes):
            done = await self._find(root, self._sizes.rows_per_shard, each) or done
        if done:
            return True
        for left, right in plans.mergeable(plans.tiling(root.live).path, self._sizes):
            if plans.mergeable([await self._count(left), await self._count(right)], self._sizes):
                await root.save([plans.widened(left, right, stamps.now())])
                faults.point("object_sharder.widened")
                done = True
        return done

    async def _count(self, row: ShardRange) -> ShardRange:
        """With what it has by now. That is not kept: its replicas tell the root, and know what they have told."""
        info = await self._indexes.info(key_of(row.name), newest=True)
        total = info.total if info is not None else None
        return plans.counted(row, total.objects, total.bytes, stamps.now()) if total is not None else row

    async def _given_up(self, info: Info) -> bool:
        """Whether the root of a fenced shard still asks it; then it has to know that it takes no rows.

        Of two who led at once one may have thought so, and the other one not.
        """
        root = root_of(info)
        if root is None:
            return False
        ranges = await self._indexes.shards.merged(root)
        own = next((each for each in ranges if each.name == "/".join(info.key) and not each.deleted), None)
        if own is not None and own.state not in DRAINED_RANGES:
            await self._indexes.shards.save(root, [plans.in_state(own, RangeState.SHRINKING, stamps.now())])
        return own is not None

    async def _orphan(self, info: Info) -> None:
        """A shard that its root does not name: its rows go to those that it names. Without a root it is forgotten."""
        root = root_of(info)
        if root is None or info.fenced or not info.exists:
            return
        known = await self._indexes.info(root, newest=True)
        if known is None:
            if info.empty and info.state.put < stamps.now() - stamps.stamp(self._keep):
                await self._keeper.forget(info.key, stamps.now())
            return
        ranges = await self._indexes.shards.merged(root)
        if "/".join(info.key) not in {each.name for each in ranges if not each.deleted}:
            await self._keeper.begin(info.key)


def _is_sent(info: Info) -> bool:
    """What is sent is read in the order of its changes, in one index."""
    return bool(info.state.metadata.get(SENT, ("", 0))[0])
