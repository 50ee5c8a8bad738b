# SPDX-License-Identifier: Apache-2.0
"""Taking a snapshot of all volumes of a group at one moment, whoever has them open."""

from __future__ import annotations

import msgspec

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import group_progress, messages, progress, sharing
from cumulet.services.block_storage.types import SnapshotSpec, SnapshotStatus
from cumulet.services.block_storage.types.groups import GroupSnapshotSpec

COPY_TIME = 3600.0  # seconds that the copies may take


def take(run: Run) -> Commit:
    parts = group_progress.snapshots_of(run.cloud.db, run.subject)
    specs = []
    for one in parts:
        generation = progress.opener(run.cloud.db, one.volume_id)
        spec = SnapshotSpec(
            id=one.id,
            volume_id=one.volume_id,
            attached=generation > 0,
            generation=generation,
            backend=one.backend,
        )
        specs.append(spec)
    if parts:
        body = msgspec.to_builtins(GroupSnapshotSpec(snapshots=specs, backend=parts[0].backend))
        with progress.fenced():
            place, opened = (parts[0].host, parts[0].backend), [one.volume_id for one in parts]
            sharing.call(run.cloud, *place, "volume.snapshot_group", body, opened=opened, timeout=COPY_TIME)

    def commit(tx: Tx) -> None:
        for one in parts:
            progress.snapshot_made(run.cloud, tx, one.id, run.request_id)
        group_progress.taken(run.cloud, tx, run.subject, run.request_id)

    return commit


def discard(run: Run) -> None:
    for one in group_progress.snapshots_of(run.cloud.db, run.subject):
        body = {"id": one.id, "backend": one.backend}
        sharing.call(run.cloud, one.host, one.backend, "volume.delete_snapshot", body)


def failed(run: Run) -> Commit:
    def commit(tx: Tx) -> None:
        group_progress.not_taken(tx, run.subject)
        for one in group_progress.snapshots_of(tx, run.subject):
            action, detail = messages.SNAPSHOT_CREATE, messages.SNAPSHOT_NOT_MADE
            progress.snapshot_failed(tx, one.id, run.request_id, action, detail, SnapshotStatus.ERROR)

    return commit


FLOW = Flow("block_storage.group_snapshot", (Step("take", take, discard),), failed=failed)
