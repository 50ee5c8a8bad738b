# SPDX-License-Identifier: Apache-2.0
"""Deleting a snapshot: first the bytes, then the row."""

from __future__ import annotations

from cumulet.kernel.errors import NotReady
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import messages, progress, sharing
from cumulet.services.block_storage.types import SnapshotStatus


def remove(run: Run) -> Commit:
    snapshot = progress.find_snapshot(run.cloud.db, run.subject)
    taken_by = snapshot.group_snapshot_id if snapshot is not None else None
    if taken_by is not None and run.cloud.sagas.unfinished(run.cloud.db, taken_by):
        raise NotReady(f"Group snapshot {taken_by} is being worked on.")
    if snapshot is not None and snapshot.host:
        body = {"id": snapshot.id, "backend": snapshot.backend}
        sharing.call(run.cloud, snapshot.host, snapshot.backend, "volume.delete_snapshot", body)
    return lambda tx: progress.snapshot_deleted(run.cloud, tx, run.subject, run.request_id)


def failed(run: Run) -> Commit:
    action, detail = messages.SNAPSHOT_DELETE, messages.SNAPSHOT_NOT_DELETED
    return lambda tx: progress.snapshot_failed(
        tx, run.subject, run.request_id, action, detail, SnapshotStatus.ERROR_DELETING
    )


FLOW = Flow("block_storage.delete_snapshot", (Step("remove", remove),), failed=failed)
