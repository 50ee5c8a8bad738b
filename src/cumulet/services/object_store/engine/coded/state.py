# SPDX-License-Identifier: Apache-2.0
"""What devices know of an erasure-coded object: fragments that are there, fragments that wait, tombstones.

A fragment is put on every device first, where it waits, and is confirmed when as many have it as a write needs. So one
that is confirmed anywhere tells that enough of its version are kept; what only waits is not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from cumulet.services.object_store.engine import verdicts
from cumulet.services.object_store.engine.asking import Answer, Asker
from cumulet.services.object_store.engine.base import Unavailable
from cumulet.services.object_store.engine.coded.coder import Coder, coder_for
from cumulet.services.object_store.engine.coded.scheme import Scheme, scheme_of, whole_of
from cumulet.services.object_store.engine.places import Node, Places, Spot
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.objects import WHOLE, Address, Fragment, Kind, Version


class Piece(NamedTuple):
    """A fragment on `node`; `version` is what that keeps, `whole` the object that it is of."""

    node: Node
    fragment: int
    version: Version
    whole: Version
    pending: bool


class State(NamedTuple):
    """`answered`: how many whose answer counts; `complete`: every primary did; `alike`: they agree and lack nothing."""

    pieces: Sequence[Piece]
    answered: int
    complete: bool
    alike: bool

    @property
    def newest(self) -> Version | None:
        """The object, or its tombstone."""
        return verdicts.merged([piece.whole for piece in self.pieces if not piece.pending])

    def of(self, whole: Version) -> list[Piece]:
        """What there is of this very body, on its way too."""
        return [piece for piece in self.pieces if objects.same_body(piece.whole, whole)]


class Coding(NamedTuple):
    """A policy's scheme at work."""

    coder: Coder
    places: Places
    asker: Asker

    @property
    def scheme(self) -> Scheme:
        return self.coder.scheme

    @property
    def writers(self) -> int:
        return self.scheme.writers(self.coder.needed)

    @property
    def readers(self) -> int:
        return self.scheme.readers(self.writers)

    def fragment_at(self, place: int) -> int:
        """Which fragment the ring's replica `place` keeps."""
        return place % self.scheme.fragments

    def coder_of(self, pieces: Sequence[Piece]) -> Coder:
        """For the object that these are of. Unavailable where its policy was changed, but for the segments' size."""
        if not pieces:
            return self.coder
        scheme = scheme_of(pieces[0].version, self.scheme)
        if scheme is None:
            raise Unavailable(f"The object was not encoded by {self.scheme}, as its policy says.")
        return self.coder if scheme == self.scheme else coder_for(scheme)

    def positions(self, spot: Spot) -> list[Node | None]:
        """The devices of each place. Unavailable for a ring that does not fit."""
        nodes = self.places.positions(spot)
        if len(nodes) != self.scheme.replicas:
            raise Unavailable(f"The ring has {len(nodes)} replicas in place of {self.scheme.replicas}.")
        return nodes

    async def state(self, address: Address, spot: Spot, *, thorough: bool = False) -> State:
        """What is known; handoffs are asked where primaries do not agree. Unavailable where too few answer.

        Who did not answer in time a moment ago is asked only where the others do not know enough, or to be `thorough`.
        """
        state = await self.look(address, spot, thorough=thorough)
        if state.answered < self.readers and not thorough:
            state = await self.look(address, spot, thorough=True)
        if state.answered < self.readers:
            raise Unavailable("Too few devices answered.")
        return state

    async def look(self, address: Address, spot: Spot, *, thorough: bool = False) -> State:
        """As `state`, whoever answers; `thorough` asks handoffs in any case, all of them."""
        places = self.positions(spot)
        patient = 0
        if not thorough:
            places = [None if node is not None and self.asker.rests(node) else node for node in places]
            patient = max(self.readers, self.scheme.data)
        answers = await self._ask(places, address, patient)
        pieces = [piece for answer in answers for piece in _pieces(answer)]
        answered = sum(answer.error is None for answer in answers)
        complete = answered == len(places)
        alike = complete and self._alike(places, pieces)
        if thorough or not alike:
            most = None if thorough else len(places)
            spares = list(islice(self.places.handoffs(spot), most))
            told = await self._ask(spares, address, 0 if thorough else 1)
            more = [piece for answer in told for piece in _pieces(answer)]
            answered += len({piece.node for piece in more if not piece.pending})
            pieces += more
        return State(pieces, answered, complete, alike)

    async def _ask(self, nodes: Sequence[Node | None], address: Address, enough: int) -> list[Answer[list[Fragment]]]:
        answers = await self.asker.each(nodes, lambda node: node.objects.fragments(address), enough=enough)
        for answer in answers:
            if answer.error is not None and not answer.trouble:
                raise answer.error
        return answers

    def _alike(self, places: Sequence[Node | None], pieces: Sequence[Piece]) -> bool:
        there = {(piece.node, piece.fragment): piece.whole for piece in pieces if not piece.pending}
        if not there:
            return True
        first = next(iter(there.values()))
        wanted = [(node, self.fragment_at(place)) for place, node in enumerate(places) if node is not None]
        return set(wanted) == set(there) and all(each == first for each in there.values())


def _pieces(answer: Answer[list[Fragment]]) -> list[Piece]:
    """What one has, confirmed in between or not, is told once."""
    found: dict[tuple[int, int], Piece] = {}
    for each in sorted(answer.value or (), key=lambda each: -each.at):
        version, index = each.entry.version, each.entry.address.fragment
        if answer.node is None or index == WHOLE:
            continue
        whole = whole_of(version)
        key = index, -1 if version.kind is Kind.TOMBSTONE else version.stamp
        found[key] = Piece(answer.node, index, version, whole, bool(each.at))
    return list(found.values())
