# SPDX-License-Identifier: Apache-2.0
"""Data that are in a store already become an image's: an address is said, looked at and summed, slowly, as a task.

The image is held meanwhile by the lock of imports. Without sums to compare with it is active at once, and gets its sums
later.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Gone, Invalid
from cumulet.kernel.saga import Commit, Run
from cumulet.services.image.drivers.http import HttpStore
from cumulet.services.image.logic import access, data, location_changes, locations, stores, tasks
from cumulet.services.image.logic.import_sources import filter_of
from cumulet.services.image.logic.locations import Reader
from cumulet.services.image.store import images
from cumulet.services.image.types import HASH_ALGORITHM, IMPORT_LOCK, Image, ImageStatus

LOG = logging.getLogger(__name__)

FLOW = "image.location_import"
LOOK = 5.0  # seconds between two looks whether the image is still held
_WEB = ("http://", "https://")
_NO_SUMS: Mapping[str, str | None] = {"checksum": None, "os_hash_algo": None, "os_hash_value": None}


class _Sum(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def start(cloud: Cloud, ctx: Context, image_id: str, url: str, sums: Mapping[str, str]) -> None:
    """Begin to make what is at an address an image's data; `sums` may say its `os_hash_algo` and `os_hash_value`.

    Conflict unless the image is queued and free, Forbidden where only services may name such addresses, Invalid for
    sums that are none and for addresses that may not be asked.
    """
    _check_queued(access.get(cloud.db, ctx, image_id))
    if not _is_service(ctx) and not (url.startswith(_WEB) and _has_web(cloud)):
        raise Forbidden("http store must be enabled to use location API by normal user.")
    _check_sums(sums)
    if url.startswith(_WEB) and not filter_of(cloud.settings.image_import).passes(url):
        raise Invalid(f"URI for add location does not pass filtering: {url}")

    def write(tx: Tx) -> None:
        _check_queued(access.get(tx, ctx, image_id))
        if IMPORT_LOCK in images.properties(tx, [image_id]).get(image_id, {}):
            words = f"New operation on image '{image_id}' is not permitted as prior operation is still in progress"
            raise Conflict(words)
        said = {"image_id": image_id, "loc_url": url, "validation_data": dict(sums)}
        task = tasks.start(cloud, tx, ctx, tasks.LOCATION, said, image_id)
        images.set_properties(tx, image_id, {IMPORT_LOCK: task.id})
        args = {"task_id": task.id, "url": url, "sums": dict(sums)}
        cloud.sagas.start(tx, FLOW, image_id, args, ctx.request_id)

    cloud.db.write(write)


def place(run: Run) -> Commit:
    """Note where the data are; without sums to compare with, the image is active."""
    cloud, args = run.cloud, run.args
    cloud.db.write(lambda tx: tasks.begin(cloud, tx, args["task_id"]))
    data.check_formats(_held(cloud.db, run))
    found = location_changes.look_at(cloud, run.subject, args["url"])
    changes: dict[str, Any] = {"size": found.size, "status": ImageStatus.ACTIVE}
    if cloud.settings.image.do_secure_hash:
        changes["os_hash_algo"] = args["sums"].get("os_hash_algo", HASH_ALGORITHM)
        if args["sums"]:
            changes["status"] = ImageStatus.IMPORTING
    else:
        changes.update(args["sums"])

    def commit(tx: Tx) -> None:
        locations.add(tx, _held(tx, run), found.store.id, found.key)
        images.change(tx, run.subject, {**changes, "updated_at": clock.utcnow()})

    return commit


def summed(run: Run) -> Commit:
    """Sum the data, and compare; Invalid where they are others than they were said to be."""
    cloud, args = run.cloud, run.args
    found: Mapping[str, str | None] = {}
    if cloud.settings.image.do_secure_hash:
        try:
            found = _sums(run, args["sums"].get("os_hash_algo", HASH_ALGORITHM))
        except Gone:
            raise
        except CumuletError as error:
            if args["sums"]:
                raise
            LOG.warning("the data of image %s could not be summed: %s", run.subject, error.message)
            found = _NO_SUMS
        said = args["sums"].get("os_hash_value")
        if said is not None and said != found["os_hash_value"]:
            words = f"os_hash_value: ({said}) not matched with actual os_hash_value: ({found['os_hash_value']})"
            raise Invalid(words)

    def commit(tx: Tx) -> None:
        _held(tx, run)
        changes = {**found, "status": ImageStatus.ACTIVE, "updated_at": clock.utcnow()}
        images.change(tx, run.subject, changes)
        images.set_properties(tx, run.subject, {IMPORT_LOCK: None})
        tasks.end(cloud, tx, args["task_id"], run.subject)

    return commit


def failed(run: Run) -> Commit:
    """The image is queued again; where the data are is remembered of stores alone that nobody could write."""

    def commit(tx: Tx) -> None:
        image = _find_held(tx, run)
        problem = run.error or "The import failed."
        if image is None:
            problem = "The image is gone."
        else:
            read_only = {store.id for store in stores.find_all(run.cloud) if store.read_only}
            kept = [each for each in locations.of_image(tx, image) if each.store in read_only]
            locations.replace(tx, image.id, kept)
            changes = {**_NO_SUMS, "status": ImageStatus.QUEUED, "size": None, "updated_at": clock.utcnow()}
            images.change(tx, image.id, changes)
            images.set_properties(tx, image.id, {IMPORT_LOCK: None})
        tasks.end(run.cloud, tx, run.args["task_id"], run.subject, problem)

    return commit


def _sums(run: Run, algorithm: str) -> dict[str, str]:
    reader: Reader = locations.open_image(run.cloud, _held(run.cloud.db, run))
    md5: _Sum = hashlib.md5(usedforsecurity=False)
    other: _Sum = hashlib.new(algorithm, usedforsecurity=False)
    offset, looked = 0, time.monotonic()
    while offset < reader.size:
        piece = reader.read(offset, reader.piece)
        if not piece:
            raise Invalid(f"The data end after {offset} of {reader.size} bytes.")
        md5.update(piece)
        other.update(piece)
        offset += len(piece)
        if time.monotonic() - looked > LOOK:
            looked = time.monotonic()
            _held(run.cloud.db, run)
    return {"checksum": md5.hexdigest(), "os_hash_algo": algorithm, "os_hash_value": other.hexdigest()}


def _find_held(source: Source, run: Run) -> Image | None:
    image = images.find(source, run.subject)
    lock = images.properties(source, [run.subject]).get(run.subject, {}).get(IMPORT_LOCK)
    return image if lock == run.args["task_id"] else None


def _held(source: Source, run: Run) -> Image:
    found = _find_held(source, run)
    if found is None:
        raise Gone(f"Image {run.subject} is gone, or other work on it has begun.")
    return found


def _check_queued(image: Image) -> None:
    if image.status != ImageStatus.QUEUED:
        raise Conflict(f"It's not allowed to add locations if image status is {image.status}.")


def _is_service(ctx: Context) -> bool:
    return "service" in ctx.roles or ctx.is_service


def _has_web(cloud: Cloud) -> bool:
    return any(isinstance(store.bytes, HttpStore) for store in stores.find_all(cloud))


def _check_sums(sums: Mapping[str, str]) -> None:
    if not sums:
        return
    value, algorithm = sums["os_hash_value"], sums["os_hash_algo"]
    if not location_changes.is_hexadecimal(value):
        raise Invalid(f"os_hash_value ({value}) is not a valid hexadecimal value")
    size = hashlib.new(algorithm, usedforsecurity=False).digest_size
    if len(value) != 2 * size:
        words = f"os_hash_value: ({value}) is not the correct size for ({algorithm}) (should be ({size}) bytes)"
        raise Invalid(words)
