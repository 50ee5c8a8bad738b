# SPDX-License-Identifier: Apache-2.0
"""Backing up: a whole copy of the volume on its host, then its blocks into the store, and the manifest last.

A snapshot needs no copy. Arguments: `backend`, and `about`, what is kept beside the content (`VolumeWords`).
"""

from __future__ import annotations

import msgspec

from cumulet.kernel.errors import Conflict
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import backup_progress as progress
from cumulet.services.block_storage.logic import backup_services, backup_stores, messages, sharing
from cumulet.services.block_storage.logic.progress import fenced, opener
from cumulet.services.block_storage.types import SnapshotSpec
from cumulet.services.block_storage.types.backups import Backup, BackupSpec

COPY_TIME = 3600.0  # seconds that the copy may take
WRITE_TIME = 600.0  # seconds within which a host says how far it has come


def copy(run: Run) -> Commit | None:
    one = progress.backup(run.cloud.db, run.subject)
    run.state["placed"] = False
    backup_services.check_host(run.cloud.db, one.host, one.availability_zone)
    run.state["placed"] = True
    if one.snapshot_id is None:
        # The copy is a snapshot that has no row: as long as this runs, its id says whose it is.
        generation = opener(run.cloud.db, one.volume_id)
        spec = SnapshotSpec(
            id=one.id,
            volume_id=one.volume_id,
            attached=generation > 0,
            generation=generation,
            backend=run.args["backend"],
        )
        with fenced():
            body, opened = msgspec.to_builtins(spec), [one.volume_id]
            sharing.call(run.cloud, *_place(run, one), "volume.snapshot", body, opened=opened, timeout=COPY_TIME)
    return None


def discard(run: Run) -> None:
    one = progress.find(run.cloud.db, run.subject)
    if one is not None and one.snapshot_id is None:
        body = {"id": one.id, "backend": run.args["backend"]}
        sharing.call(run.cloud, *_place(run, one), "volume.delete_snapshot", body)


def write(run: Run) -> Commit | None:
    one = progress.backup(run.cloud.db, run.subject)
    parent = progress.find(run.cloud.db, one.parent_id) if one.parent_id is not None else None
    spec = BackupSpec(
        stored=progress.stored(one),
        snapshot_id=one.snapshot_id or one.id,
        volume_id=one.volume_id,
        parent=progress.stored(parent) if parent is not None else None,
        part=int(run.state.get("part", 0)),
        about=run.args["about"],
        drop=one.snapshot_id is None,
        backend=run.args["backend"],
    )
    body = backup_stores.order(run.cloud, one, spec)
    said = sharing.call(run.cloud, *_place(run, one), "backup.write", body, by=one.host, timeout=WRITE_TIME)
    run.state["part"] = int(said["part"])
    if not said["done"]:
        run.go_on_at = "write"
        return None
    return lambda tx: progress.made(run.cloud, tx, run.subject, int(said["objects"]), run.request_id)


def _place(run: Run, one: Backup) -> tuple[str, str]:
    """Where the volume is."""
    return run.args.get("place", one.host), run.args["backend"]


def unwrite(run: Run) -> None:
    one = progress.find(run.cloud.db, run.subject)
    if one is not None:
        try:
            body = backup_stores.order(run.cloud, one, progress.stored(one))
        except Conflict:
            return  # there is no such store, and so nothing in it
        run.cloud.hosts.call(one.host, "backup.delete", body, timeout=WRITE_TIME)


def failed(run: Run) -> Commit:
    detail = messages.BACKUP_CREATE_FAILED if run.state.get("placed", True) else messages.BACKUP_NOT_SCHEDULED
    return lambda tx: progress.not_made(tx, run.subject, run.error or "", detail, run.request_id)


FLOW = Flow("block_storage.backup", (Step("copy", copy, discard), Step("write", write, unwrite)), failed=failed)
