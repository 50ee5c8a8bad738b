# SPDX-License-Identifier: Apache-2.0
"""The bytes of an image: taken in piece by piece, summed on the way, looked into, then made the image's own."""

from __future__ import annotations

import hashlib
import secrets

import msgspec

from cumulet.kernel import clock, faults
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Gone, Invalid, TooLarge
from cumulet.services.image import events
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.logic import access, inspect, limits
from cumulet.services.image.logic.bytes import UPLOAD, draft, store
from cumulet.services.image.store import images
from cumulet.services.image.types import HASH_ALGORITHM, TRANSITIONS, Image, ImageStatus

PIECE = 1 << 20  # bytes that are read or written at once
_NO_DATA = {"size": None, "virtual_size": None, "checksum": None, "os_hash_algo": None, "os_hash_value": None}


class Sums(msgspec.Struct, frozen=True):
    """What identifies the data of an image: bytes, and sums in hexadecimal digits."""

    size: int
    md5: str
    sha512: str


class Receiving:
    """Data on their way in: `write` pieces in order, then `finish`, or `cancel`. Made by `begin`."""

    def __init__(self, cloud: Cloud, image: Image, name: str, request_id: str) -> None:
        self._cloud = cloud
        self._store = store(cloud)
        self._image = image
        self._draft = name
        self._request_id = request_id
        self._size = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha512 = hashlib.sha512()

    def write(self, data: bytes) -> None:
        """Take the next piece; TooLarge beyond the limit or the disk."""
        if self._size + len(data) > limits.LARGEST_IMAGE:
            raise TooLarge("The incoming image is too large: The provided image is too large.")
        self._store.write(self._draft, self._size, data)
        self._md5.update(data)
        self._sha512.update(data)
        self._size += len(data)
        faults.point("image.upload")

    def finish(self, declared_size: int | None = None) -> None:
        """Make the data the image's own.

        Invalid for data of another size or format than declared, Gone where the image went away meanwhile.
        """
        check_size(self._size, declared_size)
        sums = Sums(self._size, self._md5.hexdigest(), self._sha512.hexdigest())
        activate(self._cloud, self._image, self._draft, sums, ImageStatus.SAVING, self._request_id)

    def cancel(self) -> None:
        """Forget what has come; the image is queued again where it is still there."""
        self._store.discard(self._draft)
        requeue(self._cloud, self._image.id, ImageStatus.SAVING)


def begin(cloud: Cloud, image_id: str, request_id: str = "") -> Receiving:
    """Open a queued image for its data; Conflict in any other state, Invalid while its formats are not set."""
    image = cloud.db.write(lambda tx: start_saving(tx, image_id))
    name = draft(UPLOAD, image_id, secrets.token_hex(8))
    return _open(Receiving(cloud, image, name, request_id))


def start_saving(tx: Tx, image_id: str) -> Image:
    """A queued image whose formats are set begins to be filled; the image as it was."""
    image = move(tx, image_id, ImageStatus.SAVING)
    check_formats(image)
    return image


def check_size(size: int, declared: int | None) -> None:
    """Invalid where other data came than were declared; sizes in bytes."""
    if declared is not None and declared != size:
        raise Invalid(f"The image has {size} bytes, {declared} were declared.")


def check_formats(image: Image) -> None:
    """Invalid while the image's formats are not set."""
    missing = [name for name in ("disk_format", "container_format") if not getattr(image, name)]
    if missing:
        noun = "Property" if len(missing) == 1 else "Properties"
        raise Invalid(f"{noun} {', '.join(missing)} must be set prior to saving data.")


def activate(cloud: Cloud, image: Image, name: str, sums: Sums, status: ImageStatus, request_id: str = "") -> None:
    """Look into a draft and make it the data of `image`, which must still have `status`.

    Invalid for data that are not what was declared, Gone where the image went away meanwhile.
    """
    kept = store(cloud)
    assert image.disk_format is not None
    assert image.container_format is not None
    virtual_size = inspect.check(
        lambda offset, length: kept.read_draft(name, offset, length),
        sums.size,
        image.disk_format,
        image.container_format,
    )
    kept.publish(name, image.id, sums.size)
    faults.point("image.published")
    if not cloud.db.write(lambda tx: set_active(cloud, tx, image.id, sums, virtual_size, status, request_id)):
        kept.delete(image.id)
        raise Gone(
            f"Image {image.id} could not be found after upload. The image may have been deleted during the upload, "
            "cleaning up the chunks uploaded."
        )


def requeue(cloud: Cloud, image_id: str, status: ImageStatus) -> None:
    """An image that did not get its data is queued again, unless it has left `status` by itself."""

    def write(tx: Tx) -> None:
        changes = {**_NO_DATA, "status": ImageStatus.QUEUED, "updated_at": clock.utcnow()}
        images.change(tx, image_id, changes, status=status)

    cloud.db.write(write)


def sum_draft(kept: ByteStore, name: str, size: int) -> Sums:
    """The sums of a draft that was not written in one go."""
    md5, sha512 = hashlib.md5(usedforsecurity=False), hashlib.sha512()
    offset = 0
    while offset < size and (piece := kept.read_draft(name, offset, min(PIECE, size - offset))):
        md5.update(piece)
        sha512.update(piece)
        offset += len(piece)
    return Sums(offset, md5.hexdigest(), sha512.hexdigest())


def _open(receiving: Receiving) -> Receiving:
    """Make the draft, so that even no data at all are data."""
    try:
        receiving.write(b"")
    except BaseException:
        receiving.cancel()
        raise
    return receiving


def move(tx: Tx, image_id: str, goal: ImageStatus) -> Image:
    """Bring an image from any state that may lead there to `goal`, else Conflict; the image as it was."""
    image = images.find(tx, image_id)
    if image is None:
        raise access.not_found(image_id)
    if goal not in TRANSITIONS[image.status]:
        raise Conflict(f"Image status transition from {image.status} to {goal} is not allowed")
    images.change(tx, image_id, {"status": goal, "updated_at": clock.utcnow()})
    return image


def set_active(
    cloud: Cloud, tx: Tx, image_id: str, sums: Sums, virtual_size: int | None, status: ImageStatus, request_id: str
) -> bool:
    """An image that still has `status` has its data now; whether there is such an image."""
    changes = {
        "status": ImageStatus.ACTIVE,
        "size": sums.size,
        "virtual_size": virtual_size,
        "checksum": sums.md5,
        "os_hash_algo": HASH_ALGORITHM,
        "os_hash_value": sums.sha512,
        "updated_at": clock.utcnow(),
    }
    if not images.change(tx, image_id, changes, status=status):
        return False
    image = images.find(tx, image_id)
    assert image is not None
    payload = events.image(access.record(tx, image))
    cloud.outbox.publish(tx, events.UPLOAD, payload, request_id)
    cloud.outbox.publish(tx, events.ACTIVATE, payload, request_id)
    return True
