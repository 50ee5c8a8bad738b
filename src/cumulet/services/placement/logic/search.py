# SPDX-License-Identifier: Apache-2.0
"""The search for candidates in memory, tree by tree: a world of providers and a query in, candidates out.

A request is made of groups. The group without a suffix may be served by several providers of one tree, each class by
one of them; a group with a suffix by one provider. Providers that share what they have (trait
MISC_SHARES_VIA_AGGREGATE) serve every tree with a member in one of their aggregates. All groups of a candidate belong
to one tree, its anchor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from cumulet.services.placement.types import SHARING, Inventory, Provider

Pair = tuple[str, str]  # a provider and a class


@dataclass(frozen=True)
class Group:
    """One part of a request.

    Of each set in `required` one trait has to be there, of each set in `member_of` one aggregate. `in_tree` is any
    provider of the tree that the group is limited to. A group without a suffix judges `required` on all its providers
    taken together.
    """

    resources: Mapping[str, int]
    required: Sequence[frozenset[str]] = ()
    forbidden: frozenset[str] = frozenset()
    member_of: Sequence[frozenset[str]] = ()
    not_member_of: frozenset[str] = frozenset()
    in_tree: str | None = None


@dataclass(frozen=True)
class Query:
    """A request: its groups by suffix (`""` for the one without), and what holds for all of it.

    `isolate`: groups with a suffix are served by different providers. `root_required` and `root_forbidden` are traits
    of the anchor. Each set in `same_subtrees` names groups whose providers stand below one of themselves. `nested`
    False takes at most one provider of a tree, as clients from before trees expect.
    """

    groups: Mapping[str, Group]
    isolate: bool = False
    root_required: frozenset[str] = frozenset()
    root_forbidden: frozenset[str] = frozenset()
    same_subtrees: Sequence[frozenset[str]] = ()
    nested: bool = True
    limit: int | None = None


@dataclass(frozen=True)
class Node:
    """A provider with all that a search looks at; `stock` by class: the inventory and what is claimed of it."""

    provider: Provider
    stock: Mapping[str, tuple[Inventory, int]]
    traits: frozenset[str]
    aggregates: frozenset[str]

    @property
    def uuid(self) -> str:
        return self.provider.uuid

    @property
    def root(self) -> str:
        return self.provider.root_uuid

    def has_room(self, name: str, amount: int) -> bool:
        inventory, used = self.stock.get(name, (None, 0))
        return inventory is not None and inventory.permits(amount) and used + amount <= inventory.capacity


@dataclass(frozen=True)
class World:
    """The providers that a search looks at, by uuid and in the order of their names; whole trees."""

    nodes: Mapping[str, Node]
    _anchors: dict[str, list[str]] = field(default_factory=dict)

    def anchors(self, node: Node) -> list[str]:
        """The roots of all trees that the node can serve: its own, and those that it shares with."""
        found = self._anchors.get(node.uuid)
        if found is None:
            roots = {node.root: None}
            if SHARING in node.traits and node.aggregates:
                roots |= {each.root: None for each in self.nodes.values() if each.aggregates & node.aggregates}
            found = self._anchors[node.uuid] = list(roots)
        return found

    def ancestors(self, uuid: str) -> set[str]:
        """The provider itself and all above it."""
        found = set()
        above: str | None = uuid
        while above is not None:
            found.add(above)
            above = self.nodes[above].provider.parent_uuid
        return found


@dataclass(frozen=True)
class Candidate:
    """An answer: what to claim of which provider, and which providers (in order) serve each group."""

    anchor: str
    claims: dict[str, dict[str, int]]
    mappings: dict[str, list[str]]


@dataclass(frozen=True)
class _Pick:
    """How one group may be served: amounts by provider and class; `providers` also those without any amount."""

    suffix: str
    providers: tuple[str, ...]
    amounts: tuple[tuple[Pair, int], ...]


_Picks = dict[str, list[_Pick]]  # by anchor
T = TypeVar("T")


def search(world: World, query: Query) -> Iterator[Candidate]:
    """All candidates, each once, by the name of their anchor; at most `query.limit`."""
    by_group = []
    for suffix, group in query.groups.items():
        picks = _of_one(world, suffix, group) if suffix else _of_many(world, group)
        if not picks:
            return
        by_group.append(picks)
    seen = set()
    for root in _viable_roots(world, query, by_group):
        for chosen in _combine(world, query, [picks[root] for picks in by_group]):
            candidate = _candidate(root, chosen)
            key = (
                frozenset((uuid, *pair) for uuid, amounts in candidate.claims.items() for pair in amounts.items()),
                frozenset((suffix, *uuids) for suffix, uuids in candidate.mappings.items()),
            )
            if key in seen or not (query.nested or _is_flat(world, candidate)):
                continue
            seen.add(key)
            yield candidate
            if query.limit is not None and len(seen) >= query.limit:
                return


def _viable_roots(world: World, query: Query, by_group: list[_Picks]) -> list[str]:
    def is_wanted(node: Node) -> bool:
        return query.root_required <= node.traits and not query.root_forbidden & node.traits

    roots = [node for node in world.nodes.values() if node.provider.parent_uuid is None]
    return [node.uuid for node in roots if is_wanted(node) and all(node.uuid in picks for picks in by_group)]


def _of_one(world: World, suffix: str, group: Group) -> _Picks:
    """The ways to serve a group by one provider."""
    tree = world.nodes[group.in_tree].root if group.in_tree is not None else None
    picks: _Picks = defaultdict(list)
    for node in world.nodes.values():
        if (
            (tree is None or node.root == tree)
            and all(node.has_room(name, amount) for name, amount in group.resources.items())
            and _has_traits(group, node.traits)
            and not group.forbidden & node.traits
            and _is_member(group, node)
            and not node.aggregates & group.not_member_of
        ):
            amounts = tuple(((node.uuid, name), amount) for name, amount in group.resources.items())
            pick = _Pick(suffix, (node.uuid,), amounts)
            for root in world.anchors(node):
                picks[root].append(pick)
    return picks


def _of_many(world: World, group: Group) -> _Picks:
    """The ways to serve the group without a suffix, each class by one provider."""
    servers: list[dict[str, list[Node]]] = []
    for name, amount in group.resources.items():
        by_root: dict[str, list[Node]] = defaultdict(list)
        for node in world.nodes.values():
            if node.has_room(name, amount) and not group.forbidden & node.traits:
                for root in _roots_in_reach(world, group, node):
                    by_root[root].append(node)
        servers.append(by_root)
    picks: _Picks = {}
    for root in servers[0] if servers else ():
        found = [
            _Pick("", tuple(dict.fromkeys(node.uuid for node in nodes)), tuple(_amounts(group, nodes)))
            for nodes in _product([by_root.get(root, []) for by_root in servers], lambda _: True)
            if _has_traits(group, frozenset().union(*(node.traits for node in nodes)))
        ]
        if found:
            picks[root] = found
    return picks


def _amounts(group: Group, nodes: Sequence[Node]) -> Iterator[tuple[Pair, int]]:
    for node, (name, amount) in zip(nodes, group.resources.items(), strict=True):
        yield (node.uuid, name), amount


def _roots_in_reach(world: World, group: Group, node: Node) -> list[str]:
    """The anchors for which the node may serve the group; what the top of a tree is a member of, all of it is."""
    if group.in_tree is not None:
        tree = world.nodes[group.in_tree].root
        anchors = [tree] if node.root == tree else []
    else:
        anchors = world.anchors(node)
    found = []
    for root in anchors:
        top = world.nodes[root]
        is_member = _is_member(group, node) or (root == node.root and _is_member(group, top))
        if is_member and not (node.aggregates | top.aggregates) & group.not_member_of:
            found.append(root)
    return found


def _is_member(group: Group, node: Node) -> bool:
    return all(node.aggregates & each for each in group.member_of)


def _has_traits(group: Group, traits: frozenset[str]) -> bool:
    return all(traits & each for each in group.required)


def _combine(world: World, query: Query, options: list[list[_Pick]]) -> Iterator[list[_Pick]]:
    """One pick of each group, such that together they fit and the query's wishes for all of it hold."""

    def fits(chosen: list[_Pick]) -> bool:
        return _has_capacity(world, chosen) and (not query.isolate or _is_isolated(chosen))

    for chosen in _product(options, fits):
        if all(_is_subtree(world, chosen, suffixes) for suffixes in query.same_subtrees):
            yield chosen


