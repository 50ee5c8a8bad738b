# SPDX-License-Identifier: Apache-2.0
"""Giving a snapshot's bytes back to its host's operator: first the file, then the row."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import manageable, messages, progress
from cumulet.services.block_storage.types import SnapshotStatus


def give_back(run: Run) -> Commit:
    snapshot = progress.find_snapshot(run.cloud.db, run.subject)
    if snapshot is not None and snapshot.host:
        manageable.abandon(run.cloud, snapshot)
    return lambda tx: progress.snapshot_deleted(run.cloud, tx, run.subject, run.request_id)


def failed(run: Run) -> Commit:
    action, detail = messages.SNAPSHOT_DELETE, messages.SNAPSHOT_NOT_DELETED
    return lambda tx: progress.snapshot_failed(
        tx, run.subject, run.request_id, action, detail, SnapshotStatus.ERROR_DELETING
    )


FLOW = Flow("block_storage.unmanage_snapshot", (Step("give_back", give_back),), failed=failed)
