# SPDX-License-Identifier: Apache-2.0
"""Compares the devices of an encoded partition, and brings fragments home."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from cumulet.services.object_store.drivers.base import DeviceGone, Digest
from cumulet.services.object_store.engine.asking import TROUBLE
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.coded.rebuilding import Rebuilder
from cumulet.services.object_store.engine.coded.scheme import whole_of
from cumulet.services.object_store.engine.coded.state import Coding
from cumulet.services.object_store.engine.moving import bring, has
from cumulet.services.object_store.engine.places import Node, Places, Spot
from cumulet.services.object_store.types.objects import SUFFIXES, WHOLE, Entry, Version

PAGE = 1000

Sums = Mapping[int, Digest]


class CodedReplicator:
    """Digests do not tell which fragment a device has: who has the same objects has the same digests."""

    def __init__(self, places: Places, rebuilder: Rebuilder) -> None:
        self._places = places
        self._rebuilder = rebuilder

    def serves(self, policy: int) -> bool:
        return self._rebuilder.coding(policy) is not None

    async def compare(self, node: Node, spot: Spot, policy: int) -> int | None:
        """How much of what `node` has was brought to others; None where some device is in trouble."""
        coding = self._rebuilder.coding(policy)
        assert coding is not None
        try:
            places = coding.positions(spot)
        except Unavailable:
            return None  # its ring is another one
        by_fragment: dict[int, dict[int, Digest]] = {}
        for suffix, sum_ in (await self._places.timed(node).objects.digests(policy, spot.part)).items():
            by_fragment.setdefault(suffix // SUFFIXES - 1, {})[suffix % SUFFIXES] = sum_
        theirs: dict[Node, Sums] = {}
        done, well = 0, True
        for fragment, sums in by_fragment.items():
            if fragment == WHOLE:
                continue
            homes = [each for place, each in enumerate(places) if coding.fragment_at(place) == fragment]
            if node not in homes:
                found = await self._bring_home(node, homes, policy, spot.part, fragment, sums)
                done, well = done + (found or 0), well and found is not None
                continue
            for place, other in enumerate(places):
                if other is node:
                    continue
                try:
                    if other is None:
                        raise DeviceGone("The device is not there.", code="DeviceGone")
                    if other not in theirs:
                        theirs[other] = await self._places.timed(other).objects.digests(policy, spot.part)
                    found = await self._push(coding, node, fragment, sums, other, place, theirs[other], spot, policy)
                except TROUBLE:
                    found = None
                done, well = done + (found or 0), well and found is not None
        return done if well else None

    async def _push(
        self,
        coding: Coding,
        node: Node,
        fragment: int,
        ours: Sums,
        other: Node,
        place: int,
        theirs: Sums,
        spot: Spot,
        policy: int,
    ) -> int | None:
        index, done, well = coding.fragment_at(place), 0, True
        for suffix, digest in ours.items():
            there = suffix + (index + 1) * SUFFIXES
            if theirs.get(there) == digest:
                continue
            known: dict[str, Version] = {}
            async for entry in _entries(self._places.timed(other), policy, spot.part, there):
                known[entry.address.hash] = whole_of(entry.version)
            async for entry in _entries(
                self._places.timed(node), policy, spot.part, suffix + (fragment + 1) * SUFFIXES
            ):
                if not has(known.get(entry.address.hash), whole_of(entry.version)):
                    mended = await self._rebuilder.mend(entry.address, spot)
                    done, well = done + mended, well and mended
        return done if well else None

    async def _bring_home(
        self, node: Node, homes: list[Node | None], policy: int, part: int, fragment: int, sums: Sums
    ) -> int | None:
        done, well, source = 0, True, self._places.timed(node)
        for suffix in sums:
            async for entry in _entries(source, policy, part, suffix + (fragment + 1) * SUFFIXES):
                safe = 0
                for home in homes:
                    try:
                        safe += home is not None and await _is_home(source, self._places.timed(home), entry)
                    except TROUBLE:
                        continue
                if homes and safe == len(homes):
                    done += await source.objects.remove(entry)
                else:
                    well = False
        return done if well else None


async def _is_home(node: Node, home: Node, entry: Entry) -> bool:
    there = await home.objects.head(entry.address)
    if there is not None and has(whole_of(there), whole_of(entry.version)):
        return True
    return await bring(node.objects, home.objects, entry)


async def _entries(node: Node, policy: int, part: int, suffix: int) -> AsyncIterator[Entry]:
    after = ""
    while page := await node.objects.entries(policy, part, suffix, after, PAGE):
        for entry in page:
            yield entry
        after = page[-1].address.hash
