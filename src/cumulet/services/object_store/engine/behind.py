# SPDX-License-Identifier: Apache-2.0
"""Devices that may lack what others have: they are read last until they have been compared with these."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from cumulet.services.object_store.engine.places import Node

OBJECTS, INDEXES = "objects", "indexes"


class Behind:
    """Those that missed something, as far as this process knows, and those that came later than `nodes`."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._met = set(nodes)
        self._missed: dict[Node, int] = {}
        self._caught: dict[Node, set[str]] = {}
        self._numbers = itertools.count(1)

    def __contains__(self, node: Node) -> bool:
        return node in self._missed or node not in self._met

    def note(self, node: Node) -> None:
        """It did not do what it was asked for."""
        self._missed[node] = next(self._numbers)
        self._caught.pop(node, None)

    def begin(self, nodes: Iterable[Node]) -> Mapping[Node, int]:
        """They are going to be compared with others; for `caught_up`."""
        return {node: self._missed.get(node, 0) for node in nodes}

    def caught_up(self, kind: str, begun: Mapping[Node, int]) -> None:
        """What was to be had of this `kind` when that began, they have now."""
        for node, number in begun.items():
            if node not in self or self._missed.get(node, 0) != number:
                continue
            caught = self._caught.setdefault(node, set())
            caught.add(kind)
            if caught == {OBJECTS, INDEXES}:
                del self._caught[node]
                self._missed.pop(node, None)
                self._met.add(node)
