# SPDX-License-Identifier: Apache-2.0
"""What can be done with regions."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import endpoints
from cumulet.services.identity.store import regions as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Region


def get(source: Source, region_id: str) -> Region:
    found = store.find(source, region_id)
    if found is None:
        raise NotFound(f"Could not find region: {region_id}.", code="RegionNotFound")
    return found


def find_all(cloud: Cloud, parent_region_id: str | None = None) -> list[Region]:
    return store.find_all(cloud.db, parent_region_id)


def create(cloud: Cloud, new: Region) -> Region:
    """Store a new region; Conflict where its id is taken, NotFound for a parent that is not there."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        if store.find(tx, new.id) is not None:
            raise Conflict(f"Conflict occurred attempting to store region - Duplicate ID, {new.id}..")
        _check_parent(tx, new.id, new.parent_region_id)
        store.add(tx, new)
        news.tell(tx, "region", "created", new.id)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, region_id: str, changes: dict[str, Any]) -> Region:
    """Change `description`, `parent_region_id` or `extra`; a region cannot come to stand below itself."""
    news = Teller(cloud)

    def write(tx: Tx) -> Region:
        old = get(tx, region_id)
        if "parent_region_id" in changes:
            _check_parent(tx, region_id, changes["parent_region_id"])
        store.change(tx, region_id, {**changes, "extra": {**old.extra, **changes.get("extra", {})}})
        news.tell(tx, "region", "updated", region_id)
        return get(tx, region_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, region_id: str) -> None:
    """Remove a region with the regions below it; Forbidden while an endpoint is in one of them."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        get(tx, region_id)
        below = _with_children(tx, region_id)
        if any(endpoints.find_all(tx, [Filter("region_id", one)]) for one in below):
            raise Forbidden(
                f"Unable to delete region {region_id} because it or its child regions have associated endpoints."
            )
        for one in reversed(below):
            store.remove(tx, one)
            news.tell(tx, "region", "deleted", one)

    cloud.db.write(write)


def _with_children(tx: Tx, region_id: str) -> list[str]:
    """A region and all below it, each after its parent."""
    found = [region_id]
    for one in found:
        found.extend(child.id for child in store.find_all(tx, one))
    return found


def _check_parent(tx: Tx, region_id: str, parent_id: str | None) -> None:
    while parent_id is not None:
        if parent_id == region_id:
            raise Invalid(f"The specified parent region {region_id} would create a circular region hierarchy.")
        parent_id = get(tx, parent_id).parent_region_id
