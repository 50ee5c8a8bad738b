# SPDX-License-Identifier: Apache-2.0
"""Data that hosts bring, piece by piece and perhaps twice: snapshots of servers, images of volumes."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, CumuletError, Gone, Invalid
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.logic import data, staging, stores
from cumulet.services.image.logic.bytes import PUSH, draft
from cumulet.services.image.logic.data import Draft
from cumulet.services.image.store import images
from cumulet.services.image.types import Image, ImageStatus


def write(cloud: Cloud, image_id: str, offset: int, piece: bytes) -> None:
    """Take one piece. Gone where the image went away, Conflict where it has its data already."""
    if offset == 0:
        _saving(cloud, image_id)
    _waiting(cloud).write(draft(PUSH, image_id), offset, piece)


def finish(cloud: Cloud, image_id: str, size: int, sha512: str) -> None:
    """Make what was brought the image's own; nothing happens where that was done before.

    Invalid where it is not what was sent, or not of the declared format; the image is queued again.
    """
    image = images.find(cloud.db, image_id)
    if image is not None and image.status == ImageStatus.ACTIVE and image.os_hash_value == sha512:
        return
    image = _saving(cloud, image_id)
    name = draft(PUSH, image_id)
    kept = _waiting(cloud)
    kept.write(name, 0, b"")
    try:
        sums = data.sum_draft(kept, name, size)
        if (sums.size, sums.sha512) != (size, sha512):
            raise Invalid(f"The data of image {image_id} did not arrive whole.")
        data.activate(cloud, image, Draft(kept, name, sums), stores.default(cloud), ImageStatus.SAVING)
    except CumuletError:
        kept.discard(name)
        data.requeue(cloud, image_id, ImageStatus.SAVING)
        raise


def _waiting(cloud: Cloud) -> ByteStore:
    """Where the pieces gather: in the store that they are for, if it takes them in any order."""
    store = stores.default(cloud).writable
    return store if store.capabilities.anywhere else staging.area(cloud)


def _saving(cloud: Cloud, image_id: str) -> Image:
    def write(tx: Tx) -> Image:
        image = images.find(tx, image_id)
        if image is None:
            raise Gone(f"Image {image_id} is gone.")
        if image.status == ImageStatus.SAVING:
            return image
        if image.status != ImageStatus.QUEUED:
            raise Conflict(f"Image {image_id} is {image.status}.")
        return data.start_saving(tx, image_id)

    return cloud.db.write(write)
