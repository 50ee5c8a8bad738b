# SPDX-License-Identifier: Apache-2.0
"""Backups: images of a server's root disk, of which the youngest of each type are kept."""

from __future__ import annotations

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic import life, servers, snapshots
from cumulet.services.compute.store import life as store
from cumulet.services.compute.types import Backup, Server
from cumulet.services.image.contract import ImageContract


def create(
    cloud: Cloud, ctx: Context, server: Server, name: str, type_: str, rotation: int, metadata: dict[str, str]
) -> str:
    """Begin to make a backup; its image's id. Of its type `rotation` are left in the end."""
    servers.check_state(server, life.BACKUP.rule, life.BACKUP.action)
    life.check_launched(server, life.BACKUP.action)
    if not server.image_id:
        raise Invalid("Backup is not supported for volume-backed instances.", code="InvalidRequest")
    new = snapshots.of_root(server, name, "backup", {**metadata, "backup_type": type_})
    images = cloud.contracts.use(ImageContract)
    images.check_create(ctx, new)

    def write(tx: Tx) -> str:
        fresh = servers.get(tx, ctx, server.id)
        servers.check_state(fresh, life.BACKUP.rule, life.BACKUP.action)
        image_id = images.create(tx, ctx, new)
        store.add_backup(tx, Backup(image_id=image_id, server_id=fresh.id, type=type_, created_at=clock.utcnow()))
        life.begin(cloud, tx, ctx, fresh, life.BACKUP, {"image": image_id, "type": type_, "rotation": rotation})
        return image_id

    return cloud.db.write(write)


def rotate(cloud: Cloud, tx: Tx, server_id: str, type_: str, rotation: int) -> None:
    """Delete the oldest backups of the type; those that users deleted do not count."""
    images = cloud.contracts.use(ImageContract)
    left = rotation
    for each in store.backups(tx, server_id, type_):
        if images.find(tx, each.image_id) is None:
            store.remove_backup(tx, each.image_id)
        elif left > 0:
            left -= 1
        else:
            drop(cloud, tx, each.image_id)


def drop(cloud: Cloud, tx: Tx, image_id: str) -> None:
    """Delete a backup."""
    cloud.contracts.use(ImageContract).delete(tx, image_id)
    store.remove_backup(tx, image_id)
