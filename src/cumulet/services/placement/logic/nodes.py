# SPDX-License-Identifier: Apache-2.0
"""Providers as a search looks at them: small, for there are many, and with one object for what many have alike."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

MOST_ALIKE = 200_000  # objects that are looked up to be shared; beyond it the look-up begins anew


class Stock(NamedTuple):
    """An inventory as the database has it; the fields mean what they mean in `contract.Inventory`."""

    resource_class: str
    total: int
    reserved: int
    allocation_ratio: float
    min_unit: int
    max_unit: int
    step_size: int

    @property
    def capacity(self) -> int:
        return int((self.total - self.reserved) * self.allocation_ratio)


class Kind(msgspec.Struct, eq=False, frozen=True):
    """What providers of one kind have alike: traits, aggregates, and the classes of their inventories in order.

    `places` gives each class's place in `least`, `steps` and in a node's own tuples. Kinds are told apart by identity.
    """

    places: dict[str, int]
    least: tuple[int, ...]
    steps: tuple[int, ...]
    traits: frozenset[str]
    aggregates: frozenset[str]

    def place(self, name: str, amount: int) -> int | None:
        """Where to look for room for `amount` of a class; None where no claim of so much is permitted."""
        place = self.places.get(name)
        if place is None or amount < self.least[place] or amount % self.steps[place]:
            return None
        return place


class Node(msgspec.Struct, eq=False, frozen=True, gc=False):
    """A provider. By class: `capacity` in all, `used` of it, and the largest claim that there is `room` for."""

    uuid: str
    name: str
    parent: str | None
    root: str
    kind: Kind
    capacity: tuple[int, ...]
    used: tuple[int, ...]
    room: tuple[int, ...]

    @property
    def traits(self) -> frozenset[str]:
        return self.kind.traits

    @property
    def aggregates(self) -> frozenset[str]:
        return self.kind.aggregates

    def room_of(self, name: str) -> int:
        """The largest claim of a class that there is room for."""
        return self.room[self.kind.places[name]]

    def has_room(self, name: str, amount: int) -> bool:
        place = self.kind.place(name, amount)
        return place is not None and amount <= self.room[place]


class Maker:
    """Makes nodes that share what they have alike. For one thread at a time."""

    def __init__(self) -> None:
        self._alike: dict[Hashable, Any] = {}

    def node(
        self,
        provider: tuple[str, str, str | None, str],
        stock: Iterable[Stock],
        used: Mapping[str, int],
        traits: Iterable[str],
        aggregates: Iterable[str],
    ) -> Node:
        """The node of a provider (its uuid, name, parent and root), `stock` in the order of classes."""
        if len(self._alike) > MOST_ALIKE:
            self._alike.clear()
        listed = tuple(stock)
        uuid, name, parent, root = provider
        capacity = tuple(each.capacity for each in listed)
        taken = tuple(used.get(each.resource_class, 0) for each in listed)
        room = tuple(min(each.max_unit, most - held) for each, most, held in zip(listed, capacity, taken, strict=True))
        kind = self._kind(listed, frozenset(traits), frozenset(aggregates))
        return Node(
            uuid, name, parent, uuid if root == uuid else root, kind, self._one(capacity), self._one(taken),
            self._one(room),
        )  # fmt: skip

    def _kind(self, stock: tuple[Stock, ...], traits: frozenset[str], aggregates: frozenset[str]) -> Kind:
        names = tuple(each.resource_class for each in stock)
        least = tuple(each.min_unit for each in stock)
        steps = tuple(each.step_size for each in stock)
        key = (names, least, steps, traits, aggregates)
        found: Kind | None = self._alike.get(key)
        if found is None:
            places = {name: place for place, name in enumerate(names)}
            found = self._alike[key] = Kind(places, least, steps, self._one(traits), self._one(aggregates))
        return found

    def _one(self, value: Any) -> Any:
        return self._alike.setdefault(value, value)
