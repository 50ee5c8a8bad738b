# SPDX-License-Identifier: Apache-2.0
"""The copies of images beside this data process: where they are, and whether one can be read."""

from __future__ import annotations

from pathlib import Path

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import NotFound
from cumulet.services.image.drivers.base import ByteStore
from cumulet.services.image.logic.bytes import file_store
from cumulet.services.image.store import cached
from cumulet.services.image.types import CacheState, Image

FOLDER = "image-cache"  # in the state directory


def folder(cloud: Cloud) -> Path:
    """Where this replica has its copies: several may share a state directory."""
    return cloud.settings.state / FOLDER / cloud.settings.replica


def kept(cloud: Cloud) -> ByteStore:
    """The files of the copies, each under its image's id."""
    return file_store(folder(cloud))


def is_whole(cloud: Cloud, image: Image) -> bool:
    """Whether there is a copy of an image here. A file alone is none: it may be of another image of that id."""
    if not cloud.settings.image.cache_size:
        return False
    try:
        size = kept(cloud).size(image.id)
    except NotFound:
        return False
    found = cached.find(cloud.db, image.id, cloud.settings.replica)
    return found is not None and found.state == CacheState.CACHED and found.size == size == image.size


def discard(cloud: Cloud, image_id: str) -> None:
    """Remove the file of a copy; nothing happens where there is none."""
    if folder(cloud).exists():
        kept(cloud).delete(image_id)
