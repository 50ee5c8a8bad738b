# SPDX-License-Identifier: Apache-2.0
"""How much of each resource a project may have."""

from __future__ import annotations

from cumulet.kernel import quota
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import quotas as store
from cumulet.services.network.store.kinds import KINDS

DEFAULTS = {
    **{kind.counted: kind.limit for kind in KINDS if kind.counted},
    "router_route": 30,  # of each router, so that none count for the project
}


def take(tx: Tx, project_id: str, **wanted: int) -> None:
    """Make sure that the project may have so many more, and hold its lock till the commit; OverQuota (409) else.

    Resources without a project (the cloud's own ports) are not counted.
    """
    if not project_id:
        return
    tx.lock(f"quota:network:{project_id}")
    limits = {**DEFAULTS, **store.limits(tx, project_id)}
    used = {name: store.used(tx, project_id, name) for name in wanted if limits[name] != quota.UNLIMITED}
    over = quota.exceeded(limits, used, wanted)
    if over:
        raise fault("OverQuota", overs=over)


def of_project(source: Source, project_id: str) -> dict[str, int]:
    """All limits of the project."""
    return {**DEFAULTS, **store.limits(source, project_id)}


def details(source: Source, project_id: str) -> dict[str, dict[str, int]]:
    """Limits with use; nothing is ever reserved, for counting and writing are one transaction."""
    return {
        name: {"limit": limit, "used": store.used(source, project_id, name), "reserved": 0}
        for name, limit in of_project(source, project_id).items()
    }


def update(tx: Tx, project_id: str, values: dict[str, int], *, force: bool = False) -> dict[str, int]:
    """Set limits; -1 is none. Invalid where more is used already, unless `force`."""
    for name, limit in values.items():
        used = store.used(tx, project_id, name)
        if not force and limit != quota.UNLIMITED and used > limit:
            raise Invalid(f"Quota limit {limit} for {name} must be greater than or equal to already used {used}")
    store.set_limits(tx, project_id, values)
    return of_project(tx, project_id)
