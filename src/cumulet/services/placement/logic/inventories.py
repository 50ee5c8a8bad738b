# SPDX-License-Identifier: Apache-2.0
"""What can be done with the inventory of a provider."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.placement.logic import classes, providers
from cumulet.services.placement.store import inventories as store
from cumulet.services.placement.store import providers as provider_store
from cumulet.services.placement.store import usages
from cumulet.services.placement.types import MAX_INT, Inventory, Provider

# An inventory's fields by name, without provider, class and times.
Fields = Mapping[str, Any]

_DEFAULTS: Fields = {"reserved": 0, "min_unit": 1, "max_unit": MAX_INT, "step_size": 1, "allocation_ratio": 1.0}
FIELDS = ("total", *_DEFAULTS)


def make(provider: str, resource_class: str, fields: Fields) -> Inventory:
    """A new inventory; what is not among `fields` gets its default."""
    values = {**_DEFAULTS, **{name: fields[name] for name in FIELDS if name in fields}}
    return Inventory(
        provider_uuid=provider, resource_class=resource_class, created_at=clock.utcnow(), updated_at=None, **values
    )


def check_capacity(inventories: Iterable[Inventory], *, may_be_full: bool) -> None:
    """Raise Invalid where more is reserved than there is, or, unless it `may_be_full`, as much."""
    for each in inventories:
        if each.capacity < 0 or (each.capacity == 0 and not may_be_full):
            limit = "greater than" if may_be_full else "greater than or equal to"
            raise Invalid(
                f"Invalid inventory for '{each.resource_class}' on resource provider '{each.provider_uuid}'. "
                f"The reserved value is {limit} total.",
                code="InvalidInventoryCapacity",
            )


def of_provider(source: Source, uuid: str) -> dict[str, Inventory]:
    """By class."""
    return {each.resource_class: each for each in store.find_all(source, [uuid])}


def add(cloud: Cloud, new: Inventory) -> Provider:
    """Give a provider an inventory of a further class."""

    def write(tx: Tx) -> Provider:
        providers.lock(tx, new.provider_uuid)
        classes.check(tx, [new.resource_class])
        if new.resource_class in of_provider(tx, new.provider_uuid):
            raise Conflict(
                f"Update conflict: the resource provider has an inventory of class {new.resource_class}.",
                code="ConcurrentUpdate",
            )
        store.add(tx, new)
        return _changed(tx, new.provider_uuid)

    return cloud.db.write(write)


def update(cloud: Cloud, new: Inventory, generation: int) -> Provider:
    """Change one inventory of a provider."""

    def write(tx: Tx) -> Provider:
        check_generation(providers.lock(tx, new.provider_uuid), generation)
        classes.check(tx, [new.resource_class])
        if new.resource_class not in of_provider(tx, new.provider_uuid):
            raise Invalid(
                f"No inventory record with resource class for resource provider {new.provider_uuid}: "
                f"No inventory of class {new.resource_class} found."
            )
        _change(tx, new)
        return _changed(tx, new.provider_uuid)

    return cloud.db.write(write)


def delete(cloud: Cloud, uuid: str, resource_class: str) -> None:
    """Take one inventory from a provider."""

    def write(tx: Tx) -> None:
        providers.lock(tx, uuid)
        classes.check(tx, [resource_class])
        if resource_class not in of_provider(tx, uuid):
            raise NotFound(f"No inventory of class {resource_class} found for delete")
        _remove(tx, uuid, {resource_class})
        _changed(tx, uuid)

    cloud.db.write(write)


def replace(cloud: Cloud, uuid: str, inventories: Iterable[Inventory], generation: int | None) -> Provider:
    """Let these be all that the provider has; `generation` None is not checked."""

    def write(tx: Tx) -> Provider:
        found = providers.lock(tx, uuid)
        if generation is not None:
            check_generation(found, generation)
        return put(tx, uuid, inventories)

    return cloud.db.write(write)


def put(tx: Tx, uuid: str, inventories: Iterable[Inventory]) -> Provider:
    """`replace` within a transaction that holds the provider."""
    wanted = {each.resource_class: each for each in inventories}
    classes.check(tx, wanted)
    have = of_provider(tx, uuid)
    _remove(tx, uuid, have.keys() - wanted.keys())
    store.add(tx, *(each for name, each in wanted.items() if name not in have))
    for name in wanted.keys() & have.keys():
        _change(tx, wanted[name])
    return _changed(tx, uuid)


def ensure(tx: Tx, uuid: str, wanted: Mapping[str, Fields]) -> None:
    """Let this, by class, be all that the provider has; custom classes are made. Where it is so, nothing is written."""
    providers.lock(tx, uuid)
    have = {name: {field: getattr(each, field) for field in FIELDS} for name, each in of_provider(tx, uuid).items()}
    inventories = [make(uuid, name, fields) for name, fields in wanted.items()]
    if have == {each.resource_class: {field: getattr(each, field) for field in FIELDS} for each in inventories}:
        return
    check_capacity(inventories, may_be_full=True)
    classes.ensure(tx, wanted)
    put(tx, uuid, inventories)


def retire(tx: Tx, uuid: str) -> bool:
    """Take away a provider of what is gone; False where something is claimed of it, or it has children.

    Then it stays, and nothing more can be claimed of it.
    """
    if provider_store.find(tx, uuid) is None:
        return True
    used: dict[str, int] = {name: amount for (_, name), amount in usages.of_providers(tx, [uuid]).items() if amount}
    ensure(tx, uuid, {name: {"total": amount, "reserved": amount} for name, amount in used.items()})
    if used or provider_store.has_children(tx, uuid):
        return False
    return providers.remove(tx, uuid)


def check_generation(provider: Provider, generation: int) -> None:
    if provider.generation != generation:
        raise Conflict("resource provider generation conflict", code="ConcurrentUpdate")


def _change(tx: Tx, new: Inventory) -> None:
    changes = {name: getattr(new, name) for name in FIELDS}
    store.change(tx, new.provider_uuid, new.resource_class, {**changes, "updated_at": clock.utcnow()})


def _remove(tx: Tx, uuid: str, names: set[str]) -> None:
    used = classes.in_order({name for _, name in usages.of_providers(tx, [uuid])} & names)
    if used:
        raise Conflict(
            f"Inventory for '{', '.join(used)}' on resource provider '{uuid}' in use.", code="InventoryInUse"
        )
    store.remove(tx, uuid, names)


def _changed(tx: Tx, uuid: str) -> Provider:
    provider_store.bump(tx, [uuid])
    return providers.get(tx, uuid)
