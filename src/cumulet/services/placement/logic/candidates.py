# SPDX-License-Identifier: Apache-2.0
"""Candidates: searched in memory; inside a transaction, which sees its own writes, among what the database finds."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from cumulet.kernel.db import Source, Tx
from cumulet.services.placement.logic import classes, traits
from cumulet.services.placement.logic.memory import Memory
from cumulet.services.placement.logic.nodes import Maker, Node, Stock
from cumulet.services.placement.logic.search import Candidate, Query, World, search
from cumulet.services.placement.logic.walk import Found, alone, walk
from cumulet.services.placement.store import candidates as store
from cumulet.services.placement.store import changes as change_store
from cumulet.services.placement.types import MAX_INT


@dataclass(frozen=True)
class Order:
    """Which candidates come first, and how many are looked for at all (None: no bound).

    `shuffled` takes any of those that were found, and in any order; `breadth_first` is explained in `walk`.
    """

    most: int | None = None
    breadth_first: bool = False
    shuffled: bool = False


@dataclass(frozen=True)
class Answer:
    """What was found, and the providers of the trees that it speaks of, by name where a tree is of several."""

    found: list[Found]
    nodes: list[Node]


_USUAL = Order()
_NOTHING = Answer([], [])
_RANDOM = random.SystemRandom()


def find(memory: Memory, source: Source, query: Query, order: Order = _USUAL) -> Answer:
    """The candidates at this moment, as `source` sees them.

    Classes and traits that do not exist are had nowhere (see `check`); a tree that does not exist has nothing.
    """
    if any(amount > MAX_INT for group in query.groups.values() for amount in group.resources.values()):
        return _NOTHING
    if isinstance(source, Tx):
        world = _load(source, query)
        candidates: list[Found] = list(search(world, query))
        return Answer(candidates, _trees_of(candidates, world))
    with memory.fresh(source):
        found = _take(walk(memory, query, breadth_first=order.breadth_first), query.limit, order)
        return Answer(found, _told(memory, found))


def candidates(memory: Memory, source: Source, query: Query) -> list[Candidate]:
    """`find` for those who want nothing but candidates, in the usual order."""
    found = find(memory, source, query).found
    return [alone(query, each.uuid) if isinstance(each, Node) else each for each in found]


def check(source: Source, query: Query) -> None:
    """Raise NotFound for a class or, after those, a trait that does not exist."""
    groups = query.groups.values()
    classes.check(source, {name for group in groups for name in group.resources})
    wanted = query.root_required | query.root_forbidden
    for group in groups:
        wanted |= group.forbidden.union(*group.required)
    traits.check(source, wanted)


def _take(found: Iterable[Found], limit: int | None, order: Order) -> list[Found]:
    if not order.shuffled:
        bounds = [bound for bound in (limit, order.most) if bound is not None]
        return list(islice(found, min(bounds, default=None)))
    everything = list(islice(found, order.most))
    return _RANDOM.sample(everything, min(len(everything), limit or len(everything)))


def _told(memory: Memory, found: Iterable[Found]) -> list[Node]:
    """The providers of all trees that anything would be claimed of."""
    nodes: dict[str, Node] = {}
    roots: set[str] = set()
    for each in found:
        if isinstance(each, Node):
            nodes[each.uuid] = each
        else:
            roots.update(memory.root_of(uuid) for uuid in each.claims)
    for node in memory.whole(sorted(roots)):
        nodes[node.uuid] = node
    return list(nodes.values())


def _trees_of(found: Iterable[Found], world: World) -> list[Node]:
    claimed = {uuid for each in found if isinstance(each, Candidate) for uuid in each.claims}
    roots = {world.nodes[uuid].root for uuid in claimed}
    return [node for node in world.nodes.values() if node.root in roots]


def _load(source: Source, query: Query) -> World:
    """The trees that may have an answer. What a sharing provider offers need not be in a tree itself."""
    wanted = sorted({pair for group in query.groups.values() for pair in group.resources.items()})
    shared = store.sharing_roots(source)
    if shared:
        wanted = [pair for pair in wanted if not store.sharing_with_room(source, pair)]
    uuids = store.trees(source, store.roots_with_room(source, wanted) | shared)
    maker = Maker()
    made = {
        row.provider[0]: maker.node(row.provider, map(Stock._make, row.stock), row.used, row.traits, row.aggregates)
        for row in change_store.some(source, uuids)
    }
    return World({uuid: made[uuid] for uuid in uuids})
