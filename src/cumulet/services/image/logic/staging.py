# SPDX-License-Identifier: Apache-2.0
"""Staged data: taken in beside the stores, where they wait for their import."""

from __future__ import annotations

from cumulet.kernel import clock, faults
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import TooLarge
from cumulet.services.image.drivers.staging import StagingArea
from cumulet.services.image.logic import access, data
from cumulet.services.image.logic.bytes import STAGE, draft, image_of
from cumulet.services.image.store import images
from cumulet.services.image.types import ImageStatus

FOLDER = "staging"


class Staging:
    """Data on their way in: `write` pieces in order, then `finish`, or `cancel`. Made by `begin`."""

    def __init__(self, cloud: Cloud, image_id: str) -> None:
        self._cloud = cloud
        self._area = area(cloud)
        self._image_id = image_id
        self._draft = draft(STAGE, image_id)
        self._size = 0

    def write(self, data: bytes) -> None:
        """Take the next piece; TooLarge beyond the limit or the disk."""
        if self._size + len(data) > self._cloud.settings.image_use.image_size_cap:
            raise TooLarge("The incoming image is too large: The provided image is too large.")
        self._area.write(self._draft, self._size, data)
        self._size += len(data)
        faults.point("image.stage")

    def finish(self, declared_size: int | None = None) -> None:
        """Keep the data staged. Invalid for data of another size than declared, NotFound where the image went away."""
        data.check_size(self._size, declared_size)
        self._cloud.db.write(self._keep)

    def cancel(self) -> None:
        """Forget what has come; the image is queued again where it is still there."""
        self._area.discard(self._draft)
        data.requeue(self._cloud, self._image_id, ImageStatus.UPLOADING)

    def _keep(self, tx: Tx) -> None:
        changes = {"size": self._size, "updated_at": clock.utcnow()}
        if not images.change(tx, self._image_id, changes, status=ImageStatus.UPLOADING):
            raise access.not_found(self._image_id)


def area(cloud: Cloud) -> StagingArea:
    """Where this cloud's staged data are: beside its images, so that whoever has these has those."""
    return StagingArea(cloud.settings.state / "images" / FOLDER)


def begin(cloud: Cloud, image_id: str, request_id: str = "") -> Staging:
    """Open a queued image for data that are to be imported later; Conflict in any other state."""
    cloud.db.write(lambda tx: data.move(tx, image_id, ImageStatus.UPLOADING))
    staging = Staging(cloud, image_id)
    try:
        area(cloud).discard(draft(STAGE, image_id))
        staging.write(b"")  # the draft is there: even no data at all are data
    except BaseException:
        staging.cancel()
        raise
    return staging


def discard(cloud: Cloud, image_id: str) -> None:
    """Remove all that was staged for an image, and all that its imports made of that."""
    kept = area(cloud)
    for name in kept.drafts():
        if image_of(name) == image_id:
            kept.discard(name)
