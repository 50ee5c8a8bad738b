# SPDX-License-Identifier: Apache-2.0
"""Deletes objects whose time is over."""

from __future__ import annotations

from cumulet.kernel import clock
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.by_policy import EveryObject
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.objects import Entry, Kind, Verdict

PAGE = 500


class Expirer:
    """For what the devices of this process have; of several replicas the first at hand sees to it.

    The tombstone is of the time when the object was over, so that whatever was put later stays.
    """

    def __init__(self, places: Places, objects: EveryObject) -> None:
        self._places = places
        self._objects = objects

    async def run(self) -> int:
        """How many objects were deleted."""
        done = 0
        for node in self._places.local():
            try:
                done += await self._device(node)
            except TROUBLE:
                continue
        return done

    async def _device(self, node: Node) -> int:
        done, after, now = 0, (0, ""), int(clock.now())
        while page := await self._places.timed(node).objects.expired(now, after, PAGE):
            after = page[-1].version.delete_at, page[-1].address.hash
            for entry in page:
                try:
                    done += await self._expire(node, entry)
                except Unavailable:
                    continue
        return done

    async def _expire(self, node: Node, entry: Entry) -> bool:
        """Unavailable where too few devices answer, or its policy is not served here."""
        name, over = Name.of(entry.address), entry.version.delete_at
        primaries = [each for each in self._places.object(name)[1].primaries if each is not None]
        if node in primaries[1:]:
            return False
        # A replica that missed a POST does not decide that the object is over.
        newest = await self._objects.head(name, newest=True)
        if newest is None or newest.kind is Kind.TOMBSTONE or newest.delete_at != over:
            return False
        outcome = await self._objects.remove(name, stamps.stamp(over), if_delete_at=over)
        return outcome.verdict is Verdict.DONE
