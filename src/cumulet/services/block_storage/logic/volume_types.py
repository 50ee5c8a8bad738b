# SPDX-License-Identifier: Apache-2.0
"""What can be done with volume types."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context, internal
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.block_storage.logic.refusals import type_not_found
from cumulet.services.block_storage.store import groups, volumes
from cumulet.services.block_storage.store import volume_types as store
from cumulet.services.block_storage.types import DefaultType, Page, TypeAccess, VolumeType
from cumulet.services.identity.contract import IdentityContract

YES = "<is> True"
DEFAULT = "__DEFAULT__"  # the type that every cloud has, as with Cinder


def get(source: Source, ctx: Context, type_id: str) -> VolumeType:
    """By id; `default` is the default of the caller's project."""
    found = default(source, ctx) if type_id == "default" else store.find(source, ctx, type_id)
    if found is None:
        raise type_not_found(type_id)
    return found


def find_any(source: Source, type_id: str) -> VolumeType | None:
    """Whoever may see it."""
    return store.find_any(source, type_id)


def find(source: Source, ctx: Context, name_or_id: str) -> VolumeType:
    """By id or by name."""
    found = store.find(source, ctx, name_or_id) or store.find_by_name(source, ctx, name_or_id)
    if found is None and ids.is_uuid(name_or_id):
        raise type_not_found(name_or_id)
    if found is None:
        raise NotFound(f"Volume type with name {name_or_id} could not be found.", code="VolumeTypeNotFoundByName")
    return found


def default(source: Source, ctx: Context) -> VolumeType:
    """The type of the project's volumes where none is named."""
    chosen = store.find_default(source, ctx.project_id or "")
    if chosen is not None and (found := store.find(source, internal(), chosen.volume_type_id)) is not None:
        return found
    found = store.named(source, DEFAULT)
    if found is None:
        raise NotFound(
            f"The request cannot be fulfilled as the default volume type {DEFAULT} cannot be found.",
            code="VolumeTypeDefaultMisconfiguredError",
        )
    return found


def find_page(source: Source, ctx: Context, page: Page, is_public: bool | None) -> list[VolumeType]:
    return store.find_page(source, ctx, page, is_public)


def names(source: Source) -> dict[str, str]:
    """All types' names by id."""
    return store.names(source)


def extra_specs(source: Source, type_id: str) -> dict[str, str]:
    """What a type asks of its volumes' place; nothing where there is no such type any more."""
    found = store.find(source, internal(), type_id)
    return found.extra_specs if found is not None else {}


def is_multiattach(kind: VolumeType) -> bool:
    """Whether several servers may have a volume of this type at once."""
    return kind.extra_specs.get("multiattach") == YES


def create(
    tx: Tx, name: str, description: str | None, *, is_public: bool = True, extra_specs: dict[str, str] | None = None
) -> VolumeType:
    if store.named(tx, name) is not None:
        raise Conflict(f"Volume Type {name} already exists.", code="VolumeTypeExists")
    new = VolumeType(ids.new_uuid(), name, description, is_public, dict(extra_specs or {}), clock.utcnow(), None)
    store.add(tx, new)
    return new


def update(tx: Tx, ctx: Context, type_id: str, changes: dict[str, Any]) -> VolumeType:
    """Change `name`, `description` or `is_public`."""
    get(tx, ctx, type_id)
    name = changes.get("name")
    other = store.named(tx, name) if name is not None else None
    if other is not None and other.id != type_id:
        raise Conflict(f"Volume Type {name} already exists.", code="VolumeTypeExists")
    store.change(tx, type_id, **changes)
    return get(tx, ctx, type_id)


def delete(tx: Tx, ctx: Context, type_id: str) -> None:
    """Remove a type of which there are no volumes, which no group is for, and which is nobody's default."""
    found = get(tx, ctx, type_id)
    if volumes.any_of_type(tx, found.id) or groups.any_with_volume_type(tx, found.id):
        raise Invalid("Target volume type is still in use.", code="VolumeTypeInUse")
    if found.name == DEFAULT or store.is_default(tx, found.id):
        raise Invalid(f"The volume type {found.id} is a default volume type and cannot be deleted.")
    store.remove(tx, found.id)


