# SPDX-License-Identifier: Apache-2.0
"""The bytes of an image: taken in piece by piece, summed on the way, looked into, then made the image's own."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from cumulet.kernel import clock, faults
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Gone, Invalid, TooLarge
from cumulet.services.image import events
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.logic import access, inspect, locations, signatures, stores
from cumulet.services.image.logic.bytes import UPLOAD, draft
from cumulet.services.image.logic.stores import Store
from cumulet.services.image.logic.sums import Summing
from cumulet.services.image.logic.sums import Sums as Sums
from cumulet.services.image.store import images
from cumulet.services.image.types import HASH_ALGORITHM, TRANSITIONS, Image, ImageStatus, Location

if TYPE_CHECKING:
    from cumulet.services.image.logic.verification import Verifier

PIECE = 1 << 20  # bytes that are read or written at once
_NO_DATA = {"size": None, "virtual_size": None, "checksum": None, "os_hash_algo": None, "os_hash_value": None}


class Draft(msgspec.Struct, frozen=True):
    """Data that wait in a store under the name of a draft."""

    kept: ByteStore
    name: str
    sums: Sums


class Receiving:
    """Data on their way in: `write` pieces in order, then `finish`, or `cancel`. Made by `begin`."""

    def __init__(
        self, cloud: Cloud, image: Image, name: str, store: Store, request_id: str, verifier: Verifier | None
    ) -> None:
        self._cloud = cloud
        self._store = store
        self._kept = store.writable
        self._image = image
        self._draft = name
        self._request_id = request_id
        self._verifier = verifier
        self._summing = Summing(verifier)

    def open(self) -> None:
        """Make the draft, so that even no data at all are data."""
        self._kept.begin(self._draft, self._image.id)
        self.write(b"")

    def write(self, data: bytes) -> None:
        """Take the next piece, which must not change any more; TooLarge beyond the limit or the disk."""
        offset = self._summing.size
        if offset + len(data) > self._cloud.settings.image_use.image_size_cap:
            raise TooLarge("The incoming image is too large: The provided image is too large.")
        self._summing.update(data)
        self._kept.write(self._draft, offset, data)
        faults.point("image.upload")

    def finish(self, declared_size: int | None = None) -> None:
        """Make the data the image's own.

        Invalid for data of another size or format than declared and for those that were not signed, Gone where the
        image went away meanwhile.
        """
        check_size(self._summing.size, declared_size)
        sums = self._summing.end()
        signatures.verify(self._image.id, self._verifier)
        draft_ = Draft(self._kept, self._draft, sums)
        activate(self._cloud, self._image, draft_, self._store, ImageStatus.SAVING, self._request_id)

    def cancel(self) -> None:
        """Forget what has come; the image is queued again where it is still there."""
        self._summing.close()
        self._kept.discard(self._draft)
        requeue(self._cloud, self._image.id, ImageStatus.SAVING)


def begin(
    cloud: Cloud, image_id: str, request_id: str = "", store: Store | None = None, ctx: Context | None = None
) -> Receiving:
    """Open a queued image for its data, which go to `store` (default: the usual one).

    Where the image is signed, the data must fit the signature; `ctx` is who must be able to read the certificate. What
    services fill, without a `ctx`, is held against none. Conflict in any other state, Gone for a store that is only
    read, Invalid while the image's formats are not set, or for a signature that says nothing sensible.
    """
    chosen = store or stores.default(cloud)
    _ = chosen.writable
    image = cloud.db.write(lambda tx: start_saving(tx, image_id))
    name = draft(UPLOAD, image_id, secrets.token_hex(8))
    try:
        verifier = None if ctx is None else verifier_of(cloud, ctx, image_id)
    except BaseException:
        requeue(cloud, image_id, ImageStatus.SAVING)
        raise
    return _open(Receiving(cloud, image, name, chosen, request_id, verifier))


def verifier_of(cloud: Cloud, ctx: Context, image_id: str) -> Verifier | None:
    """What the image's data are held against, None for one that is not signed. Raises Invalid."""
    words = images.properties(cloud.db, [image_id]).get(image_id, {})
    return signatures.verifier(cloud, ctx, image_id, words)


def start_saving(tx: Tx, image_id: str) -> Image:
    """A queued image whose formats are set begins to be filled; the image as it was."""
    image = move(tx, image_id, ImageStatus.SAVING)
    check_formats(image)
    return image


def check_size(size: int, declared: int | None, *, whole: bool = True) -> None:
    """Invalid where other data came than were declared (0: any), or more so far; sizes in bytes."""
    if declared and size > declared:
        raise Invalid(f"Size exceeds: expected {declared} bytes, got {size} bytes")
    if declared and whole and size != declared:
        raise Invalid(f"Size mismatch: expected {declared} bytes, got {size} bytes")


