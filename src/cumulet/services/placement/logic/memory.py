# SPDX-License-Identifier: Apache-2.0
"""All providers in memory, as of the moment of the search: what changed since the last one is read anew.

Each process has a memory of its own, empty until its first search. `docs/adr/0026-providers-in-memory.md` says why
what it knows is never older than the search.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.db import Source
from cumulet.services.placement.logic.nodes import Maker, Node, Stock
from cumulet.services.placement.store import changes as store
from cumulet.services.placement.store.changes import Moment
from cumulet.services.placement.types import SHARING

PAGE = 2000  # providers read by one statement
FEW = 500  # changes that are put in their places one by one; after more, all are put in order anew
ROUNDS = 20  # readings that were overtaken by writers, after which the last one has to do
LONGEST_REST = 43_200.0  # seconds without a search after which notes on removed providers may be missing


class Tree(msgspec.Struct, eq=False, frozen=True):
    """A tree of two providers or more, in the order of their names."""

    root: Node
    nodes: tuple[Node, ...]


class Memory:
    """The providers of the cloud. `trees` are in the order of their roots' names; a tree of one is its only node.

    Nodes and trees never change; those of a provider that changes are replaced. Look at the rest within `fresh` alone.
    """

    def __init__(self) -> None:
        self.trees: list[Node | Tree] = []
        self.sharing: dict[str, Node] = {}  # those with something to share, and aggregates to share it with
        self._names: list[str] = []  # of the roots of `trees`
        self._nodes: dict[str, Node] = {}
        self._members: dict[str, set[str]] = {}  # by root: the providers of trees of two or more
        self._moment: Moment | None = None
        self._asked = 0.0
        self._maker = Maker()
        self._lock = threading.Lock()

    @contextmanager
    def fresh(self, source: Source) -> Iterator[Memory]:
        """The memory as of now, for the length of the block; others wait meanwhile."""
        with self._lock:
            self._refresh(source)
            yield self

    def find(self, uuid: str) -> Node | None:
        """A provider; None where there is none."""
        return self._nodes.get(uuid)

    def tree_of(self, uuid: str) -> Node | Tree | None:
        """The tree that a provider is part of."""
        node = self._nodes.get(uuid)
        root = self._nodes.get(node.root) if node is not None else None
        place = self._place(root) if root is not None else None
        return self.trees[place] if place is not None else None

    def root_of(self, uuid: str) -> str:
        """The root of a provider's tree; the provider is there."""
        return self._nodes[uuid].root

    def whole(self, roots: Iterable[str]) -> list[Node]:
        """All providers of the trees with these roots."""
        return [self._nodes[uuid] for root in roots for uuid in self._members.get(root, (root,))]

    def take_over(self, uuids: list[str], new: Mapping[str, Node]) -> None:
        """Let these providers be what they are now; those that are not in `new` are gone."""
        if len(uuids) > FEW:
            for uuid in uuids:
                self._nodes.pop(uuid, None)
            self._nodes |= new
            self._put_in_order()
        elif uuids:
            self._put_in_place(uuids, new)

    def _refresh(self, source: Source) -> None:
        asked = clock.now()
        if abs(asked - self._asked) > LONGEST_REST:
            self._moment = None
        for _ in range(ROUNDS):
            then = self._moment or self._load(source)
            now, uuids = store.since(source, then)
            if not then.precedes(now):
                self._moment = None
                continue
            rows = [row for few in _pages(uuids) for row in store.some(source, few)]
            self._moment = None  # should what follows fail
            self.take_over(uuids, {row.provider[0]: self._node(row) for row in rows})
            self._moment = now
            if not uuids:
                break
        self._asked = asked

    def _load(self, source: Source) -> Moment:
        """Read everything, at several moments after the one that is returned; what changes meanwhile is told then."""
        moment = store.moment(source)
        self._maker = Maker()
        self._nodes = {}
        after = ""
        while rows := store.page(source, after, PAGE):
            after = max(row.provider[0] for row in rows)
            self._nodes.update((row.provider[0], self._node(row)) for row in rows)
        self._put_in_order()
        return moment

    def _node(self, row: store.Row) -> Node:
        return self._maker.node(row.provider, map(Stock._make, row.stock), row.used, row.traits, row.aggregates)

    def _put_in_order(self) -> None:
        members: dict[str, set[str]] = {}
        for node in self._nodes.values():
            if node.root != node.uuid:
                members.setdefault(node.root, {node.root}).add(node.uuid)
        self._members = {root: uuids for root, uuids in members.items() if root in self._nodes}
        roots = sorted((node for node in self._nodes.values() if node.root == node.uuid), key=_name)
        self.trees = [self._tree(root) for root in roots]
        self._names = [root.name for root in roots]
        self.sharing = {node.uuid: node for node in self._nodes.values() if _shares(node)}

    def _put_in_place(self, uuids: Iterable[str], new: Mapping[str, Node]) -> None:
        old = {uuid: node for uuid in uuids if (node := self._nodes.get(uuid)) is not None}
        touched = {node.root for node in (*old.values(), *new.values())}
        for root in touched & self._nodes.keys():
            place = self._place(self._nodes[root])
            if place is not None:
                del self._names[place], self.trees[place]
        for uuid in uuids:
            self._forget(uuid, old.get(uuid))
        for node in new.values():
            self._add(node)
        for root in touched & self._nodes.keys():
            node = self._nodes[root]
            if node.root == root:
                place = bisect_left(self._names, node.name)
                self._names.insert(place, node.name)
                self.trees.insert(place, self._tree(node))

    def _place(self, root: Node) -> int | None:
        """Where the tree of `root` stands; between two readings two may bear one name."""
        place = bisect_left(self._names, root.name)
        while place < len(self._names) and self._names[place] == root.name:
            tree = self.trees[place]
            if (tree.root.uuid if isinstance(tree, Tree) else tree.uuid) == root.uuid:
                return place
            place += 1
        return None

    def _forget(self, uuid: str, old: Node | None) -> None:
        self._nodes.pop(uuid, None)
        self.sharing.pop(uuid, None)
        if old is not None and old.root in self._members:
            self._members[old.root].discard(uuid)
            if self._members[old.root] <= {old.root}:
                del self._members[old.root]

    def _add(self, node: Node) -> None:
        self._nodes[node.uuid] = node
        if _shares(node):
            self.sharing[node.uuid] = node
        if node.root != node.uuid:
            self._members.setdefault(node.root, {node.root}).add(node.uuid)
        elif node.uuid in self._members:
            self._members[node.uuid].add(node.uuid)

    def _tree(self, root: Node) -> Node | Tree:
        members = self._members.get(root.uuid)
        if members is None:
            return root
        return Tree(root, tuple(sorted((self._nodes[uuid] for uuid in members), key=_name)))


def _pages(uuids: list[str]) -> Iterator[list[str]]:
    return (uuids[start : start + PAGE] for start in range(0, len(uuids), PAGE))


def _name(node: Node) -> str:
    return node.name


def _shares(node: Node) -> bool:
    return SHARING in node.traits and bool(node.aggregates)
