# SPDX-License-Identifier: Apache-2.0
"""What can be done with group types."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context, internal
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.kernel.formats import is_uuid
from cumulet.services.block_storage import events
from cumulet.services.block_storage.store import group_types as store
from cumulet.services.block_storage.store import groups
from cumulet.services.block_storage.types import Page
from cumulet.services.block_storage.types.groups import GroupType

# The type of what the older API of consistency groups makes, which every cloud has, as with Cinder.
CONSISTENT = "default_cgsnapshot_type"
_SPECS: dict[str, str | None] = {"consistent_group_snapshot_enabled": "<is> True"}


def get(source: Source, ctx: Context, type_id: str) -> GroupType:
    """By id."""
    found = store.find(source, ctx, type_id)
    if found is None:
        raise NotFound(f"Group type {type_id} could not be found.", code="GroupTypeNotFound")
    return found


def default(cloud: Cloud, source: Source) -> GroupType:
    """The type that the settings name; NotFound where they name none, or one that is not there."""
    name = cloud.settings.block_storage.default_group_type
    found = store.named(source, name) if name else None
    if found is None:
        raise NotFound("Default group type can not be found.")
    return found


def find(source: Source, ctx: Context, name_or_id: str) -> GroupType:
    """By id or by name."""
    looks_like_id = is_uuid(name_or_id)
    found = (store.find(source, ctx, name_or_id) if looks_like_id else None) or store.find_by_name(
        source, ctx, name_or_id
    )
    if found is None and looks_like_id:
        raise NotFound(f"Group type {name_or_id} could not be found.", code="GroupTypeNotFound")
    if found is None:
        raise NotFound(f"Group type with name {name_or_id} could not be found.", code="GroupTypeNotFoundByName")
    return found


def find_page(source: Source, ctx: Context, page: Page, is_public: bool | None) -> list[GroupType]:
    """A part of the list; NotFound where the marker is not there."""
    try:
        return store.find_page(source, ctx, page, is_public)
    except LookupError as error:
        raise NotFound(f"Group type {error.args[0]} could not be found.", code="GroupTypeNotFound") from error


def consistent(source: Source) -> GroupType | None:
    """The type of consistency groups; None where it was taken away."""
    return store.named(source, CONSISTENT)


def create(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    name: str,
    description: str | None,
    specs: dict[str, str | None],
    *,
    is_public: bool,
) -> GroupType:
    _check_free(tx, name)
    new = GroupType(ids.new_uuid(), name, description, is_public, specs, clock.utcnow(), None)
    store.add(tx, new)
    _tell(cloud, tx, "create", new, ctx)
    return new


def update(cloud: Cloud, tx: Tx, ctx: Context, type_id: str, changes: dict[str, Any]) -> GroupType:
    """Change `name`, `description` or `is_public`."""
    get(tx, ctx, type_id)
    if "name" in changes:
        _check_free(tx, changes["name"], but=type_id)
    store.change(tx, type_id, **changes)
    now = get(tx, ctx, type_id)
    _tell(cloud, tx, "update", now, ctx)
    return now


def delete(cloud: Cloud, tx: Tx, ctx: Context, type_id: str) -> None:
    """Remove a type of which there are no groups."""
    found = get(tx, ctx, type_id)
    if groups.any_of_type(tx, type_id):
        raise Invalid(
            f"Target group type is still in use. Group Type {type_id} deletion is not allowed with groups present with "
            "the type."
        )
    store.remove(tx, type_id)
    _tell(cloud, tx, "delete", found, ctx)


def set_specs(cloud: Cloud, tx: Tx, ctx: Context, type_id: str, specs: dict[str, str | None], verb: str) -> None:
    """Add or replace specs; `verb` (create, update) is what is told of it."""
    found = get(tx, ctx, type_id)
    store.change(tx, type_id, group_specs={**found.group_specs, **specs})
    payload = (
        {"type_id": type_id, "specs": specs} if verb == "create" else {"type_id": type_id, "id": next(iter(specs))}
    )
    cloud.outbox.publish(tx, f"{events.GROUP_TYPE_SPECS}.{verb}", payload, ctx.request_id)


def remove_spec(cloud: Cloud, tx: Tx, ctx: Context, type_id: str, key: str) -> None:
    found = get(tx, ctx, type_id)
    if key not in found.group_specs:
        raise NotFound(f"Group Type {type_id} has no specs with key {key}.", code="GroupTypeSpecsNotFound")
    store.change(tx, type_id, group_specs={name: value for name, value in found.group_specs.items() if name != key})
    payload = {"type_id": type_id, "id": key}
    cloud.outbox.publish(tx, f"{events.GROUP_TYPE_SPECS}.delete", payload, ctx.request_id)


def ensure_consistent(cloud: Cloud) -> None:
    """Make the type of consistency groups, unless it is there."""
    if store.named(cloud.db, CONSISTENT) is None:
        about, ctx = "Default group type for migrating cgsnapshot", internal()

        def write(tx: Tx) -> None:
            if store.named(tx, CONSISTENT) is None:
                create(cloud, tx, ctx, CONSISTENT, about, dict(_SPECS), is_public=True)

        cloud.db.write(write)


def _check_free(tx: Tx, name: str, but: str = "") -> None:
    other = store.named(tx, name)
    if other is not None and other.id != but:
        raise Conflict(f"Group Type {name} already exists.", code="GroupTypeExists")


def _tell(cloud: Cloud, tx: Tx, verb: str, one: GroupType, ctx: Context) -> None:
    cloud.outbox.publish(tx, f"{events.GROUP_TYPE}.{verb}", events.group_type(one), ctx.request_id)
