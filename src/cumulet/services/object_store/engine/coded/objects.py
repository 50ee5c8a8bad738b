# SPDX-License-Identifier: Apache-2.0
"""Objects of erasure-coded policies: each device has a fragment of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from cumulet.kernel import faults
from cumulet.services.object_store.drivers import base as drivers
from cumulet.services.object_store.engine import rows, verdicts
from cumulet.services.object_store.engine.asking import TROUBLE, Answer, Asker, Verb
from cumulet.services.object_store.engine.base import Name, Unavailable
from cumulet.services.object_store.engine.coded.reading import CodedReading, Sources
from cumulet.services.object_store.engine.coded.scheme import at, fragment_of, whole_outcome
from cumulet.services.object_store.engine.coded.state import Coding, Piece, State
from cumulet.services.object_store.engine.coded.writing import CodedPart, CodedWriting
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.moving import Mender
from cumulet.services.object_store.engine.paying import Payer
from cumulet.services.object_store.engine.places import Node, Places
from cumulet.services.object_store.engine.writing import forget
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.indexes import ObjectRow
from cumulet.services.object_store.types.objects import Address, Kind, Outcome, Update, Verdict, Version

_WRITTEN = (Verdict.DONE, Verdict.SAME)
_TRIES = 4  # of a reader, whose fragments were replaced before they were open


class CodedObjects:
    """As the verbs of `Engine` of the same names, for the policies in `codings`."""

    def __init__(
        self,
        places: Places,
        asker: Asker,
        indexes: Indexes,
        payer: Payer,
        mender: Mender,
        codings: Mapping[int, Coding],
    ) -> None:
        self._places = places
        self._asker = asker
        self._indexes = indexes
        self._payer = payer
        self._mender = mender
        self._codings = codings

    async def head(self, name: Name, *, newest: bool = False) -> Version | None:
        address, spot = self._places.object(name)
        return (await self._codings[name.policy].state(address, spot)).newest

    async def read(self, name: Name, *, newest: bool = False) -> CodedReading | None:
        address, spot = self._places.object(name)
        coding = self._codings[name.policy]
        for turn in range(_TRIES):
            state = await coding.state(address, spot, thorough=turn > 0)
            whole = state.newest
            if whole is None or whole.kind is Kind.TOMBSTONE:
                return None
            if state.complete and not state.alike:
                self._mender.start(address)
            pieces = self._ordered(coding, state, whole)
            coder = coding.coder_of(pieces)
            sources = Sources(address, pieces, coder, self._asker)
            try:
                if not whole.size or await sources.open():
                    return CodedReading(whole, sources, coder)
            except BaseException:
                await sources.close()
                raise
            await sources.close()
        raise Unavailable("Too few devices give fragments of the object.")

    async def write(self, name: Name, size: int | None = None) -> CodedWriting:
        address, spot = self._places.object(name)
        coding = self._codings[name.policy]
        length = None if size is None else coding.coder.archive(size)
        begun: list[CodedPart] = []
        wanted = True

        def begin_at(index: int) -> Verb[drivers.Upload]:
            async def begin(node: Node) -> drivers.Upload:
                part = CodedPart(node, await node.objects.begin(at(address, index), length), index)
                if wanted:
                    begun.append(part)
                else:
                    await forget([part])
                return part.upload

            return begin

        asked = [(node, begin_at(coding.fragment_at(place))) for place, node in enumerate(coding.positions(spot))]
        spares = self._places.spares(spot)
        try:
            if all(node is not None and node.local for node, _ in asked):
                # A task for each costs more than a local device takes to begin.
                answers = [await self._asker.one(node, begin, spares) for node, begin in asked]
            else:
                answers = await self._asker.every(asked, spares=spares, enough=coding.writers)
        except BaseException:  # a caller that is gone, too
            wanted = False
            await forget(begun)
            raise
        wanted = False
        if len(begun) < coding.writers:
            await forget(begun)
            _settled(answers)
            raise Unavailable("Too few devices take the body.")

        async def finish(parts: Sequence[CodedPart], version: Version) -> Outcome:
            return await self._commit(coding, address, parts, version)

        return CodedWriting(begun, coding.writers, coding.coder, finish, self._asker)

    async def post(self, name: Name, update: Update, *, expired_too: bool = False) -> Outcome:
        address, spot = self._places.object(name)
        coding = self._codings[name.policy]
        state = await coding.state(address, spot)
        before = state.newest
        verdict, now = objects.posted(before, update, expired_too=expired_too)
        if before is None or now is None or verdict in (Verdict.MISSING, Verdict.NEWER):
            return Outcome(verdict, before, before)
        row = rows.of(address, now)
        owed = (rows.owed(address, row),)

        def verb(piece: Piece) -> Verb[Outcome]:
            async def post(node: Node) -> Outcome:
                return await node.objects.post(at(address, piece.fragment), update, owed, expired_too=expired_too)

            return post

        holders = _holders(state, before)
        if len(holders) < coding.writers:
            await self._mender.mend(address)
            holders = _holders(await coding.state(address, spot), before)
        asked = [(piece.node, verb(piece)) for piece in holders]
        answers = await self._asker.every(asked, enough=coding.writers)
        done = sum(each.verdict in (*_WRITTEN, Verdict.NEWER) for each in _settled(answers))
        if done:
            for node in {*spot.primaries} - {piece.node for piece in holders}:
                if node is not None:
                    self._asker.missed(node)  # a fragment may be on its way there, without this
            await self._list(address, row, answers)
        if done < coding.writers:
            raise Unavailable("Too few devices have the object.")
        return Outcome(verdict, before, now)

    async def remove(self, name: Name, stamp: int, *, if_delete_at: int | None = None) -> Outcome:
        address, spot = self._places.object(name)
        coding = self._codings[name.policy]
        row = ObjectRow(address.object, stamp, deleted=True, policy=address.policy)
        owed = (rows.owed(address, row),)

        def verb(index: int) -> Verb[Outcome]:
            async def delete(node: Node) -> Outcome:
                return await node.objects.delete(at(address, index), stamp, owed, if_delete_at=if_delete_at)

            return delete

        asked = [(node, verb(coding.fragment_at(place))) for place, node in enumerate(coding.positions(spot))]
        answers = await self._asker.every(asked, spares=self._places.spares(spot), enough=coding.writers)
        outcomes = _settled(answers)
        # The expirer leaves no tombstone where there is no object.
        left = _WRITTEN if if_delete_at is not None else (*_WRITTEN, Verdict.MISSING)
        if any(each.verdict in left for each in outcomes):
            await self._list(address, row, answers)
        return verdicts.of(outcomes, coding.writers, lambda before: objects.deleted(before, stamp, if_delete_at))

    async def _commit(self, coding: Coding, address: Address, parts: Sequence[CodedPart], version: Version) -> Outcome:
        """Have every device keep its fragment, and when enough do, have it seen."""
        row = rows.of(address, version)
        owed = (rows.owed(address, row),)
        fate = _Fate()

        def pend(part: CodedPart) -> Verb[Outcome]:
            async def verb(node: Node) -> Outcome:
                try:
                    kept = fragment_of(
                        version, coding.scheme, part.fragment, part.upload.size, await part.upload.etag()
                    )
                    outcome = await part.upload.commit(kept, pending=True)
                finally:
                    await forget([part])
                # A straggler's fate was decided meanwhile.
                if fate.confirmed and outcome.verdict in _WRITTEN:
                    await node.objects.confirm(at(address, part.fragment), version.stamp, owed)
                elif fate.withdrawn and outcome.verdict is Verdict.DONE:
                    await node.objects.withdraw(at(address, part.fragment), version.stamp)
                return outcome

            return verb

        limit = self._asker.patience.commit
        asked = [(part.node, pend(part)) for part in parts]
        try:
            answers = await self._asker.every(asked, enough=coding.writers, limit=limit)
            kept = verdicts.of(_settled(answers), coding.writers, lambda before: objects.stored(before, version))
        except BaseException:
            fate.withdrawn = True
            self._asker.start(self._withdraw(address, version.stamp, parts))
            raise
        if kept.verdict not in _WRITTEN:
            fate.withdrawn = True
            await self._withdraw(address, version.stamp, parts)
            return kept
        faults.point("object_engine.pending")
        fate.confirmed = True
        done = [part for part, answer in zip(parts, answers, strict=True) if answer.value is not None]
        return await self._confirm(coding, address, done, row, kept)

    async def _confirm(
        self, coding: Coding, address: Address, parts: Sequence[CodedPart], row: ObjectRow, kept: Outcome
    ) -> Outcome:
        owed = (rows.owed(address, row),)

        def confirm(part: CodedPart) -> Verb[Outcome]:
            async def verb(node: Node) -> Outcome:
                return await node.objects.confirm(at(address, part.fragment), row.stamp, owed)

            return verb

        asked = [(part.node, confirm(part)) for part in parts]
        answers = await self._asker.every(asked, enough=coding.writers)
        outcomes = [each for each in _settled(answers) if each.verdict is not Verdict.MISSING]
        if any(each.verdict in _WRITTEN for each in outcomes):
            await self._list(address, row, answers)
        found = verdicts.of(outcomes, coding.writers, lambda before: (kept.verdict, before))
        if found.verdict not in _WRITTEN:
            return found
        return Outcome(kept.verdict, kept.before, found.now)

    async def _withdraw(self, address: Address, stamp: int, parts: Sequence[CodedPart]) -> None:
        """What cannot be told stays until the upkeep finds it."""
        for part in parts:
            with contextlib.suppress(*TROUBLE):
                await part.node.objects.withdraw(at(address, part.fragment), stamp)

    def _ordered(self, coding: Coding, state: State, whole: Version) -> list[Piece]:
        """Fragments of the data first: they are put together without any arithmetic."""

        def cost(piece: Piece) -> tuple[int, bool, bool]:
            return self._asker.avoids(piece.node), piece.fragment >= coding.scheme.data, not piece.node.local

        return sorted(state.of(whole), key=cost)

    async def _list(self, address: Address, row: ObjectRow, answers: Sequence[Answer[Outcome]]) -> None:
        """Have the container list it; devices that owe this are told when it knows."""
        faults.point("object_engine.written")
        if await self._indexes.tell_container(Name.of(address).listing, [row]):
            faults.point("object_engine.listed")
            for answer in answers:
                if answer.node is not None and answer.value is not None:
                    self._payer.paid(answer.node.objects, answer.value.owed)


class _Fate:
    """What is to become of the fragments that come late."""

    confirmed = False
    withdrawn = False


def _holders(state: State, whole: Version) -> list[Piece]:
    return [piece for piece in state.of(whole) if not piece.pending]


def _settled(answers: Sequence[Answer[drivers.Upload]] | Sequence[Answer[Outcome]]) -> list[Outcome]:
    """Outcomes of the object; trouble of devices is passed over, an error that is an answer is raised."""
    for answer in answers:
        if answer.error is not None and not answer.trouble:
            raise answer.error
    return [whole_outcome(each.value) for each in answers if isinstance(each.value, Outcome)]
