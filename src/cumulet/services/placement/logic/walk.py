# SPDX-License-Identifier: Apache-2.0
"""The search for candidates over all providers in memory, tree by tree: it goes no further than its reader.

A tree of one provider is served by that provider or not at all, which is a comparison of numbers. Other trees, and
those that somebody shares something with, are searched as `search` defines, each as a small world of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterator
from itertools import islice

from cumulet.services.placement.logic.memory import Memory, Tree
from cumulet.services.placement.logic.nodes import Kind, Node
from cumulet.services.placement.logic.search import Candidate, Group, Query, World, below

# A provider that serves the whole request by itself, and by itself alone; or one way among several to serve it.
Found = Node | Candidate

# Where a kind's nodes must have room, and for how much; None where they cannot serve the request.
_Bounds = tuple[tuple[int, int], ...] | None
_UNKNOWN: _Bounds = ((-1, 0),)
_SHARED_WITH: _Bounds = ((-2, 0),)


def walk(memory: Memory, query: Query, *, breadth_first: bool = False) -> Iterator[Found]:
    """All that is found, each once, by the names of the trees; `query.limit` is for the reader to mind.

    `breadth_first`: one candidate of each tree, then a second one of each that has one, and so on.
    """
    later: deque[Iterator[Candidate]] = deque()
    for each in _trees(memory, query):
        if isinstance(each, Node):
            yield each
        elif breadth_first:
            yield from islice(each, 1)
            later.append(each)
        else:
            yield from each
    while later:
        rest = later.popleft()
        for found in rest:
            yield found
            later.append(rest)
            break


def alone(query: Query, uuid: str) -> Candidate:
    """The candidate that is meant by a provider that serves the whole request by itself."""
    return Candidate(uuid, {uuid: _sums(query)}, {suffix: [uuid] for suffix in query.groups})


def _trees(memory: Memory, query: Query) -> Iterator[Node | Iterator[Candidate]]:
    limited = {group.in_tree: memory.tree_of(group.in_tree) for group in query.groups.values() if group.in_tree}
    roots = {_root(tree).uuid for tree in limited.values() if tree is not None}
    if not query.groups or None in limited.values():
        return
    shared = frozenset().union(*(node.aggregates for node in memory.sharing.values()))
    known: dict[Kind, _Bounds] = {}
    seen: set[Hashable] = set()
    narrow = [tree for tree in limited.values() if tree is not None][:1]
    for tree in narrow if narrow and not shared else memory.trees:
        if isinstance(tree, Node):
            bounds = known.get(tree.kind, _UNKNOWN)
            if bounds is _UNKNOWN:
                bounds = known[tree.kind] = _SHARED_WITH if tree.aggregates & shared else _bounds(query, tree.kind)
            if bounds is None:
                continue
            if bounds is not _SHARED_WITH:
                room = tree.room
                for place, amount in bounds:
                    if room[place] < amount:
                        break
                else:
                    if not roots or roots == {tree.uuid}:
                        yield tree
                continue
        yield _below(memory, query, tree, seen)


def _bounds(query: Query, kind: Kind) -> _Bounds:
    """What a node of this kind must have room for to serve all groups."""
    is_viable = query.root_required <= kind.traits and not query.root_forbidden & kind.traits
    lone = sum(1 for suffix in query.groups if suffix)
    if not is_viable or (query.isolate and lone > 1) or not all(_suits(kind, each) for each in query.groups.values()):
        return None
    if "" in query.groups and not query.groups[""].resources:
        return None
    return tuple((kind.places[name], amount) for name, amount in _sums(query).items())


def _suits(kind: Kind, group: Group) -> bool:
    return (
        all(kind.place(name, amount) is not None for name, amount in group.resources.items())
        and all(kind.traits & each for each in group.required)
        and not kind.traits & group.forbidden
        and all(kind.aggregates & each for each in group.member_of)
        and not kind.aggregates & group.not_member_of
    )


def _sums(query: Query) -> dict[str, int]:
    """What all groups ask for together."""
    sums: dict[str, int] = {}
    for group in query.groups.values():
        for name, amount in group.resources.items():
            sums[name] = sums.get(name, 0) + amount
    return sums


def _below(memory: Memory, query: Query, tree: Node | Tree, seen: set[Hashable]) -> Iterator[Candidate]:
    """The candidates of one tree with all that is shared with it."""
    nodes = tree.nodes if isinstance(tree, Tree) else (tree,)
    aggregates = frozenset().union(*(node.aggregates for node in nodes))
    roots = {node.root for node in memory.sharing.values() if node.aggregates & aggregates} - {nodes[0].root}
    if roots:
        nodes = tuple(sorted((*nodes, *memory.whole(roots)), key=lambda node: node.name))
    wanted = {pair for group in query.groups.values() for pair in group.resources.items()}
    if not all(any(node.has_room(*pair) for node in nodes) for pair in wanted):
        return iter(())
    return below(World({node.uuid: node for node in nodes}), query, _root(tree).uuid, seen)


def _root(tree: Node | Tree) -> Node:
    return tree.root if isinstance(tree, Tree) else tree
