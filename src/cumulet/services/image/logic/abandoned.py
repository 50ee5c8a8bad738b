# SPDX-License-Identifier: Apache-2.0
"""What crashes leave behind: uploads without an uploader, bytes without an image. Found and put right."""

from __future__ import annotations

import logging

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.logic import data, staging
from cumulet.services.image.logic.bytes import image_of, store
from cumulet.services.image.store import images, tasks
from cumulet.services.image.types import WITH_DATA, ImageStatus

LOG = logging.getLogger(__name__)

PATIENCE = 600.0  # seconds in which nothing came


def put_right(cloud: Cloud) -> None:
    """Queue dead uploads again, remove bytes that belong to nothing, and tasks that are shown no longer."""
    kept = store(cloud)
    _requeue_dead_uploads(cloud, kept)
    _remove_drafts(kept)
    _remove_staged(cloud)
    _remove_bytes(cloud, kept)
    cloud.db.write(lambda tx: tasks.remove_expired(tx, clock.utcnow()))


def _requeue_dead_uploads(cloud: Cloud, kept: ByteStore) -> None:
    drafts = {**kept.drafts(), **staging.area(cloud).drafts()}
    alive = {image_of(name) for name, age in drafts.items() if age < PATIENCE}
    for status in (ImageStatus.SAVING, ImageStatus.UPLOADING):
        for image in images.with_status(cloud.db, status):
            quiet = (clock.utcnow() - image.updated_at).total_seconds()
            if image.id not in alive and quiet > PATIENCE and image.size is None:
                LOG.warning("the upload of image %s has died, the image is queued again", image.id)
                data.requeue(cloud, image.id, status)


def _remove_drafts(kept: ByteStore) -> None:
    for name, age in kept.drafts().items():
        if age > PATIENCE:
            kept.discard(name)


def _remove_staged(cloud: Cloud) -> None:
    """What waits for its import, or is being imported, stays however long that takes."""
    area = staging.area(cloud)
    wanted = {
        image.id
        for status in (ImageStatus.UPLOADING, ImageStatus.IMPORTING)
        for image in images.with_status(cloud.db, status)
    }
    for name, age in area.drafts().items():
        if age > PATIENCE and image_of(name) not in wanted:
            area.discard(name)


def _remove_bytes(cloud: Cloud, kept: ByteStore) -> None:
    old = {key for key, age in kept.published().items() if age > PATIENCE}
    wanted = {image.id for status in WITH_DATA for image in images.with_status(cloud.db, status)}
    for key in old - wanted:
        found = images.find(cloud.db, key)
        if found is None or found.status == ImageStatus.QUEUED:
            LOG.warning("bytes of %s belong to no image and are removed", key)
            kept.delete(key)
