# SPDX-License-Identifier: Apache-2.0
"""What a candidate is: a world of providers and a query in, candidates out. `walk` is held against it.

A request is made of groups. The group without a suffix may be served by several providers of one tree, each class by
one of them; a group with a suffix by one provider. Providers that share what they have (trait
MISC_SHARES_VIA_AGGREGATE) serve every tree with a member in one of their aggregates. All groups of a candidate belong
to one tree, its anchor.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import msgspec

from cumulet.services.placement.logic.nodes import Node
from cumulet.services.placement.types import SHARING

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
class World:
    """The providers that a search looks at, by uuid and in the order of their names; whole trees.

    A provider that a query names as `in_tree` may be missing: then nothing is in its tree.
    """

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
            above = self.nodes[above].parent
        return found

    def tree_of(self, group: Group) -> str | None:
        """The root of the tree that the group is limited to; None where it is not, "" where there is none."""
        if group.in_tree is None:
            return None
        node = self.nodes.get(group.in_tree)
        return node.root if node is not None else ""


class Candidate(msgspec.Struct, frozen=True):
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
    return islice(below(world, query), query.limit)


def below(
    world: World, query: Query, anchor: str | None = None, seen: set[Hashable] | None = None
) -> Iterator[Candidate]:
    """All candidates, or those of one `anchor`, save those `seen`, which grows by them."""
    seen = set() if seen is None else seen
    by_group = []
    for suffix, group in query.groups.items():
        picks = _of_one(world, suffix, group) if suffix else _of_many(world, group, anchor)
        if not picks:
            return
        by_group.append(picks)
    for root in _viable_roots(world, query, by_group) if anchor is None else [anchor]:
        options = [picks.get(root, []) for picks in by_group]
        for chosen in _combine(world, query, options) if _is_viable(query, world.nodes[root]) else ():
            candidate = _candidate(root, chosen)
            key = (
                frozenset((uuid, *pair) for uuid, amounts in candidate.claims.items() for pair in amounts.items()),
                frozenset((suffix, *uuids) for suffix, uuids in candidate.mappings.items()),
            )
            if key in seen or not (query.nested or _is_flat(world, candidate)):
                continue
            seen.add(key)
            yield candidate


def _viable_roots(world: World, query: Query, by_group: list[_Picks]) -> list[str]:
    roots = [uuid for uuid, node in world.nodes.items() if node.parent is None]
    return [uuid for uuid in roots if all(uuid in picks for picks in by_group)]


def _is_viable(query: Query, root: Node) -> bool:
    return query.root_required <= root.traits and not query.root_forbidden & root.traits


def _of_one(world: World, suffix: str, group: Group) -> _Picks:
    """The ways to serve a group by one provider."""
    tree = world.tree_of(group)
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


def _of_many(world: World, group: Group, anchor: str | None) -> _Picks:
    """The ways to serve the group without a suffix, each class by one provider; those of one `anchor`, or all."""
    servers: list[dict[str, list[Node]]] = []
    for name, amount in group.resources.items():
        by_root: dict[str, list[Node]] = defaultdict(list)
        for node in world.nodes.values():
            if node.has_room(name, amount) and not group.forbidden & node.traits:
                for root in _roots_in_reach(world, group, node):
                    by_root[root].append(node)
        servers.append(by_root)
    picks: _Picks = {}
    roots: Iterable[str] = (servers[0] if anchor is None else [anchor]) if servers else ()
    for root in roots:
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
    tree = world.tree_of(group)
    anchors = world.anchors(node) if tree is None else [tree] if node.root == tree else []
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
    return all(amount <= world.nodes[uuid].room_of(name) for (uuid, name), amount in sums.items())


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