def set_extra_specs(tx: Tx, ctx: Context, type_id: str, specs: dict[str, str | None]) -> None:
    """Add or replace extra specs."""
    found = _unused(tx, ctx, type_id)
    merged = {**found.extra_specs, **{key: value or "" for key, value in specs.items()}}
    if merged.get("multiattach") == merged.get("cacheable") == YES:
        raise Invalid("cacheable cannot be set with multiattach.")
    store.change(tx, found.id, extra_specs=merged)


def remove_extra_spec(tx: Tx, ctx: Context, type_id: str, key: str) -> None:
    found = _unused(tx, ctx, type_id)
    if key not in found.extra_specs:
        raise NotFound(f"Volume Type {type_id} has no extra specs with key {key}.", code="VolumeTypeExtraSpecsNotFound")
    store.change(tx, found.id, extra_specs={name: value for name, value in found.extra_specs.items() if name != key})


def access(source: Source, ctx: Context, type_id: str) -> list[TypeAccess]:
    """Who may use a type that is not public."""
    if get(source, ctx, type_id).is_public:
        raise NotFound("Access list not available for public volume types.", code="VolumeTypeAccessNotFound")
    return store.access(source, type_id)


def grant(tx: Tx, ctx: Context, type_id: str, project_id: str) -> None:
    _private(tx, ctx, type_id)
    if any(one.project_id == project_id for one in store.access(tx, type_id)):
        raise Conflict(
            f"Volume type access for {type_id} / {project_id} combination already exists.",
            code="VolumeTypeAccessExists",
        )
    store.add_access(tx, TypeAccess(type_id, project_id))


def revoke(tx: Tx, ctx: Context, type_id: str, project_id: str) -> None:
    _private(tx, ctx, type_id)
    if not store.remove_access(tx, type_id, project_id):
        raise NotFound(
            f"Volume type access not found for {type_id} / {project_id} combination.", code="VolumeTypeAccessNotFound"
        )


def set_default(cloud: Cloud, tx: Tx, ctx: Context, project_id: str, name_or_id: str) -> DefaultType:
    """Say which type a project's volumes are of where none is named; NotFound without such a project."""
    if cloud.contracts.use(IdentityContract).project(tx, project_id) is None:
        raise NotFound(f"Project with id {project_id} not found.")
    try:
        chosen = find(tx, ctx, name_or_id)
    except NotFound as error:
        raise Invalid(error.message) from error
    new = DefaultType(project_id, chosen.id)
    store.set_default(tx, new)
    return new


def get_default(source: Source, project_id: str) -> DefaultType:
    found = store.find_default(source, project_id)
    if found is None:
        raise NotFound(f"Default type for project {project_id} not found.", code="VolumeTypeProjectDefaultNotFound")
    return found


def defaults(source: Source) -> list[DefaultType]:
    return store.find_defaults(source)


def unset_default(tx: Tx, project_id: str) -> None:
    store.remove_default(tx, project_id)


def ensure_default(cloud: Cloud) -> None:
    """Make the type that every cloud has, unless it is there."""
    if store.named(cloud.db, DEFAULT) is None:
        cloud.db.write(lambda tx: store.named(tx, DEFAULT) or create(tx, DEFAULT, "Default Volume Type"))


def _unused(tx: Tx, ctx: Context, type_id: str) -> VolumeType:
    found = get(tx, ctx, type_id)
    if volumes.any_of_type(tx, found.id):
        raise Invalid("Volume Type is currently in use.")
    return found


def _private(tx: Tx, ctx: Context, type_id: str) -> None:
    if get(tx, ctx, type_id).is_public:
        raise Invalid("Invalid volume type: Type access modification is not applicable to public volume type.")
