# SPDX-License-Identifier: Apache-2.0
"""Objects on all of their replicas, and the rows that their containers list them by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from cumulet.kernel import faults
from cumulet.services.object_store.drivers import base as drivers
from cumulet.services.object_store.engine import rows, verdicts
from cumulet.services.object_store.engine.asking import Answer, Asker
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.moving import Mender, has
from cumulet.services.object_store.engine.paying import Payer
from cumulet.services.object_store.engine.places import Node, Places, Spot
from cumulet.services.object_store.engine.reading import EngineReading
from cumulet.services.object_store.engine.writing import EngineWriting, Part, forget
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.indexes import Key, ObjectRow
from cumulet.services.object_store.types.objects import (
    Address,
    Kind,
    Outcome,
    Update,
    Verdict,
    Version,
)

_WRITTEN = (Verdict.DONE, Verdict.SAME)


class Objects:
    """As the verbs of `Engine` of the same names."""

    def __init__(self, places: Places, asker: Asker, indexes: Indexes, payer: Payer, mender: Mender) -> None:
        self._places = places
        self._asker = asker
        self._indexes = indexes
        self._payer = payer
        self._mender = mender

    async def head(self, name: Name, *, newest: bool = False) -> Version | None:
        address, spot = self._places.object(name)
        if newest:
            return verdicts.merged([version for _, version in await self._known(address, spot)])
        answered, merged = 0, None
        for place, node in enumerate(self._everywhere(spot)):
            answer = await self._asker.one(node, lambda node: node.objects.head(address))
            if answer.error is not None:
                _let_pass(answer)
                continue
            version = answer.value
            answered += place < len(spot.primaries) or version is not None
            merged = verdicts.merged([merged, version])
            if version is not None and merged is not None and merged.kind is version.kind is Kind.DATA:
                return version
        if answered < spot.quorum:
            raise Unavailable("Too few devices answered.")
        return merged

    async def read(self, name: Name, *, newest: bool = False) -> EngineReading | None:
        address, spot = self._places.object(name)
        if newest:
            return await self._read_newest(address, spot)

        async def open_(node: Node) -> drivers.Reading | None:
            return await node.objects.read(address)

        nodes = self._everywhere(spot)
        answered, buried = 0, -1
        for place, node in enumerate(nodes):
            answer = await self._asker.one(node, open_)
            if answer.error is not None:
                _let_pass(answer)
                continue
            reading = answer.value
            if reading is not None and reading.version.stamp > buried:
                if answered:
                    self._mender.start(address)
                others = (each for each in nodes if each is not None)
                return EngineReading(reading, reading.version, others, open_, self._asker.patience.answer)
            stamp = -1
            if reading is not None:
                await reading.close()
            elif len(spot.primaries) > 1 and node is not None:
                stamp = await self._tombstone(node, address)
            buried = max(buried, stamp)
            answered += place < len(spot.primaries) or stamp >= 0
        if answered < spot.quorum:
            raise Unavailable("Too few devices answered.")
        return None

    async def write(self, name: Name, size: int | None = None) -> EngineWriting:
        address, spot = self._places.object(name)
        begun: list[Part] = []
        wanted = True

        async def begin(node: Node) -> drivers.Upload:
            first = node is spot.primaries[0]  # who is read from
            part = Part(node, await node.objects.begin(address, size, summed=True, cached=first))
            if wanted:
                begun.append(part)
            else:
                await forget([part])
            return part.upload

        spares = self._places.spares(spot)
        try:
            if all(node is not None and node.local for node in spot.primaries):
                # A task for each costs more than a local device takes to begin.
                answers = [await self._asker.one(node, begin, spares) for node in spot.primaries]
            else:
                answers = await self._asker.each(spot.primaries, begin, spares=spares)
        except BaseException:  # a caller that is gone, too
            wanted = False
            await forget(begun)
            raise
        if len(begun) < spot.quorum:
            await forget(begun)
            for answer in answers:
                _let_pass(answer)
            raise Unavailable("Too few devices take the body.")

        async def finish(parts: Sequence[Part], version: Version) -> Outcome:
            return await self._commit(address, spot, parts, version)

        return EngineWriting(begun, spot.quorum, finish, self._asker)

    async def post(self, name: Name, update: Update, *, expired_too: bool = False) -> Outcome:
        address, spot = self._places.object(name)
        known = await self._known(address, spot)
        before = verdicts.merged([version for _, version in known])
        verdict, now = objects.posted(before, update, expired_too=expired_too)
        if now is None or verdict in (Verdict.MISSING, Verdict.NEWER):
            return Outcome(verdict, before, before)
        row = rows.of(address, now)
        owed = (rows.owed(address, row),)
        done = 0

        async def verb(node: Node) -> Outcome:
            outcome = await node.objects.post(address, update, owed, expired_too=expired_too)
            if done and not has(outcome.now, now):
                self._asker.missed(node)  # a straggler: the object may be on its way there, without this
            return outcome

        # Those that have it; a handoff does where a primary has missed the PUT.
        holders = _holders(known)
        if len(holders) < spot.quorum:
            await self._mender.mend(address)
            known = await self._known(address, spot)
            holders = _holders(known)
        answers = await self._asker.each(holders, verb, enough=spot.quorum)
        done = sum(_verdict(each) in (*_WRITTEN, Verdict.NEWER) for each in answers)
        if done:
            lacking: set[Node | None] = {node for node, _ in known if node not in holders}
            lacking |= {each.node for each in answers if each.value is not None and not has(each.value.now, now)}
            await self._complete(address, [node for node in spot.primaries if node in lacking])
            await self._list(address, row, answers)
        if done < spot.quorum:
            raise Unavailable("Too few devices have the object.")
        return Outcome(verdict, before, now)

    async def remove(self, name: Name, stamp: int, *, if_delete_at: int | None = None) -> Outcome:
        address, spot = self._places.object(name)
        row = ObjectRow(address.object, stamp, deleted=True, policy=address.policy)
        owed = (rows.owed(address, row),)

        async def verb(node: Node) -> Outcome:
            return await node.objects.delete(address, stamp, owed, if_delete_at=if_delete_at)

        answers = await self._asker.each(spot.primaries, verb, spares=self._places.spares(spot), enough=spot.quorum)
        # The expirer leaves no tombstone where there is no object.
        left = _WRITTEN if if_delete_at is not None else (*_WRITTEN, Verdict.MISSING)
        if any(_verdict(each) in left for each in answers):
            await self._list(address, row, answers)
        return verdicts.of(_outcomes(answers), spot.quorum, lambda before: objects.deleted(before, stamp, if_delete_at))

    def _everywhere(self, spot: Spot) -> Iterator[Node | None]:
        return chain(spot.primaries, self._places.spares(spot))

    async def _known(self, address: Address, spot: Spot) -> list[tuple[Node, Version | None]]:
        """What each replica and handoff at hand knows; Unavailable where too few answered."""
        every = list(self._everywhere(spot))
        answers = await self._asker.each(every, lambda node: node.objects.head(address))
        answered = 0
        for place, answer in enumerate(answers):
            _let_pass(answer)
            answered += answer.error is None and (place < len(spot.primaries) or answer.value is not None)
        if answered < spot.quorum:
            raise Unavailable("Too few devices answered.")
        return [(each.node, each.value) for each in answers if each.error is None and each.node is not None]

    async def _read_newest(self, address: Address, spot: Spot) -> EngineReading | None:
        known = await self._known(address, spot)
        newest = verdicts.merged([version for _, version in known])
        if newest is None or newest.kind is Kind.TOMBSTONE:
            return None

        async def open_(node: Node) -> drivers.Reading | None:
            return await node.objects.read(address)

        holders = iter([node for node, version in known if version and objects.same_body(version, newest)])
        for node in holders:
            answer = await self._asker.one(node, open_)
            if answer.value is not None and objects.same_body(answer.value.version, newest):
                return EngineReading(answer.value, newest, holders, open_, self._asker.patience.answer)
            if answer.value is not None:
                await answer.value.close()
        raise Unavailable("No device gives the object.")

    async def _tombstone(self, node: Node, address: Address) -> int:
        """Its stamp, -1 for none."""
        answer = await self._asker.one(node, lambda node: node.objects.head(address))
        version = answer.value
        return version.stamp if version is not None and version.kind is Kind.TOMBSTONE else -1

    async def _complete(self, address: Address, lacking: Sequence[Node | None]) -> None:
        """Before the answer: hosts that had no part in this do not know who should be read last."""
        if not lacking or await self._mender.hurry(address):
            return
        for node in lacking:
            if node is not None:
                self._asker.missed(node)

    async def _commit(self, address: Address, spot: Spot, parts: Sequence[Part], version: Version) -> Outcome:
        row = rows.of(address, version)
        owed = (rows.owed(address, row),)
        by_node = {part.node: part for part in parts}

        async def verb(node: Node) -> Outcome:
            part = by_node[node]
            try:
                return await part.upload.commit(version, owed)
            finally:
                await forget([part])

        nodes, limit = [part.node for part in parts], self._asker.patience.commit
        answers = await self._asker.each(nodes, verb, enough=spot.quorum, limit=limit)
        outcomes = _outcomes(answers)
        if any(each.verdict in _WRITTEN for each in outcomes):
            await self._list(address, row, answers)
        return verdicts.of(outcomes, spot.quorum, lambda before: objects.stored(before, version))

    async def _list(self, address: Address, row: ObjectRow, answers: Sequence[Answer[Outcome]]) -> None:
        """Have the container list it; devices that owe this are told when it knows."""
        faults.point("object_engine.written")
        if await self._indexes.tell_container(_listing(address), [row]):
            faults.point("object_engine.listed")
            for answer in answers:
                if answer.node is not None and answer.value is not None:
                    self._payer.paid(answer.node.objects, answer.value.owed)


def _listing(address: Address) -> Key:
    return Key(address.account, address.container)


def _holders(known: Sequence[tuple[Node, Version | None]]) -> list[Node]:
    return [node for node, version in known if version is not None and version.kind is Kind.DATA]


def _verdict(answer: Answer[Outcome]) -> Verdict | None:
    return answer.value.verdict if answer.value is not None else None


def _outcomes(answers: Sequence[Answer[Outcome]]) -> list[Outcome]:
    for answer in answers:
        _let_pass(answer)
    return [each.value for each in answers if each.value is not None]


def _let_pass(answer: Answer[Any]) -> None:
    """Trouble of a device; an error that is the answer of it is raised."""
    if answer.error is not None and not answer.trouble:
        raise answer.error
