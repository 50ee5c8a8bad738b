# SPDX-License-Identifier: Apache-2.0
"""What can be done with resource classes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.placement.logic import standard
from cumulet.services.placement.store import allocations, inventories
from cumulet.services.placement.store import classes as store
from cumulet.services.placement.types import ResourceClass


def get(source: Source, name: str) -> datetime | None:
    """When the class was made, None for a standard one; NotFound for one that does not exist."""
    if name in standard.classes():
        return None
    found = store.find(source, name)
    if found is None:
        raise _missing(name)
    return found.created_at


def find_all(source: Source) -> list[tuple[str, datetime | None]]:
    """All names, the standard ones first, each with the time at which it was made here."""
    own = [(each.name, each.created_at) for each in store.find_all(source)]
    return [*((name, None) for name in standard.classes()), *own]


def in_order(names: Iterable[str]) -> list[str]:
    """The names in the order in which the classes came to be, those of the cloud's own after all others by name."""
    places = {name: place for place, name in enumerate(standard.classes())}
    return sorted(names, key=lambda name: (places.get(name, len(places)), name))


def check(source: Source, names: Iterable[str]) -> None:
    """Raise NotFound unless all classes exist."""
    own = set(names) - set(standard.classes())
    if own:
        for name in sorted(own - {each.name for each in store.find_some(source, own)}):
            raise _missing(name)


def ensure(tx: Tx, names: Iterable[str]) -> None:
    """Make those custom classes that do not exist yet; Invalid for a name that cannot be."""
    own = set(names) - set(standard.classes())
    for name in sorted(own - {each.name for each in store.find_some(tx, own)}):
        if not standard.is_custom(name):
            raise Invalid(f"No such resource class {name}.", code="ResourceClassNotFound")
        store.add(tx, ResourceClass(name, clock.utcnow()))


def create(cloud: Cloud, name: str) -> bool:
    """Make a class; False where it is there already."""

    def write(tx: Tx) -> bool:
        tx.lock("placement:classes")
        if store.find(tx, name) is not None:
            return False
        store.add(tx, ResourceClass(name, clock.utcnow()))
        return True

    return cloud.db.write(write)


def rename(cloud: Cloud, old: str, new: str) -> None:
    """Give a custom class another name, in use or not."""

    def write(tx: Tx) -> None:
        tx.lock("placement:classes")
        if get(tx, old) is None:
            raise Invalid(f"Cannot update standard resource class {old}")
        if store.find(tx, new) is not None:
            raise Conflict(f"Resource class already exists: {new}")
        store.rename(tx, old, new)
        inventories.rename_class(tx, old, new)
        allocations.rename_class(tx, old, new)

    cloud.db.write(write)


def delete(cloud: Cloud, name: str) -> None:
    """Remove a custom class of which no provider has an inventory."""

    def write(tx: Tx) -> None:
        if get(tx, name) is None:
            raise Invalid(f"Error in delete resource class: Cannot delete standard resource class {name}.")
        if inventories.has_class(tx, name):
            raise Conflict(
                f"Error in delete resource class: Cannot delete resource class {name}. Class is in use in inventory."
            )
        store.remove(tx, name)

    cloud.db.write(write)


def _missing(name: str) -> NotFound:
    return NotFound(f"No such resource class {name}.", code="ResourceClassNotFound")
