# SPDX-License-Identifier: Apache-2.0
"""What crashes leave behind: uploads without an uploader, bytes without an image. Found and put right."""

from __future__ import annotations

import logging

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.logic import data
from cumulet.services.image.logic.bytes import STAGE, image_of, store
from cumulet.services.image.store import images, tasks
from cumulet.services.image.types import WITH_DATA, ImageStatus

LOG = logging.getLogger(__name__)

PATIENCE = 600.0  # seconds in which nothing came


def put_right(cloud: Cloud) -> None:
    """Queue dead uploads again, remove bytes that belong to nothing, and tasks that are shown no longer."""
    kept = store(cloud)
    _requeue_dead_uploads(cloud, kept)
    _remove_drafts(cloud, kept)
    _remove_bytes(cloud, kept)
    cloud.db.write(lambda tx: tasks.remove_expired(tx, clock.utcnow()))


def _requeue_dead_uploads(cloud: Cloud, kept: ByteStore) -> None:
    alive = {image_of(name) for name, age in kept.drafts().items() if age < PATIENCE}
    for image in images.with_status(cloud.db, ImageStatus.SAVING):
        quiet = (clock.utcnow() - image.updated_at).total_seconds()
        if image.id not in alive and quiet > PATIENCE:
            LOG.warning("the upload of image %s has died, the image is queued again", image.id)
            data.requeue(cloud, image.id, ImageStatus.SAVING)


def _remove_drafts(cloud: Cloud, kept: ByteStore) -> None:
    staged = {image.id for image in images.with_status(cloud.db, ImageStatus.UPLOADING)}
    for name, age in kept.drafts().items():
        waits_for_import = name.startswith(f"{STAGE}.") and image_of(name) in staged
        if age > PATIENCE and not waits_for_import:
            kept.discard(name)


def _remove_bytes(cloud: Cloud, kept: ByteStore) -> None:
    old = {key for key, age in kept.published().items() if age > PATIENCE}
    wanted = {image.id for status in WITH_DATA for image in images.with_status(cloud.db, status)}
    for key in old - wanted:
        found = images.find(cloud.db, key)
        if found is None or found.status == ImageStatus.QUEUED:
            LOG.warning("bytes of %s belong to no image and are removed", key)
            kept.delete(key)
