# SPDX-License-Identifier: Apache-2.0
"""Deleting a volume with its snapshots: first the bytes, then the rows."""

from __future__ import annotations

from cumulet.kernel.errors import NotReady
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import progress, sharing


def remove(run: Run) -> Commit:
    volume = progress.find_volume(run.cloud.db, run.subject)
    if volume is not None and volume.host:
        for snapshot in progress.snapshots_of(run.cloud.db, volume.id):
            subjects = (snapshot.id, snapshot.group_snapshot_id or snapshot.id)
            if any(run.cloud.sagas.unfinished(run.cloud.db, subject) for subject in subjects):
                raise NotReady(f"Snapshot {snapshot.id} is being worked on.")
            body = {"id": snapshot.id, "backend": snapshot.backend}
            sharing.call(run.cloud, volume.host, volume.backend, "volume.delete_snapshot", body)
        body = {"id": volume.id, "backend": volume.backend}
        sharing.call(run.cloud, volume.host, volume.backend, "volume.delete", body)
    return lambda tx: progress.deleted(run.cloud, tx, run.subject, run.request_id)


def failed(run: Run) -> Commit:
    return lambda tx: progress.not_deleted(tx, run.subject)


FLOW = Flow("block_storage.delete", (Step("remove", remove),), failed=failed)
