# SPDX-License-Identifier: Apache-2.0
"""Whether images and their bytes agree, here and in the copies of hosts."""

from __future__ import annotations

from collections.abc import Iterator

from cumulet.kernel.audit import Finding, Look
from cumulet.kernel.errors import NotFound
from cumulet.kernel.ids import is_uuid
from cumulet.services.image.logic import locations, stores
from cumulet.services.image.logic.stores import Store
from cumulet.services.image.store import images
from cumulet.services.image.store import locations as rows
from cumulet.services.image.types import IMPORT_LOCK, WITH_DATA, Image, ImageStatus, Location


def audit(look: Look) -> Iterator[Finding]:
    """Every disagreement. Bytes of uploads that died are no finding: they are removed after a while."""
    db = look.cloud.db
    known = images.ids(db)
    kept = {store.id: store for store in stores.find_all(look.cloud)}
    for status in WITH_DATA:
        found = images.with_status(db, status)
        places = locations.of_images(db, found)
        for image in found:
            for place in places[image.id]:
                yield from _misfits(look, image, kept.get(place.store), place)
    yield from _stranded(look)
    for store in kept.values():
        if not store.read_only:
            there = {key for key in store.writable.published() if is_uuid(key)}
            for key in there - known - rows.keys(db, store.id):
                yield look.found(key, f"bytes of an image that is gone, in store {store.id}")
    for host, has in look.hosts.items():
        for image_id in set(has["copies"]) - known:
            yield look.found(image_id, f"host {host} keeps a copy of an image that is gone")
        for name in set(has["files"]) - set(has["kept"]):
            yield look.found(name, f"host {host} has a file of images that nothing names")


def _stranded(look: Look) -> Iterator[Finding]:
    """Images that wait for work that nobody does."""
    db = look.cloud.db
    held = images.with_property(db, IMPORT_LOCK)
    for image_id in held | {image.id for image in images.with_status(db, ImageStatus.IMPORTING)}:
        if not look.cloud.sagas.unfinished(db, image_id):
            yield look.found(image_id, "image is being imported, and nobody works on it")


def _misfits(look: Look, image: Image, store: Store | None, place: Location) -> Iterator[Finding]:
    if store is None:
        yield look.found(image.id, f"image is in store {place.store}, which there is not")
        return
    try:
        size = store.bytes.size(place.key)
    except NotFound:
        yield look.found(image.id, f"image is {image.status}, and its bytes are gone")
    else:
        if size != image.size:
            yield look.found(image.id, f"image is said to have {image.size} bytes, and has others")
