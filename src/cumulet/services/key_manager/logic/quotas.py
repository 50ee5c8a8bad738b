# SPDX-License-Identifier: Apache-2.0
"""Limits on how many secrets, orders, containers and consumers a project has; below 0 is none, 0 forbids."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound, OverQuota
from cumulet.kernel.quota import exceeded
from cumulet.services.key_manager.logic.refusals import ISSUE
from cumulet.services.key_manager.store import quotas as store
from cumulet.services.key_manager.types import Page, ProjectQuota

RESOURCES = ("secrets", "orders", "containers", "consumers", "cas")

Count = Callable[[Source, str], int]


def limits(cloud: Cloud, source: Source, project_id: str) -> dict[str, int]:
    """What is in force for a project."""
    defaults = cloud.settings.key_manager
    found = own(store.find(source, project_id))
    return {name: getattr(defaults, f"quota_{name}") if limit is None else limit for name, limit in found.items()}


def own(row: ProjectQuota | None) -> dict[str, int | None]:
    """A project's own limits, None for those that it does not have."""
    return {name: None if row is None else getattr(row, name) for name in RESOURCES}


def enforce(cloud: Cloud, tx: Tx, project_id: str, resource: str, count: Count) -> None:
    """Hold the project's lock and raise OverQuota where it may not have one more."""
    limit = limits(cloud, tx, project_id)[resource]
    if limit < 0:
        return
    tx.lock(f"quota:key_manager:{project_id}")
    if exceeded({resource: limit}, {resource: count(tx, project_id)}, {resource: 1}):
        raise OverQuota("Creation not allowed because a quota has been reached", code=ISSUE)


def get(cloud: Cloud, project_id: str) -> ProjectQuota:
    found = store.find(cloud.db, project_id)
    if found is None:
        raise _none()
    return found


def find_all(cloud: Cloud, wanted: Page) -> tuple[list[ProjectQuota], int]:
    return store.find_all(cloud.db, wanted)


def update(cloud: Cloud, project_id: str, changes: Mapping[str, int]) -> None:
    """Set some of a project's limits; the others stay."""

    def write(tx: Tx) -> None:
        tx.lock(f"quota:key_manager:{project_id}")
        if store.find(tx, project_id) is None:
            values = {name: changes.get(name) for name in RESOURCES}
            store.add(tx, ProjectQuota(project_id=project_id, **values, created_at=clock.utcnow()))
        else:
            store.change(tx, project_id, changes)

    cloud.db.write(write)


def delete(cloud: Cloud, project_id: str) -> None:
    if not cloud.db.write(lambda tx: store.remove(tx, project_id)):
        raise _none()


def _none() -> NotFound:
    return NotFound("Project quotas not found.")
