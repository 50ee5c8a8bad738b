# SPDX-License-Identifier: Apache-2.0
"""Deleting a snapshot: first the bytes, then the row."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import messages, progress
from cumulet.services.block_storage.types import SnapshotStatus


def remove(run: Run) -> Commit:
    snapshot = progress.find_snapshot(run.cloud.db, run.subject)
    if snapshot is not None and snapshot.host:
        run.cloud.hosts.call(snapshot.host, "volume.delete_snapshot", {"id": snapshot.id})
    return lambda tx: progress.snapshot_deleted(run.cloud, tx, run.subject, run.request_id)


def failed(run: Run) -> Commit:
    return lambda tx: progress.snapshot_failed(
        tx, run.subject, run.request_id, messages.SNAPSHOT_DELETE, SnapshotStatus.ERROR_DELETING
    )


FLOW = Flow("block_storage.delete_snapshot", (Step("remove", remove),), failed=failed)
