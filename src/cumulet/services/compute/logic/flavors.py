# SPDX-License-Identifier: Apache-2.0
"""What can be done with flavors."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.compute.store import flavors as store
from cumulet.services.compute.types import Flavor, FlavorAccess
from cumulet.services.identity.contract import IdentityContract


def get(source: Source, flavor_id: str, ctx: Context | None = None) -> Flavor:
    """A flavor; with `ctx`, only one that the caller may use. NotFound."""
    found = store.find(source, flavor_id)
    if found is None or (ctx is not None and not _may_use(source, ctx, found)):
        raise NotFound(f"Flavor {flavor_id} could not be found.", code="FlavorNotFound")
    return found


def find_all(cloud: Cloud, ctx: Context, is_public: bool | None) -> list[Flavor]:
    """The flavors that the caller sees; only administrators choose by `is_public`."""
    return store.find_all(cloud.db, ctx.project_id, is_public if ctx.is_admin else True)


def create(cloud: Cloud, new: Flavor) -> Flavor:
    """Store a new flavor; Conflict where its name or id is taken."""

    def write(tx: Tx) -> None:
        if store.find_named(tx, new.name) is not None:
            raise Conflict(f"Flavor with name {new.name} already exists.", code="FlavorExists")
        if store.find(tx, new.id) is not None:
            raise Conflict(f"Flavor with ID {new.id} already exists.", code="FlavorIdExists")
        store.add(tx, new)

    cloud.db.write(write)
    return new


def change(cloud: Cloud, flavor_id: str, changes: dict[str, Any]) -> Flavor:
    def write(tx: Tx) -> Flavor:
        get(tx, flavor_id)
        store.change(tx, flavor_id, changes)
        return get(tx, flavor_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, flavor_id: str) -> None:
    """Remove a flavor; servers keep their copies of it."""

    def write(tx: Tx) -> None:
        get(tx, flavor_id)
        store.remove(tx, flavor_id)

    cloud.db.write(write)


def access(cloud: Cloud, flavor_id: str) -> list[str]:
    """The projects that a flavor is shared with; NotFound for a public one."""
    flavor = get(cloud.db, flavor_id)
    if flavor.is_public:
        raise NotFound("Access list not available for public flavors.")
    return store.access(cloud.db, flavor_id)


def share(cloud: Cloud, flavor_id: str, project_id: str) -> list[str]:
    """Let a project use the flavor; the list of all that may."""
    _check_project(cloud, project_id)

    def write(tx: Tx) -> list[str]:
        flavor = get(tx, flavor_id)
        if flavor.is_public:
            raise Conflict("Can not add access to a public flavor.")
        if project_id in store.access(tx, flavor_id):
            raise Conflict(
                f"Flavor access already exists for flavor {flavor_id} and project {project_id} combination.",
                code="FlavorAccessExists",
            )
        store.share(tx, FlavorAccess(flavor_id=flavor_id, project_id=project_id))
        return store.access(tx, flavor_id)

    return cloud.db.write(write)


def unshare(cloud: Cloud, flavor_id: str, project_id: str) -> list[str]:
    """Take the flavor from a project; the list of those left."""
    _check_project(cloud, project_id)

    def write(tx: Tx) -> list[str]:
        get(tx, flavor_id)
        if not store.unshare(tx, flavor_id, project_id):
            raise NotFound(
                f"Flavor access not found for {flavor_id} / {project_id} combination.", code="FlavorAccessNotFound"
            )
        return store.access(tx, flavor_id)

    return cloud.db.write(write)


def set_extra_specs(cloud: Cloud, flavor_id: str, specs: dict[str, str]) -> dict[str, str]:
    """Add to the extra specs; those that were set."""

    def write(tx: Tx) -> None:
        flavor = get(tx, flavor_id)
        store.change(tx, flavor_id, {"extra_specs": {**flavor.extra_specs, **specs}})

    cloud.db.write(write)
    return specs


def extra_spec(source: Source, ctx: Context, flavor_id: str, key: str) -> str:
    flavor = get(source, flavor_id, ctx)
    if key not in flavor.extra_specs:
        raise _no_spec(flavor_id, key)
    return flavor.extra_specs[key]


def remove_extra_spec(cloud: Cloud, flavor_id: str, key: str) -> None:
    def write(tx: Tx) -> None:
        specs = get(tx, flavor_id).extra_specs
        if key not in specs:
            raise _no_spec(flavor_id, key)
        store.change(tx, flavor_id, {"extra_specs": {name: specs[name] for name in specs if name != key}})

    cloud.db.write(write)


def _may_use(source: Source, ctx: Context, flavor: Flavor) -> bool:
    return flavor.is_public or ctx.is_admin or ctx.project_id in store.access(source, flavor.id)


def _no_spec(flavor_id: str, key: str) -> NotFound:
    return NotFound(f"Flavor {flavor_id} has no extra specs with key {key}.", code="FlavorExtraSpecsNotFound")


def _check_project(cloud: Cloud, project_id: str) -> None:
    if cloud.contracts.use(IdentityContract).project(cloud.db, project_id) is None:
        raise Invalid(f"Project ID {project_id} is not a valid project.")
