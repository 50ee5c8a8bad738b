# SPDX-License-Identifier: Apache-2.0
"""Restoring a backup: to a volume that is there, or one that is made of it, which appears when it is whole.

The subject is the volume. Arguments: `backup_id`, `new`, `key_id` (what an encrypted volume gets with it), and for a
new one `zones` and `hints` as in `create`.
"""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import backup_progress, backup_stores, group_progress, progress, sharing
from cumulet.services.block_storage.logic.scheduler import asking, choice
from cumulet.services.block_storage.types import GIB
from cumulet.services.block_storage.types.backups import Backup, RestoreSpec

SLICE_TIME = 3600.0  # seconds within which a host says how far it has come; the end of it may be a long copy


def place(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    one = backup_progress.backup(run.cloud.db, run.args["backup_id"])
    if volume.host:
        return lambda _tx: None
    args = {**run.args, "host": "" if run.cloud.settings.volume_backups.is_shared else one.host}
    if volume.group_id is not None:
        args["host"], args["backend"] = group_progress.place(run.cloud.db, volume.group_id)
    asked = asking.for_volume(run.cloud, volume, args)
    places = choice.ranked(run.cloud, asked)
    return lambda tx: progress.placed(tx, volume.id, choice.take(run.cloud, tx, asked, places))


def write(run: Run) -> Commit | None:
    volume = progress.volume(run.cloud.db, run.subject)
    one = backup_progress.backup(run.cloud.db, run.args["backup_id"])
    spec = RestoreSpec(
        id=volume.id,
        size=volume.size * GIB,
        stored=backup_progress.stored(one),
        operation=_operation(run),
        part=int(run.state.get("part", 0)),
        new=bool(run.args["new"]),
        backend=volume.backend,
    )
    words, by = backup_stores.order(run.cloud, one, spec), _reader(run, one)
    place = volume.host, volume.backend
    said = sharing.call(run.cloud, *place, "backup.restore", words, by=by, timeout=SLICE_TIME)
    run.state["part"] = int(said["part"])
    if not said["done"]:
        run.go_on_at = "write"
        return None
    return lambda tx: backup_progress.restored(
        run.cloud,
        tx,
        one.id,
        volume.id,
        said["about"],
        run.request_id,
        new=bool(run.args["new"]),
        key_id=run.args.get("key_id"),
    )


def unwrite(run: Run) -> None:
    volume = progress.find_volume(run.cloud.db, run.subject)
    if volume is None or not volume.host:
        return
    one = backup_progress.find(run.cloud.db, run.args["backup_id"])
    place, by = (volume.host, volume.backend), _reader(run, one) if one is not None else ""
    words = {"id": volume.id, "operation": _operation(run), "backend": volume.backend}
    sharing.call(run.cloud, *place, "backup.drop_restore", words, by=by)
    if run.args["new"]:
        sharing.call(run.cloud, *place, "volume.delete", {"id": volume.id, "backend": volume.backend})


def failed(run: Run) -> Commit:
    return lambda tx: backup_progress.not_restored(
        run.cloud, tx, run.args["backup_id"], run.subject, run.request_id, run.args.get("key_id")
    )


def _reader(run: Run, one: Backup) -> str:
    """The host that reads the backup where the volume is on several."""
    return "" if run.cloud.settings.volume_backups.is_shared else one.host


def _operation(run: Run) -> str:
    """The name of this work, which a host does once."""
    return f"{run.id}:{run.request_id}"


FLOW = Flow("block_storage.restore_backup", (Step("place", place), Step("write", write, unwrite)), failed=failed)
