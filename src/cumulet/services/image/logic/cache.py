# SPDX-License-Identifier: Apache-2.0
"""The cache of images: which are to be at hand, fetching them, and making room."""

from __future__ import annotations

import logging
import os
import secrets
import threading
from contextlib import suppress
from datetime import datetime

from cumulet.kernel import clock, lock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.services.image.drivers.file import FileStore
from cumulet.services.image.logic import access, locations
from cumulet.services.image.logic.bytes import COPY, draft
from cumulet.services.image.logic.cached import FOLDER, folder, is_whole, kept
from cumulet.services.image.logic.locations import Reader
from cumulet.services.image.store import cached, images
from cumulet.services.image.types import WITH_DATA, Cached, CacheState, Image, ImageStatus

LOG = logging.getLogger(__name__)

STALLED = 86_400.0  # seconds in which nothing came of a copy; Glance's default
CACHE, QUEUE = "cache", "queue"


class _Worker:
    """The thread of this process that fetches copies."""

    def __init__(self) -> None:
        self.thread: threading.Thread | None = None


def check_enabled(cloud: Cloud) -> None:
    """NotFound where the cloud has no cache."""
    if not cloud.settings.image.cache_size:
        raise NotFound("Caching via API is not supported at this site.")


def find_all(cloud: Cloud, state: CacheState) -> list[Cached]:
    """The copies that are here, or those that are to be fetched."""
    return cached.of_node(cloud.db, cloud.settings.replica, state)


def nodes(cloud: Cloud, ctx: Context, image_id: str) -> list[str]:
    """The machines that have a copy of an image; NotFound for one that the caller does not see."""
    _see(cloud, ctx, image_id)
    return cached.nodes(cloud.db, image_id)


def queue(cloud: Cloud, ctx: Context, image_id: str) -> None:
    """Let an image be fetched. NotFound for one that is not seen, Invalid for one that is not active."""
    if _see(cloud, ctx, image_id).status != ImageStatus.ACTIVE:
        raise Invalid("Only images with status active can be targeted for queueing")
    cloud.db.write(lambda tx: _want(cloud, tx, image_id))


def used(cloud: Cloud, image: Image, reader: Reader) -> None:
    """An image's data are read: count it for its copy, or let there be one where they are far away."""
    if is_whole(cloud, image):
        now = {"accessed_at": clock.utcnow()}
        cloud.db.write(lambda tx: cached.use(tx, image.id, cloud.settings.replica, now))
        return
    is_far = not reader.kept.capabilities.local and reader.size <= cloud.settings.image.cache_size
    if is_far and cached.find(cloud.db, image.id, cloud.settings.replica) is None:
        cloud.db.write(lambda tx: _want(cloud, tx, image.id))


def remove(cloud: Cloud, image_id: str) -> bool:
    """Forget an image's copy, or that it is wanted; whether there was one."""
    gone = _forget(cloud, image_id)
    kept(cloud).delete(image_id)
    return gone


def clear(cloud: Cloud, target: str) -> None:
    """Forget every copy (`cache`), all that is wanted (`queue`), or both (empty); Invalid for any other word."""
    states = {CACHE: (CacheState.CACHED,), QUEUE: (CacheState.QUEUED,), "": tuple(CacheState)}.get(target)
    if states is None:
        raise Invalid("If provided 'x-image-cache-clear-target' must be 'cache', 'queue' or empty string.")
    for state in states:
        for each in find_all(cloud, state):
            remove(cloud, each.image_id)


def clean(cloud: Cloud, patience: float = STALLED) -> None:
    """Remove files that are no copies, drafts of which nothing came, and copies without a file."""
    here = kept(cloud)
    known = {each.image_id: each for each in find_all(cloud, CacheState.CACHED)}
    there = here.published()
    for name in there.keys() - known.keys():
        here.delete(name)
    for image_id in known.keys() - there.keys():
        _forget(cloud, image_id)
    for name, age in here.drafts().items():
        if age > patience:
            here.discard(name)


