# SPDX-License-Identifier: Apache-2.0
"""Importing a backup: somebody has to find it in the store. Argument: `reason`, why it is not even looked for."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, NotFound
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import backup_progress as progress
from cumulet.services.block_storage.logic import backup_services, backup_stores


def look(run: Run) -> Commit:
    if run.args["reason"]:
        raise Conflict(str(run.args["reason"]))
    one = progress.backup(run.cloud.db, run.subject)
    body = backup_stores.order(run.cloud, one, progress.stored(one))
    for host in backup_services.who_may_have(run.cloud, one):
        try:
            seen = run.cloud.hosts.call(host, "backup.look", body)
        except NotFound:
            continue
        return lambda tx: progress.imported(tx, run.subject, host, seen)
    raise Conflict("There is no such backup in the store.")


def failed(run: Run) -> Commit:
    return lambda tx: progress.not_imported(tx, run.subject, run.error or "")


FLOW = Flow("block_storage.import_backup", (Step("look", look),), failed=failed)
