# SPDX-License-Identifier: Apache-2.0
"""Deleting a backup: first what is stored, then the row."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import backup_progress as progress
from cumulet.services.block_storage.logic import backup_services, backup_stores

DELETE_TIME = 3600.0  # seconds that the removal of many objects may take


def remove(run: Run) -> Commit:
    one = progress.find(run.cloud.db, run.subject)
    if one is not None and progress.is_stored(one) and not progress.is_shared(run.cloud, one):
        body = backup_stores.order(run.cloud, one, progress.stored(one))
        for host in backup_services.who_reads(run.cloud, one)[:1]:
            run.cloud.hosts.call(host, "backup.delete", body, timeout=DELETE_TIME)
    return lambda tx: progress.deleted(run.cloud, tx, run.subject, run.request_id)


def failed(run: Run) -> Commit:
    return lambda tx: progress.not_deleted(tx, run.subject, run.error or "", run.request_id)


FLOW = Flow("block_storage.delete_backup", (Step("remove", remove),), failed=failed)