def prune(cloud: Cloud) -> tuple[int, int]:
    """Remove the copies that were not used for longest until the others fit; how many, and how many bytes they had."""
    there = find_all(cloud, CacheState.CACHED)
    total = sum(each.size for each in there)
    count = size = 0
    for each in there:
        if total - size <= cloud.settings.image.cache_size:
            break
        remove(cloud, each.image_id)
        count, size = count + 1, size + each.size
    return count, size


def work(cloud: Cloud) -> None:
    """Fetch what is wanted here, in a thread of its own: it may take long."""
    if not cloud.settings.image.cache_size:
        return
    worker = cloud.keep(_Worker)
    busy = worker.thread is not None and worker.thread.is_alive()
    if not busy and find_all(cloud, CacheState.QUEUED):
        worker.thread = threading.Thread(target=_work_apart, args=(cloud,), name="image-cache", daemon=True)
        worker.thread.start()


def tidy(cloud: Cloud) -> None:
    """Make room, and remove what is left of images that are gone."""
    if cloud.settings.image.cache_size and folder(cloud).exists():
        clean(cloud)
        prune(cloud)


def fetch_all(cloud: Cloud) -> None:
    """Fetch everything that is wanted here; of several processes of one machine one does so."""
    with suppress(lock.Held), lock.hold(cloud.settings.run / f"{FOLDER}.lock"):
        for each in find_all(cloud, CacheState.QUEUED):
            try:
                _fetch(cloud, each.image_id)
            except CumuletError as error:
                LOG.warning("image %s is not cached: %s", each.image_id, error.message)
                _forget(cloud, each.image_id)
        prune(cloud)


def _work_apart(cloud: Cloud) -> None:
    """What is not done when the process ends is still wanted at its next start."""
    try:
        fetch_all(cloud)
    except Exception:
        LOG.exception("images could not be cached")


def _fetch(cloud: Cloud, image_id: str) -> None:
    image = images.find(cloud.db, image_id)
    if image is None or image.status not in WITH_DATA:
        raise NotFound("it has no data any more")
    reader = locations.open_image(cloud, image)
    if reader.size > cloud.settings.image.cache_size:
        raise Invalid("it is larger than the cache")
    if not _link(cloud, reader, image_id):
        name = draft(COPY, image_id, secrets.token_hex(8))
        sha512 = locations.stream(reader.read, kept(cloud), name, image_id, reader.size)
        if locations.known_sha512(image) not in (None, sha512):
            kept(cloud).delete(image_id)
            raise Invalid("its data are not those that it was given")
    now = clock.utcnow()
    changes = {"state": CacheState.CACHED, "size": reader.size, "accessed_at": now, "changed_at": now}
    if not cloud.db.write(lambda tx: cached.change(tx, image_id, cloud.settings.replica, changes)):
        kept(cloud).delete(image_id)


def _forget(cloud: Cloud, image_id: str) -> bool:
    return cloud.db.write(lambda tx: cached.remove(tx, image_id, cloud.settings.replica))


def _link(cloud: Cloud, reader: Reader, image_id: str) -> bool:
    """Have a copy that takes no room, where the data are in a file of the same disk."""
    here = kept(cloud)
    if not isinstance(reader.kept, FileStore) or not isinstance(here, FileStore):
        return False
    here.delete(image_id)
    try:
        os.link(reader.kept.path(reader.key), here.path(image_id))
    except OSError:
        return False
    return True


def _want(cloud: Cloud, tx: Tx, image_id: str) -> None:
    node = cloud.settings.replica
    if images.find(tx, image_id) is None or cached.find(tx, image_id, node) is not None:
        return
    now: datetime = clock.utcnow()
    cached.add(tx, Cached(image_id, node, CacheState.QUEUED, 0, 0, now, now))


def _see(cloud: Cloud, ctx: Context, image_id: str) -> Image:
    try:
        return access.get_allowed(cloud, cloud.db, ctx, image_id)
    except NotFound:
        raise NotFound(f"Image {image_id} not found.") from None