def check_formats(image: Image) -> None:
    """Invalid while the image's formats are not set."""
    missing = [name for name in ("disk_format", "container_format") if not getattr(image, name)]
    if missing:
        noun = "Property" if len(missing) == 1 else "Properties"
        raise Invalid(f"{noun} {', '.join(missing)} must be set prior to saving data.")


def activate(
    cloud: Cloud, image: Image, draft_: Draft, store: Store, status: ImageStatus, request_id: str = ""
) -> None:
    """Look into a draft and make it the data of `image`, which must still have `status`, in `store`.

    Invalid for data that are not what was declared, Gone where the image went away meanwhile.
    """
    kept, name, sums = draft_.kept, draft_.name, draft_.sums
    assert image.disk_format is not None
    assert image.container_format is not None
    _check_still(cloud, image.id, status)
    virtual_size = inspect.check(
        lambda offset, length: kept.read_draft(name, offset, length),
        sums.size,
        image.disk_format,
        image.container_format,
        inspect.rules(cloud.settings),
    )
    _check_still(cloud, image.id, status)
    faults.point("image.inspected")
    locations.deliver(kept, name, store, image.id, sums.size)
    faults.point("image.published")
    if not cloud.db.write(lambda tx: set_active(cloud, tx, image.id, sums, virtual_size, store, status, request_id)):
        locations.delete_unused(cloud, store.id, image.id)
        raise _gone(image.id)
    faults.point("image.activated")
    locations.share(store.bytes, image.id, sums.sha512)


def requeue(cloud: Cloud, image_id: str, status: ImageStatus) -> None:
    """An image that did not get its data is queued again, unless it has left `status` by itself."""

    def write(tx: Tx) -> None:
        changes = {**_NO_DATA, "status": ImageStatus.QUEUED, "updated_at": clock.utcnow()}
        images.change(tx, image_id, changes, status=status)

    cloud.db.write(write)


def sum_draft(kept: ByteStore, name: str, size: int, verifier: Verifier | None = None) -> Sums:
    """The sums of a draft that was not written in one go; `verifier` has seen it all then."""
    summing = Summing(verifier)
    try:
        while summing.size < size and (piece := kept.read_draft(name, summing.size, min(PIECE, size - summing.size))):
            summing.update(piece)
        return summing.end()
    finally:
        summing.close()


def _check_still(cloud: Cloud, image_id: str, status: ImageStatus) -> None:
    """An upload that was taken for dead must not overwrite the data that came after it."""
    now = images.find(cloud.db, image_id)
    if now is None or now.status != status:
        raise _gone(image_id)


def _gone(image_id: str) -> Gone:
    return Gone(
        f"Image {image_id} could not be found after upload. The image may have been deleted during the upload, "
        "cleaning up the chunks uploaded."
    )


def _open(receiving: Receiving) -> Receiving:
    try:
        receiving.open()
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
    cloud: Cloud,
    tx: Tx,
    image_id: str,
    sums: Sums,
    virtual_size: int | None,
    store: Store,
    status: ImageStatus,
    request_id: str,
) -> bool:
    """An image that still has `status` has its data now; whether there is such an image."""
    if not _fill(tx, image_id, sums, virtual_size, status):
        return False
    locations.replace(tx, image_id, [Location(image_id, 0, store.id, image_id, {})])
    _tell_active(cloud, tx, image_id, request_id)
    return True


def activate_empty(cloud: Cloud, tx: Tx, image_id: str) -> bool:
    """A queued image has no bytes and needs none, as Nova's of volumes; whether it is active now."""
    if _fill(tx, image_id, Summing().end(), None, ImageStatus.QUEUED):
        _tell_active(cloud, tx, image_id, "")
    found = images.find(tx, image_id)
    return found is not None and found.status == ImageStatus.ACTIVE


def _fill(tx: Tx, image_id: str, sums: Sums, virtual_size: int | None, status: ImageStatus) -> bool:
    changes = {
        "status": ImageStatus.ACTIVE,
        "size": sums.size,
        "virtual_size": virtual_size,
        "checksum": sums.md5,
        "os_hash_algo": HASH_ALGORITHM,
        "os_hash_value": sums.sha512,
        "updated_at": clock.utcnow(),
    }
    return bool(images.change(tx, image_id, changes, status=status))


def _tell_active(cloud: Cloud, tx: Tx, image_id: str, request_id: str) -> None:
    image = images.find(tx, image_id)
    assert image is not None
    payload = events.image(access.record(tx, image))
    cloud.outbox.publish(tx, events.UPLOAD, payload, request_id)
    cloud.outbox.publish(tx, events.ACTIVATE, payload, request_id)
