# SPDX-License-Identifier: Apache-2.0
"""Imports as they are asked for: what is refused at once, and the one commit by which the others begin.

The order of the refusals is Glance's.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, Invalid
from cumulet.services.image.logic import access, data, importing, stores, tasks
from cumulet.services.image.logic import images as image_verbs
from cumulet.services.image.logic.images import Wish
from cumulet.services.image.logic.import_sources import filter_of
from cumulet.services.image.logic.importing import token_name
from cumulet.services.image.store import images
from cumulet.services.image.store import tasks as task_rows
from cumulet.services.image.types import (
    FAILED_TO,
    IMPORT_LOCK,
    IMPORTING_TO,
    Image,
    ImageStatus,
    Record,
    Task,
    TaskStatus,
)

LOG = logging.getLogger(__name__)

DIRECT, WEB, COPY, REGION = "glance-direct", "web-download", "copy-image", "glance-download"
STALE = timedelta(
    minutes=60
)  # how long nothing may be heard of a task before its lock can be taken; of a waiting one twice
PREEMPTED = "Expired lock preempted"
BUSY = "Image has active task"

Said = Mapping[str, Any]


def methods(cloud: Cloud) -> list[str]:
    """The ways to import that users are offered."""
    return list(cloud.settings.image_import.methods)


def run(cloud: Cloud, ctx: Context, image_id: str, said: Said, header: str | None, token: str) -> None:
    """Begin the import that the body `said` asks for; `header` names a store, `token` is the caller's.

    Conflict where the image's state forbids it, Invalid for what cannot be meant, Forbidden where policy says so. What
    goes wrong later, the task tells.
    """
    method = said["method"]
    wanted = _checked(cloud, cloud.db, ctx, image_id, said, header)
    if not wanted:
        LOG.info("image %s is in every store", image_id)
        return
    if method["name"] == WEB and not _passes(cloud, method.get("uri")):
        raise Invalid(f"URI for web-download does not pass filtering: {method.get('uri')}")
    task_id = ids.new_uuid()
    if method["name"] == REGION:
        cloud.vault.change(token_name(task_id), lambda _: token.encode())
    try:
        cloud.db.write(lambda tx: _start(cloud, tx, ctx, image_id, said, header, task_id))
    except BaseException:
        cloud.vault.remove(token_name(task_id))
        raise


def run_task(cloud: Cloud, ctx: Context, kind: str, words: Said, wish: Wish | None, problem: str) -> Task:
    """Write a task as administrators ask for it, and begin it unless there is a `problem`, which fails it at once.

    A task that imports an address makes the image `wish`, and removes it where that fails.
    """

    def write(tx: Tx) -> Task:
        task = tasks.start(cloud, tx, ctx, kind, words, _image_id(words))
        if problem or wish is None:
            tasks.end(cloud, tx, task.id, "", problem)
            return task
        made = image_verbs.create(cloud, tx, wish, ctx.request_id)
        data.check_formats(made.image)
        method = {"name": WEB, "uri": words["import_from"]}
        _begin(cloud, tx, ctx, made, task.id, method, [stores.default(cloud).id], new_image=True)
        return task

    if problem:
        return cloud.db.write(write)
    try:
        if wish is not None:
            image_verbs.check_create(cloud, ctx, wish.owner, wish.visibility)
        return cloud.db.write(write)
    except CumuletError as error:
        return run_task(cloud, ctx, kind, words, None, f"Error: {error.message}")


def check_address(cloud: Cloud, said: Any) -> None:
    """Invalid for an address that nothing is imported from, in the words of Glance's tasks."""
    if not isinstance(said, str) or not said:
        raise Invalid(f"Invalid location: {said}")
    if said.startswith(("file:///", "filesystem:///")):
        raise Invalid("File based imports are not allowed. Please use a non-local source of image data.")
    if not said.startswith(("http://", "https://")):
        raise Invalid(
            "The given uri is not valid. Please specify a valid uri from the following list of supported uri ['http']"
        )
    if not _passes(cloud, said):
        raise Invalid(f"URI for legacy import task does not pass filtering: {said}")


def _passes(cloud: Cloud, uri: Any) -> bool:
    return isinstance(uri, str) and filter_of(cloud.settings.image_import).passes(uri)


def _image_id(words: Said) -> str:
    said = words.get("image_id")
    return said if isinstance(said, str) and len(said) <= 36 else ""


def _checked(cloud: Cloud, source: Source, ctx: Context, image_id: str, said: Said, header: str | None) -> list[str]:
    """The stores to fill; none where a copy is in all of them."""
    method = said["method"]
    image = access.get_allowed(cloud, source, ctx, image_id)
    _check_state(image, method["name"])
    if method["name"] == REGION:
        _check_region(method)
    access.require(cloud, source, ctx, "copy_image" if method["name"] == COPY else "modify_image", image)
    record = access.record(source, image)
    if IMPORT_LOCK in record.properties and _is_fresh(source, record.properties[IMPORT_LOCK]):
        raise Conflict(BUSY)
    wanted = _stores(cloud, said, header)
    if method["name"] != COPY:
        return wanted
    there = {each.store for each in record.locations}
    if said.get("all_stores"):
        return [each for each in wanted if each not in there]
    for each in wanted:
        if each in there:
            raise Invalid(f"Image is already present at store '{each}'")
    return wanted


