# SPDX-License-Identifier: Apache-2.0
"""What crashes leave behind: uploads without an uploader, bytes without an image. Found and put right."""

from __future__ import annotations

import logging

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.ids import is_uuid
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.logic import data, staging, stores
from cumulet.services.image.logic.bytes import image_of
from cumulet.services.image.logic.stores import Store
from cumulet.services.image.store import images, locations, tasks
from cumulet.services.image.types import WITH_DATA, ImageStatus

LOG = logging.getLogger(__name__)

PATIENCE = 600.0  # seconds in which nothing came
# States in which an image's data are where its locations say, and nowhere else.
_SETTLED = frozenset({ImageStatus.QUEUED, *WITH_DATA})


def put_right(cloud: Cloud) -> None:
    """Queue dead uploads again, remove bytes that belong to nothing, and tasks that are shown no longer."""
    written = _written(cloud)
    _requeue_dead_uploads(cloud, [store.writable for store in written])
    for store in written:
        _remove_drafts(store.writable)
        _remove_bytes(cloud, store)
    _remove_staged(cloud)
    cloud.db.write(lambda tx: tasks.remove_expired(tx, clock.utcnow()))


def _written(cloud: Cloud) -> list[Store]:
    """The stores that are written, as far as they answer."""
    answering = []
    for store in stores.find_all(cloud):
        if not store.read_only:
            try:
                store.writable.drafts()
            except CumuletError as error:
                LOG.warning("what crashes left in store %s stays there for now: %s", store.id, error.message)
            else:
                answering.append(store)
    return answering


def _requeue_dead_uploads(cloud: Cloud, written: list[ByteStore]) -> None:
    drafts = [item for kept in (*written, staging.area(cloud)) for item in kept.drafts().items()]
    alive = {image_of(name) for name, age in drafts if age < PATIENCE}
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


def _remove_bytes(cloud: Cloud, store: Store) -> None:
    """Remove what is named by an image's id and at no image's locations; what others put there is theirs."""
    old = {key for key, age in store.writable.published().items() if age > PATIENCE and is_uuid(key)}
    for key in old - locations.keys(cloud.db, store.id):
        found = images.find(cloud.db, key)
        if found is None or found.status in _SETTLED:
            LOG.warning("bytes of %s in store %s belong to no image and are removed", key, store.id)
            store.writable.delete(key)
