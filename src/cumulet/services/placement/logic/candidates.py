# SPDX-License-Identifier: Apache-2.0
"""Candidates: the database narrows a query to the trees with room, `search` does the rest in memory."""

from __future__ import annotations

from collections import defaultdict

from cumulet.kernel.db import Source
from cumulet.services.placement.logic import classes, traits
from cumulet.services.placement.logic.search import Candidate, Node, Query, World, search
from cumulet.services.placement.store import aggregates as aggregate_store
from cumulet.services.placement.store import candidates as store
from cumulet.services.placement.store import inventories as inventory_store
from cumulet.services.placement.store import providers as provider_store
from cumulet.services.placement.store import traits as trait_store
from cumulet.services.placement.store import usages as usage_store
from cumulet.services.placement.types import MAX_INT, Inventory

_NOTHING = World({})


def find(source: Source, query: Query) -> tuple[list[Candidate], World]:
    """The candidates, and the world that they are found in.

    Classes and traits that do not exist are had nowhere (see `check`); a tree that does not exist has nothing.
    """
    groups = query.groups.values()
    if any(amount > MAX_INT for group in groups for amount in group.resources.values()):
        return [], _NOTHING
    named = {group.in_tree for group in groups if group.in_tree is not None}
    trees = provider_store.find_some(source, named)
    if named - trees.keys():
        return [], _NOTHING
    world = _load(source, query)
    if named - world.nodes.keys():
        return [], world
    return list(search(world, query)), world


def check(source: Source, query: Query) -> None:
    """Raise NotFound for a class or, after those, a trait that does not exist."""
    groups = query.groups.values()
    classes.check(source, {name for group in groups for name in group.resources})
    wanted = query.root_required | query.root_forbidden
    for group in groups:
        wanted |= group.forbidden.union(*group.required)
    traits.check(source, wanted)


def _load(source: Source, query: Query) -> World:
    """The trees that may have an answer. What a sharing provider offers need not be in a tree itself."""
    wanted = sorted({pair for group in query.groups.values() for pair in group.resources.items()})
    shared = store.sharing_roots(source)
    if shared:
        wanted = [pair for pair in wanted if not store.sharing_with_room(source, pair)]
    providers = store.trees(source, store.roots_with_room(source, wanted) | shared)
    uuids = [each.uuid for each in providers]
    used = usage_store.of_providers(source, uuids)
    stock: dict[str, dict[str, tuple[Inventory, int]]] = defaultdict(dict)
    for each in inventory_store.find_all(source, uuids):
        pair = (each.provider_uuid, each.resource_class)
        stock[each.provider_uuid][each.resource_class] = (each, used.get(pair, 0))
    has_trait: dict[str, list[str]] = defaultdict(list)
    for trait in trait_store.of_providers(source, uuids):
        has_trait[trait.provider_uuid].append(trait.trait)
    member_of: dict[str, list[str]] = defaultdict(list)
    for member in aggregate_store.of_providers(source, uuids):
        member_of[member.provider_uuid].append(member.aggregate_uuid)
    return World(
        {
            each.uuid: Node(each, stock[each.uuid], frozenset(has_trait[each.uuid]), frozenset(member_of[each.uuid]))
            for each in providers
        }
    )
