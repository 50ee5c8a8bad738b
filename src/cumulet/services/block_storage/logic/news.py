# SPDX-License-Identifier: Apache-2.0
"""Events of volumes and snapshots, published in the commit of the change that they tell of."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import backends
from cumulet.services.block_storage.store import attachments, snapshots, volumes


def volume(cloud: Cloud, tx: Tx, name: str, moment: str, volume_id: str, request_id: str) -> None:
    """Tell of the volume as it is now; nothing where it is gone."""
    found = volumes.find(tx, volume_id)
    if found is not None:
        payload = events.volume(found, attachments.of_volumes(tx, [volume_id]))
        cloud.outbox.publish(tx, f"{name}.{moment}", payload, request_id)


def snapshot(
    cloud: Cloud, tx: Tx, name: str, moment: str, snapshot_id: str, request_id: str, *, deleted: bool = False
) -> None:
    """Tell of the snapshot as it is now; nothing where it is gone."""
    found = snapshots.find(tx, snapshot_id)
    if found is not None:
        payload = events.snapshot(found, backends.ZONE, deleted=deleted)
        cloud.outbox.publish(tx, f"{name}.{moment}", payload, request_id)
