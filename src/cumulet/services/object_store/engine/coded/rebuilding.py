# SPDX-License-Identifier: Apache-2.0
"""Fragments made again from others, and all else that makes the devices of an encoded object agree."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import msgspec

from cumulet.services.object_store.engine import rows
from cumulet.services.object_store.engine.asking import TROUBLE, Asker
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.coded.coder import Coder, Undecodable
from cumulet.services.object_store.engine.coded.reading import Sources, run
from cumulet.services.object_store.engine.coded.scheme import at, fragment_of, whole_of
from cumulet.services.object_store.engine.coded.state import Coding, Piece, State
from cumulet.services.object_store.engine.moving import has
from cumulet.services.object_store.engine.places import Node, Places, Spot
from cumulet.services.object_store.types import objects, stamps
from cumulet.services.object_store.types.objects import Address, Entry, Kind, OwedUpdate, Verdict, Version

LOG = logging.getLogger(__name__)

PAGE = 100  # fragments that are looked at at once


class Rebuilder:
    """Of encoded policies, `codings` by number. `age`: seconds after which what was never confirmed is given up."""

    age = 604_800.0

    def __init__(self, places: Places, asker: Asker, codings: Mapping[int, Coding]) -> None:
        self._places = places
        self._asker = asker
        self._codings = codings

    def coding(self, policy: int) -> Coding | None:
        return self._codings.get(policy)

    async def mend(self, address: Address, spot: Spot) -> bool:
        """Every primary at hand is given its fragment of what is newest; whether all have it then."""
        coding = self._codings[address.policy]
        whole_address = at(address, objects.WHOLE)
        try:
            state = await coding.look(whole_address, spot, thorough=True)
            newest = state.newest
            if newest is None:
                return True
            coder = coding.coder_of([] if newest.kind is Kind.TOMBSTONE else state.of(newest))
        except Unavailable as error:
            LOG.warning("%s is let be: %s", address.hash, error.message)
            return False
        if await self._is_lonely(coding, whole_address, spot, state, newest):
            return False
        well = True
        for place, node in enumerate(coding.positions(spot)):
            if node is None:
                well = False
                continue
            try:
                well = await self._fill(coder, at(address, coding.fragment_at(place)), node, newest, state) and well
            except TROUBLE:
                self._asker.troubles += 1
                well = False
        return well

    async def _fill(self, coder: Coder, where: Address, node: Node, newest: Version, state: State) -> bool:
        """Have `node` keep its fragment, or the tombstone."""
        device = self._places.timed(node).objects
        here = [piece for piece in state.pieces if piece.node is node and piece.fragment == where.fragment]
        if any(piece.whole == newest and not piece.pending for piece in here):
            return True
        if newest.kind is Kind.TOMBSTONE:
            await device.settle(where, newest)
            return True
        mine = [piece for piece in here if objects.same_body(piece.whole, newest)]
        if mine and mine[0].pending:
            await device.confirm(where, newest.stamp, _owed(where, newest))
        elif not mine and not await self._copy(coder, where, node, newest, state):
            return False
        now = await device.head(where)
        if now is None or not has(whole_of(now), newest):
            if now is None or not objects.same_body(whole_of(now), newest):
                return False
            kept = fragment_of(newest, coder.scheme, where.fragment, now.size, now.etag)
            await device.settle(where, msgspec.structs.replace(kept, system=now.system))
        return True

    async def _copy(self, coder: Coder, where: Address, node: Node, newest: Version, state: State) -> bool:
        """From another device that has this very fragment, else from those that have the others."""
        pieces = [piece for piece in state.of(newest) if piece.node is not node]
        same = [piece for piece in pieces if piece.fragment == where.fragment]
        for piece in same:
            if await self._bring(where, node, newest, piece):
                return True
        return await self._rebuild(coder, where, node, newest, pieces)

    async def _bring(self, where: Address, node: Node, newest: Version, piece: Piece) -> bool:
        it = piece.version
        kept = msgspec.structs.replace(newest, size=it.size, etag=it.etag, fragment=it.fragment, system=it.system)
        try:
            reading = await self._places.timed(piece.node).objects.read(where, newest.stamp)
        except TROUBLE:
            return False
        if reading is None:
            return False
        async with reading, await self._places.timed(node).objects.begin(where, kept.size) as upload:
            if not objects.same_body(reading.version, kept):
                return False
            async for data in reading.chunks():
                await upload.write(data)
            if await upload.etag() != kept.etag:
                await self._discard(where, piece, "its MD5 is another")
                return False
            await upload.commit(kept, replica=True)
        return True

    async def _rebuild(self, coder: Coder, where: Address, node: Node, newest: Version, pieces: list[Piece]) -> bool:
        """What it is made of is summed on its way: a fragment that is damaged goes into quarantine, and not on."""
        step = coder.scheme.segment
        others = [piece for piece in pieces if piece.fragment != where.fragment]
        sources = Sources(at(where, objects.WHOLE), others, coder, self._asker, sums=True)
        try:
            async with await self._places.timed(node).objects.begin(where, coder.archive(newest.size)) as upload:
                for first in range(0, newest.size, step):
                    length = min(step, newest.size - first)
                    fragments = await sources.segment(first // step, length)
                    try:
                        made = await run(coder.rebuild, [each for _, each in fragments], length, where.fragment)
                    except Undecodable:
                        for index, fragment in fragments:
                            if not coder.is_sound(fragment, index):
                                await self._discard(where, sources.opened[index].piece, "it is another fragment")
                        return False  # it is tried again without them
                    await upload.write(made)
                if sources.failed or not await self._are_sound(where, sources):
                    return False
                kept = fragment_of(newest, coder.scheme, where.fragment, upload.size, await upload.etag())
                outcome = await upload.commit(kept, replica=True)
                return outcome.verdict in (Verdict.DONE, Verdict.SAME)
        except Unavailable:
            return False
        finally:
            await sources.close()

    async def _are_sound(self, address: Address, sources: Sources) -> bool:
        well = True
        for source in sources.opened.values():
            if source.is_sound:
                continue
            well = False
            await self._discard(address, source.piece, "its MD5 is another")
        return well

    async def _discard(self, address: Address, piece: Piece, reason: str) -> None:
        where = at(address, piece.fragment)
        LOG.warning("device %s: a fragment of %s is given up: %s", piece.node.objects.id, address.hash, reason)
        device = self._places.timed(piece.node).objects
        if piece.pending:
            await device.withdraw(where, piece.version.stamp)
        else:
            await device.quarantine(Entry(where, piece.version), reason)

    async def _is_lonely(self, coding: Coding, address: Address, spot: Spot, state: State, newest: Version) -> bool:
        """Whether it was confirmed somewhere, but nobody can have enough fragments any more: then what was there
        before it is better than nothing. Every device of the ring has to say so, long after it was written."""
        if newest.kind is Kind.TOMBSTONE or newest.stamp > stamps.now() - stamps.stamp(self.age):
            return False
        pieces = state.of(newest)
        if len({piece.fragment for piece in pieces}) >= coding.scheme.data or not newest.size:
            return False
        devices = self._places.everyone(spot)
        answers = await self._asker.each(devices, lambda node: node.objects.fragments(address))
        if any(answer.error is not None or answer.value is None for answer in answers):
            return False
        found = {
            (each.entry.address.fragment, each.entry.version.stamp)
            for answer in answers
            for each in answer.value or ()
            if each.entry.version.kind is Kind.DATA
        }
        if sum(stamp == newest.stamp for _, stamp in found) >= coding.scheme.data:
            return False
        if all(stamp == newest.stamp for _, stamp in found):
            return False
        for piece in pieces:
            await self._discard(address, piece, "too few others are left")
        return True


def _owed(address: Address, whole: Version) -> tuple[OwedUpdate]:
    """Its container is told again: who was to tell it may be lost."""
    return (rows.owed(address, rows.of(address, whole)),)


class Completer:
    """Ends what a process that was killed has begun: fragments of the devices of this process that wait.

    They are confirmed where another device says so, and given up where something newer is there, or when they are old.
    """

    def __init__(self, places: Places, rebuilder: Rebuilder) -> None:
        self._places = places
        self._rebuilder = rebuilder

    async def run(self) -> int:
        """How many wait no more."""
        done = 0
        for each in self._places.local():
            after, node = 0, self._places.timed(each)
            try:
                while page := await node.objects.pending(after, PAGE):
                    after = page[-1].id
                    found = await asyncio.gather(*(self._end(node, one.entry, one.at) for one in page))
                    done += sum(found)
            except TROUBLE:
                continue
        return done

    async def _end(self, node: Node, entry: Entry, since: int) -> bool:
        rebuilder, address, version = self._rebuilder, entry.address, entry.version
        coding = rebuilder.coding(address.policy)
        if coding is None:
            return False  # its policy is not served here
        spot = self._places.spot(self._places.ring(address.policy), address.partition)
        try:
            state = await coding.look(at(address, objects.WHOLE), spot, thorough=True)
        except Unavailable:
            return False
        newest = state.newest
        old = state.complete and since < stamps.now() - stamps.stamp(rebuilder.age)
        if newest is not None and objects.same_body(newest, whole_of(version)):
            await node.objects.confirm(address, version.stamp, _owed(address, newest))
        elif old or (newest is not None and newest.stamp >= version.stamp):
            await node.objects.withdraw(address, version.stamp)
        else:
            return False
        return True
