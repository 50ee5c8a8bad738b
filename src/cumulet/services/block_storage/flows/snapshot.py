# SPDX-License-Identifier: Apache-2.0
"""Taking a snapshot, of an attached volume through the server that has it open."""

from __future__ import annotations

import msgspec

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import messages, progress, sharing
from cumulet.services.block_storage.types import SnapshotSpec, SnapshotStatus

COPY_TIME = 3600.0  # seconds that the copy may take


def take(run: Run) -> Commit:
    snapshot = progress.snapshot(run.cloud.db, run.subject)
    generation = progress.opener(run.cloud.db, snapshot.volume_id)
    spec = SnapshotSpec(
        id=snapshot.id,
        volume_id=snapshot.volume_id,
        attached=generation > 0,
        generation=generation,
        backend=snapshot.backend,
    )
    with progress.fenced():
        place, opened = (snapshot.host, snapshot.backend), [snapshot.volume_id]
        body = msgspec.to_builtins(spec)
        sharing.call(run.cloud, *place, "volume.snapshot", body, opened=opened, timeout=COPY_TIME)
    return lambda tx: progress.snapshot_made(run.cloud, tx, snapshot.id, run.request_id)


def discard(run: Run) -> None:
    snapshot = progress.find_snapshot(run.cloud.db, run.subject)
    if snapshot is not None:
        body = {"id": snapshot.id, "backend": snapshot.backend}
        sharing.call(run.cloud, snapshot.host, snapshot.backend, "volume.delete_snapshot", body)


def failed(run: Run) -> Commit:
    action, detail = messages.SNAPSHOT_CREATE, messages.SNAPSHOT_NOT_MADE
    return lambda tx: progress.snapshot_failed(tx, run.subject, run.request_id, action, detail, SnapshotStatus.ERROR)


FLOW = Flow("block_storage.snapshot", (Step("take", take, discard),), failed=failed)