def _check_state(image: Image, method: str) -> None:
    if image.status == ImageStatus.ACTIVE and method != COPY:
        raise Conflict("Image with status active cannot be target for import")
    if image.status != ImageStatus.ACTIVE and method == COPY:
        raise Conflict("Only images with status active can be targeted for copying")
    if image.status != ImageStatus.QUEUED and method in (WEB, REGION):
        raise Conflict(f"Image needs to be in 'queued' state to use '{method}' method")
    if method == DIRECT and (image.status != ImageStatus.UPLOADING or image.size is None):
        raise Conflict("Image needs to be staged before 'glance-direct' method can be used")
    for name in ("container_format", "disk_format"):
        if not getattr(image, name):
            raise Conflict(f"'{name}' needs to be set before import")


def _check_region(method: Said) -> None:
    for name in ("glance_region", "glance_image_id"):
        if not isinstance(method.get(name), str):
            raise Invalid(f"'{name}' needs to be set for glance-download import method")
    if not ids.is_uuid(method["glance_image_id"]):
        raise Invalid(f"Remote image id does not look like a UUID: {method['glance_image_id']}")


def _is_fresh(source: Source, task_id: str) -> bool:
    """Whether the task that holds an image may still be at work."""
    task = task_rows.find(source, task_id)
    if task is None:
        return False
    patience = STALE * 2 if task.status == TaskStatus.PENDING else STALE
    return clock.utcnow() - task.updated_at < patience


def _stores(cloud: Cloud, said: Said, header: str | None) -> list[str]:
    if said.get("all_stores"):
        if "stores" in said or header is not None:
            raise Invalid("All_stores parameter can't be used with x-image-meta-store header or stores parameter")
        return [each.id for each in stores.find_all(cloud) if not each.read_only]
    wanted = said.get("stores", [header or stores.default(cloud).id])
    if "stores" in said and header is not None:
        raise Invalid("Stores parameter and x-image-meta-store header can't be both specified")
    if not isinstance(wanted, list) or not all(isinstance(each, str) for each in wanted):
        raise Invalid("'stores' must be a list of store identifiers")
    for each in wanted:
        if stores.find(cloud, each) is None:
            raise Conflict(f"Store for identifier {each} not found")
    return list(dict.fromkeys(wanted))


def _start(cloud: Cloud, tx: Tx, ctx: Context, image_id: str, said: Said, header: str | None, task_id: str) -> None:
    tx.lock(f"image:import:{image_id}")
    wanted = _checked(cloud, tx, ctx, image_id, said, header)
    record = access.record(tx, access.get(tx, ctx, image_id))
    _push_aside(cloud, tx, record)
    method = dict(said["method"])
    if method["name"] == REGION:
        method.setdefault("glance_service_interface", "public")
    words = {"image_id": image_id, "import_req": {**said, "method": method}, "backend": wanted}
    tasks.start(cloud, tx, ctx, tasks.IMPORT, words, image_id, task_id)
    _begin(
        cloud,
        tx,
        ctx,
        record,
        task_id,
        method,
        wanted,
        all_must_succeed=said.get("all_stores_must_succeed", True),
    )


def _push_aside(cloud: Cloud, tx: Tx, record: Record) -> None:
    """End the task whose lock on the image has expired; what it does is undone."""
    stale = record.properties.get(IMPORT_LOCK)
    if stale is not None:
        LOG.warning("the lock of task %s on image %s has expired and is taken", stale, record.image.id)
        tasks.end(cloud, tx, stale, record.image.id, PREEMPTED)
        cloud.sagas.cancel(tx, record.image.id)


def _begin(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    record: Record,
    task_id: str,
    method: Said,
    wanted: list[str],
    *,
    all_must_succeed: bool = True,
    new_image: bool = False,
) -> None:
    """Lock the image for the task, and start the saga."""
    image_id = record.image.id
    if record.image.status != ImageStatus.ACTIVE:
        data.move(tx, image_id, ImageStatus.IMPORTING)
    beaten = set(filter(None, record.properties.get(FAILED_TO, "").split(","))) - set(wanted)
    changed = {IMPORTING_TO: ",".join(sorted(wanted)), FAILED_TO: ",".join(sorted(beaten)), IMPORT_LOCK: task_id}
    images.set_properties(tx, image_id, changed)
    args = {
        "task_id": task_id,
        "method": dict(method),
        "stores": wanted,
        "all_stores_must_succeed": all_must_succeed,
        "new_image": new_image,
        "roles": sorted(ctx.roles),
        "user_id": ctx.user_id,
        "project_id": ctx.project_id,
    }
    cloud.sagas.start(tx, importing.FLOW, image_id, args, ctx.request_id)
