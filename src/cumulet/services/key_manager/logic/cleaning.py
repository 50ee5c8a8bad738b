# SPDX-License-Identifier: Apache-2.0
"""What nobody can reach any more goes: secrets that have expired long ago, and what projects had that are gone."""

from __future__ import annotations

from datetime import datetime

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Database, Source, Tx
from cumulet.services.identity.contract import IdentityContract
from cumulet.services.key_manager.logic import secrets
from cumulet.services.key_manager.store import projects
from cumulet.services.key_manager.store import secrets as store

BATCH = 200  # secrets removed in one commit


def purge(db: Database, before: datetime) -> int:
    """Remove the secrets that expired before then, with all that belongs to them; how many. Killed, it is run again."""
    count = 0
    while expired := store.expired(db, before, BATCH):
        db.write(lambda tx, ids=expired: secrets.forget(tx, *ids))  # type: ignore[misc]
        count += len(expired)
    return count


def forget_project(cloud: Cloud, project_id: str) -> None:
    """Remove what a project (or a domain that acts as one) had, unless identity still knows it."""

    def write(tx: Tx) -> None:
        if not _is_known(cloud, tx, project_id):
            projects.remove(tx, project_id, clock.utcnow())

    cloud.db.write(write)


def forget_projects(cloud: Cloud) -> None:
    """Remove what all projects had that are gone: the word of one's end may have been lost."""
    for project_id in projects.holding(cloud.db):
        if not _is_known(cloud, cloud.db, project_id):
            forget_project(cloud, project_id)


def _is_known(cloud: Cloud, source: Source, project_id: str) -> bool:
    identity = cloud.contracts.use(IdentityContract)
    return identity.project(source, project_id) is not None or identity.domain(source, project_id) is not None
