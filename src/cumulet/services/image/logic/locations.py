# SPDX-License-Identifier: Apache-2.0
"""Where images' data are: the bytes of an image, found, read, copied to another store and removed by its locations."""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
from collections.abc import Callable, Iterable
from typing import Any

from cumulet.kernel import clock, faults
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Gone, NotFound, NotReady
from cumulet.services.image.drivers.base import ByteStore, ReadableStore, SharesBytes
from cumulet.services.image.logic import cached, stores
from cumulet.services.image.logic.bytes import COPY, draft
from cumulet.services.image.logic.stores import Store
from cumulet.services.image.store import images, locations
from cumulet.services.image.types import HASH_ALGORITHM, WITH_DATA, Image, ImageStatus, Location
from cumulet.settings.image import LOCAL_STORE

LOG = logging.getLogger(__name__)

PIECE = 1 << 20  # bytes that are copied at once
MOST_OPENED = 64  # images that are remembered to be read piece by piece

Read = Callable[[int, int], bytes]


class Reader:
    """The data of an image in one of its stores: `read` pieces of them."""

    def __init__(self, kept: ReadableStore, key: str, size: int) -> None:
        self.kept = kept
        self.key = key
        self.size = size
        self.piece = max(PIECE, kept.capabilities.piece)

    def read(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes from `offset` on, fewer at the end."""
        return self.kept.read(self.key, offset, min(length, max(0, self.size - offset)))


class _Opened:
    """The data that this process read last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[str, tuple[Image, Reader]] = {}

    def find(self, image: Image) -> Reader | None:
        with self._lock:
            known, reader = self._readers.get(image.id, (None, None))
        return reader if known == image else None

    def keep(self, image: Image, reader: Reader) -> None:
        with self._lock:
            self._readers.pop(image.id, None)
            self._readers[image.id] = image, reader
            while len(self._readers) > MOST_OPENED:
                del self._readers[next(iter(self._readers))]


def of_image(source: Source, image: Image) -> list[Location]:
    """The locations of an image, in their order."""
    return of_images(source, [image])[image.id]


def of_images(source: Source, found: Iterable[Image]) -> dict[str, list[Location]]:
    """The locations of each of the images, in their order.

    The release before this one writes none: what it filled is in the store that it had. An image without any bytes,
    such as Nova makes of volumes, is nowhere.
    """
    listed = list(found)
    known = locations.of_images(source, [image.id for image in listed])
    return {image.id: known.get(image.id) or _implied(image) for image in listed}


def best_first(cloud: Cloud, found: list[Location]) -> list[tuple[Store, Location]]:
    """The locations in stores that there are, the heaviest store first; among equals in their order."""
    known = {store.id: store for store in stores.find_all(cloud)}
    there = [(known[each.store], each) for each in found if each.store in known]
    return sorted(there, key=lambda pair: -pair[0].weight)


def ordered(cloud: Cloud, found: list[Location]) -> list[Location]:
    """The locations as clients see them: those in heavier stores first, among equals in their order."""
    weights = {store.id: store.weight for store in stores.find_all(cloud)}
    return sorted(found, key=lambda each: -weights.get(each.store, 0))


def open_image(cloud: Cloud, image: Image) -> Reader:
    """The data of an image, from the first of its locations that has them, or a copy at hand of what is far away.

    NotFound, or NotReady, where none has them.
    """
    problem: CumuletError = NotFound(f"There are no bytes of image {image.id}.")
    known = best_first(cloud, of_image(cloud.db, image))
    if known and image.size is not None and not known[0][0].bytes.capabilities.local and cached.is_whole(cloud, image):
        return Reader(cached.kept(cloud), image.id, image.size)
    for store, place in known:
        try:
            size = store.bytes.size(place.key)
        except CumuletError as error:
            LOG.warning("the data of image %s are not in store %s: %s", image.id, store.id, error.message)
            problem = error
            continue
        if image.size in (None, size):
            return Reader(store.bytes, place.key, size)
        LOG.warning("image %s has %s bytes, in store %s there are %d", image.id, image.size, store.id, size)
    raise problem


def read(cloud: Cloud, image_id: str, offset: int, length: int) -> bytes:
    """Up to `length` bytes of an image's data, fewer at their end; NotFound where there are none.

    Who reads piece by piece has the data looked for once, as long as the image stays as it is.
    """
    image = images.find(cloud.db, image_id)
    if image is None or image.status not in WITH_DATA:
        raise NotFound(f"There are no bytes of image {image_id}.")
    opened = cloud.keep(_Opened)
    reader = opened.find(image)
    if reader is not None:
        try:
            return reader.read(offset, length)
        except CumuletError as error:
            LOG.info("the data of image %s are looked for anew: %s", image_id, error.message)
    reader = open_image(cloud, image)
    opened.keep(image, reader)
    return reader.read(offset, length)


def known_sha512(image: Image) -> str | None:
    """The SHA-512 of an image's data, where it was kept."""
    return image.os_hash_value if image.os_hash_algo == HASH_ALGORITHM else None


def sha512(cloud: Cloud, image: Image) -> str:
    """The SHA-512 of an image's data, in hexadecimal digits; where it was not kept, they are all read for it."""
    known = known_sha512(image)
    if known is not None:
        return known
    reader, digest, offset = open_image(cloud, image), hashlib.sha512(), 0
    while piece := reader.read(offset, reader.piece):
        digest.update(piece)
        offset += len(piece)
    return digest.hexdigest()


def url(cloud: Cloud, found: Location) -> str:
    """The address of an image's data, as clients are told it; empty where their store is there no more."""
    store = stores.find(cloud, found.store)
    return store.bytes.url(found.key) if store is not None else ""


def deliver(kept: ByteStore, name: str, store: Store, key: str, size: int) -> None:
    """Make a draft, which `kept` has, the bytes `key` of `store`, which may be another one; the draft is gone then."""
    target = store.writable
    if target is kept:
        target.publish(name, key, size)
    else:
        stream(lambda offset, length: kept.read_draft(name, offset, length), target, name, key, size)
        kept.discard(name)


def stream(read: Read, target: ByteStore, name: str, key: str, size: int) -> str:
    """Copy `size` bytes, as `read(offset, length)` gives them, into a store under `key`; their SHA-512.

    NotReady where there are fewer. `name` is the draft that they pass through.
    """
    digest = hashlib.sha512()
    target.discard(name)
    offset = 0
    try:
        target.begin(name, key)
        target.write(name, 0, b"")
        while offset < size:
            piece = read(offset, min(PIECE, size - offset))
            if not piece:
                raise NotReady(f"The data end after {offset} of {size} bytes.")
            target.write(name, offset, piece)
            digest.update(piece)
            offset += len(piece)
            faults.point("image.copy")
        target.publish(name, key, size)
    except BaseException:
        target.discard(name)
        raise
    share(target, key, digest.hexdigest())
    return digest.hexdigest()


def share(target: ReadableStore, key: str, sha512: str) -> None:
    """Let bytes take no room of their own where the store can, and has others with this sum."""
    if isinstance(target, SharesBytes):
        target.share(key, sha512)


def copy(cloud: Cloud, image_id: str, store_id: str) -> None:
    """Have the data of an image in one more store; nothing happens where they are there.

    Gone where the image went away meanwhile and for a store that is only read, NotFound for one that there is not,
    NotReady where what was copied is not what the image has.
    """
    store = stores.get(cloud, store_id)
    image = images.find(cloud.db, image_id)
    if image is None or image.status not in WITH_DATA:
        raise Gone(f"Image {image_id} has no data (any more).")
    if any(each.store == store_id for each in of_image(cloud.db, image)):
        return
    source = open_image(cloud, image)
    name = draft(COPY, image_id, secrets.token_hex(8))
    sha512 = stream(source.read, store.writable, name, image_id, source.size)
    if known_sha512(image) not in (None, sha512):
        delete_unused(cloud, store_id, image_id)
        raise NotReady(f"The data of image {image_id} are not those that it was given.")
    if not cloud.db.write(lambda tx: _copied(tx, image_id, store_id)):
        delete_unused(cloud, store_id, image_id)
        raise Gone(f"Image {image_id} went away while it was copied.")


def add(tx: Tx, image: Image, store_id: str, key: str, metadata: dict[str, Any] | None = None) -> None:
    """Note where data of an image are, behind its other locations; nothing happens where that is known."""
    known = of_image(tx, image)
    if not any((each.store, each.key) == (store_id, key) for each in known):
        replace(tx, image.id, [*known, Location(image.id, len(known), store_id, key, metadata or {})])


def replace(tx: Tx, image_id: str, wanted: list[Location]) -> None:
    """Let an image have these locations, in this order; the bytes at others are not touched."""
    locations.replace(tx, image_id, wanted)


def delete_from(cloud: Cloud, store_id: str, image_id: str) -> None:
    """Remove an image's data from one of its stores.

    Conflict unless it is active, Forbidden for the last store that has them, NotFound where that store has not.
    """

    def write(tx: Tx) -> None:
        image = images.find(tx, image_id)
        if image is None:
            raise NotFound(f"Failed to find image {image_id}")
        if image.status != ImageStatus.ACTIVE:
            raise Conflict("It's not allowed to remove image data from store if image status is not 'active'")
        known = of_image(tx, image)
        if len(known) == 1:
            raise Forbidden(
                "Cannot delete image data from the only store containing it. Consider deleting the image instead."
            )
        gone = next((each for each in ordered(cloud, known) if each.store == store_id), None)
        if gone is None:
            raise NotFound(f"Image {image_id} is not stored in store {store_id}.")
        replace(tx, image_id, [each for each in known if each != gone])
        images.change(tx, image_id, {"updated_at": clock.utcnow()})
        drop(cloud, tx, [gone])

    cloud.db.write(write)


def drop(cloud: Cloud, tx: Tx, found: list[Location]) -> None:
    """Remove the bytes at locations that are no image's any more, after the commit.

    After a crash `logic.abandoned` does so with those that are named by an image's id.
    """

    def remove() -> None:
        for each in found:
            delete_unused(cloud, each.store, each.key)

    tx.after_commit(remove)


def delete_unused(cloud: Cloud, store_id: str, key: str) -> None:
    """Remove bytes that are no image's data, where the store can be written and answers."""
    store = stores.find(cloud, store_id)
    if store is None or store.read_only or locations.users(cloud.db, store_id, key):
        return
    try:
        store.writable.delete(key)
    except CumuletError as error:
        LOG.warning("%s is left in store %s: %s", key, store_id, error.message)


def _copied(tx: Tx, image_id: str, store_id: str) -> bool:
    image = images.find(tx, image_id)
    if image is None or image.status not in WITH_DATA:
        return False
    add(tx, image, store_id, image_id)
    images.change(tx, image_id, {"updated_at": clock.utcnow()})
    return True


def _implied(image: Image) -> list[Location]:
    return [Location(image.id, 0, LOCAL_STORE, image.id, {})] if image.status in WITH_DATA and image.size else []