def _product(options: Sequence[Sequence[T]], fits: Callable[[list[T]], bool]) -> Iterator[list[T]]:
    """One item of each of `options`; a beginning that does not fit is not carried on."""
    chosen: list[T] = []

    def extend(depth: int) -> Iterator[list[T]]:
        if depth == len(options):
            yield list(chosen)
            return
        for item in options[depth]:
            chosen.append(item)
            if fits(chosen):
                yield from extend(depth + 1)
            chosen.pop()

    return extend(0)


def _has_capacity(world: World, chosen: Iterable[_Pick]) -> bool:
    sums: dict[Pair, int] = defaultdict(int)
    for pick in chosen:
        for pair, amount in pick.amounts:
            sums[pair] += amount
    for (uuid, name), amount in sums.items():
        inventory, used = world.nodes[uuid].stock[name]
        if used + amount > inventory.capacity or amount > inventory.max_unit:
            return False
    return True


def _is_isolated(chosen: Iterable[_Pick]) -> bool:
    providers = [pick.providers[0] for pick in chosen if pick.suffix]
    return len(providers) == len(set(providers))


def _is_subtree(world: World, chosen: Iterable[_Pick], suffixes: frozenset[str]) -> bool:
    """Whether one of the groups' providers stands above all of them."""
    providers = {uuid for pick in chosen if pick.suffix in suffixes for uuid in pick.providers}
    common = set.intersection(*(world.ancestors(uuid) for uuid in providers)) if providers else set()
    return not providers or bool(common & providers)


def _is_flat(world: World, candidate: Candidate) -> bool:
    roots = [world.nodes[uuid].root for uuid in candidate.claims]
    return len(roots) == len(set(roots))


def _candidate(root: str, chosen: Iterable[_Pick]) -> Candidate:
    claims: dict[str, dict[str, int]] = {}
    for pick in chosen:
        for (uuid, name), amount in pick.amounts:
            amounts = claims.setdefault(uuid, {})
            amounts[name] = amounts.get(name, 0) + amount
    return Candidate(root, claims, {pick.suffix: sorted(pick.providers) for pick in chosen})
