# SPDX-License-Identifier: Apache-2.0
"""An object from one device to another that should have it, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from cumulet.services.object_store.drivers.base import ObjectDevice
from cumulet.services.object_store.engine import verdicts
from cumulet.services.object_store.engine.asking import TROUBLE, Asker
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.places import Node, Places, Spot
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import Address, Entry, Verdict, Version

MOST = 16  # objects that are mended beside requests at once


MendCoded = Callable[[Address, Spot], Awaitable[bool]]


def has(theirs: Version | None, ours: Version) -> bool:
    """Whether who has `theirs` can learn nothing from `ours`."""
    return theirs is not None and objects.merge(theirs, ours) == theirs


async def bring(source: ObjectDevice, target: ObjectDevice, entry: Entry) -> bool:
    """Whether `target` has what `entry` of `source` says, or newer. The errors of devices are raised.

    The body is summed anew on its way: one that is not what it should be goes into quarantine at the source.
    """
    address, version = entry.address, entry.version
    outcome = await target.settle(address, version)
    if outcome.verdict is not Verdict.MISSING:
        return True
    reading = await source.read(address)
    if reading is None:
        return False  # replaced or damaged meanwhile: what is there then is compared anew
    async with reading, await target.begin(address, reading.version.size, cached=False) as upload:
        async for piece in reading.chunks():
            await upload.write(piece)
        if await upload.etag() != reading.version.etag:
            await source.quarantine(Entry(address, reading.version), "its MD5 is another")
            return False
        await upload.commit(reading.version, replica=True)
    return has(await target.head(address), version)


class Mender:
    """Makes the replicas of one object alike, as a read or an audit found that they are not.

    `coded` has what mends objects of encoded policies, by number.
    """

    def __init__(self, places: Places, asker: Asker, coded: Mapping[int, MendCoded] | None = None) -> None:
        self._coded = coded or {}
        self._places = places
        self._asker = asker
        self._busy: set[Address] = set()

    def start(self, address: Address) -> None:
        """Mend beside requests, unless that is under way."""
        if address in self._busy:
            return
        if len(self._busy) == MOST:
            self._asker.troubles += 1  # the replicator sees to it
        else:
            self._busy.add(address)
            self._asker.start(self._mend_once(address))

    async def hurry(self, address: Address) -> bool:
        """Whether it is mended in the time of a straggler; what takes longer is done beside requests."""
        task = self._asker.start(self.mend(address))
        await asyncio.wait([task], timeout=self._asker.patience.stragglers)
        return task.done() and not task.cancelled() and task.exception() is None and task.result()

    async def _mend_once(self, address: Address) -> None:
        try:
            await self.mend(address)
        finally:
            self._busy.discard(address)

    async def mend(self, address: Address) -> bool:
        """What devices at hand know is merged into every primary of them; whether all have it then."""
        try:
            _, spot = self._places.object(Name.of(address))
        except Unavailable:
            return False  # its policy is not served here
        if address.policy in self._coded:
            return await self._coded[address.policy](address, spot)
        nodes = [node for node in (*spot.primaries, *self._places.spares(spot)) if node is not None]
        answers = await self._asker.each(nodes, lambda node: node.objects.head(address))
        known = [(each.node, each.value) for each in answers if each.node is not None and each.value is not None]
        now = verdicts.merged([version for _, version in known])
        if now is None:
            return True
        well = True
        for node in spot.primaries:
            if node is None or not await self._fill(node, address, now, known):
                well = False
        return well

    async def _fill(self, node: Node, address: Address, now: Version, known: Sequence[tuple[Node, Version]]) -> bool:
        own = next((version for holder, version in known if holder is node), None)
        if own == now:
            return True
        timed, well = self._places.timed, True
        # The body first: metadata that are newer need it.
        for holder, version in sorted(known, key=lambda each: not objects.same_body(each[1], now)):
            if holder is node or has(own, version):
                continue
            try:
                well = await bring(timed(holder).objects, timed(node).objects, Entry(address, version)) and well
            except TROUBLE:
                self._asker.troubles += 1
                well = False
        return well
