# SPDX-License-Identifier: Apache-2.0
"""How much of each resource a project may have."""

from __future__ import annotations

import msgspec

from cumulet.kernel import quota
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import quotas as store


def defaults(cloud: Cloud) -> dict[str, int]:
    """The limits of projects that have none of their own (`network.quotas`)."""
    return msgspec.structs.asdict(cloud.settings.network.quotas)


def take(cloud: Cloud, tx: Tx, project_id: str, **wanted: int) -> None:
    """Make sure that the project may have so many more, and hold its lock till the commit; OverQuota (409) else.

    Resources without a project (the cloud's own ports) are not counted.
    """
    if not project_id:
        return
    tx.lock(f"quota:network:{project_id}")
    limits = {**defaults(cloud), **store.limits(tx, project_id)}
    used = {name: store.used(tx, project_id, name) for name in wanted if limits[name] != quota.UNLIMITED}
    over = quota.exceeded(limits, used, wanted)
    if over:
        raise fault("OverQuota", overs=over)


def of_project(cloud: Cloud, source: Source, project_id: str) -> dict[str, int]:
    """All limits of the project."""
    return {**defaults(cloud), **store.limits(source, project_id)}


def details(cloud: Cloud, source: Source, project_id: str) -> dict[str, dict[str, int]]:
    """Limits with use; nothing is ever reserved, for counting and writing are one transaction."""
    return {
        name: {"limit": limit, "used": store.used(source, project_id, name), "reserved": 0}
        for name, limit in of_project(cloud, source, project_id).items()
    }


def update(cloud: Cloud, tx: Tx, project_id: str, values: dict[str, int], *, force: bool = False) -> dict[str, int]:
    """Set limits; -1 is none. Invalid where more is used already, unless `force`."""
    for name, limit in values.items():
        used = store.used(tx, project_id, name)
        if not force and limit != quota.UNLIMITED and used > limit:
            raise Invalid(f"Quota limit {limit} for {name} must be greater than or equal to already used {used}")
    store.set_limits(tx, project_id, values)
    return of_project(cloud, tx, project_id)
