# SPDX-License-Identifier: Apache-2.0
"""What can be done with registered limits: the default limits of services' resources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, NotFound
from cumulet.services.identity.logic.scopes import lacks
from cumulet.services.identity.store import limits, regions, services
from cumulet.services.identity.store import registered_limits as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import RegisteredLimit

FIELDS = ("service_id", "region_id", "resource_name", "default_limit", "description")


def get(source: Source, limit_id: str) -> RegisteredLimit:
    found = store.find(source, limit_id)
    if found is None:
        raise NotFound(f"Could not find registered limit for {limit_id}.", code="RegisteredLimitNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter] = ()) -> list[RegisteredLimit]:
    return store.find_all(source, filters)


def find_for(source: Source, service_id: str, region_id: str | None, resource_name: str) -> RegisteredLimit | None:
    """The registered limit of one resource of a service in a region."""
    wanted = (
        Filter("service_id", service_id),
        Filter("region_id", region_id),
        Filter("resource_name", resource_name),
    )
    return next(iter(store.find_all(source, wanted)), None)


def create(cloud: Cloud, several: Sequence[Mapping[str, Any]]) -> list[RegisteredLimit]:
    """Store several limits, all or none."""
    new = [RegisteredLimit(ids.new_hex(), *(words.get(name) for name in FIELDS)) for words in several]  # type: ignore[arg-type]

    def write(tx: Tx) -> None:
        for one in new:
            _check_place(tx, one)
            if find_for(tx, one.service_id, one.region_id, one.resource_name) is not None:
                raise _taken()
            store.add(tx, one)

    cloud.db.write(write)
    return new


def update(cloud: Cloud, limit_id: str, words: Mapping[str, Any]) -> RegisteredLimit:
    """Change a limit that no project has its own value of."""

    def write(tx: Tx) -> RegisteredLimit:
        changes = {name: words[name] for name in FIELDS if name in words}
        changed = msgspec.structs.replace(get(tx, limit_id), **changes)
        _check_unused(tx, limit_id)
        _check_place(tx, changed)
        store.change(tx, limit_id, changes)
        same = (Filter(name, getattr(changed, name)) for name in ("service_id", "region_id", "resource_name"))
        if len(store.find_all(tx, same)) > 1:
            raise _taken()
        return changed

    return cloud.db.write(write)


def delete(cloud: Cloud, limit_id: str) -> None:
    def write(tx: Tx) -> None:
        get(tx, limit_id)
        _check_unused(tx, limit_id)
        store.remove(tx, limit_id)

    cloud.db.write(write)


def _check_place(tx: Tx, limit: RegisteredLimit) -> None:
    if services.find(tx, limit.service_id) is None:
        raise lacks("service_id", "registered_limit")
    if limit.region_id is not None and regions.find(tx, limit.region_id) is None:
        raise lacks("region_id", "registered_limit")


def _check_unused(tx: Tx, limit_id: str) -> None:
    if limits.find_all(tx, [Filter("registered_limit_id", limit_id)]):
        raise Forbidden(
            f"Unable to update or delete registered limit {limit_id} "
            "because there are project limits associated with it."
        )


def _taken() -> CumuletError:
    return Conflict("Conflict occurred attempting to store registered_limit - Duplicate entry.")
