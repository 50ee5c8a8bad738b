# SPDX-License-Identifier: Apache-2.0
"""Importing staged data: the only way that this cloud offers is `glance-direct`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, CumuletError, Gone
from cumulet.services.image.logic import access, data, staging, stores, tasks
from cumulet.services.image.logic.bytes import IMPORT, STAGE, draft
from cumulet.services.image.logic.data import Draft
from cumulet.services.image.logic.stores import Store
from cumulet.services.image.types import Image, ImageStatus, Task

METHODS = ("glance-direct",)


def run(cloud: Cloud, ctx: Context, image_id: str, said: Mapping[str, Any]) -> None:
    """Make staged data the image's own. Conflict where nothing is staged or the formats are not set.

    Data that are not of the declared format fail the task, not the request, and the image is queued again: that is how
    clients of Glance learn of it.
    """
    image, task = cloud.db.write(lambda tx: _start(tx, ctx, image_id, said))
    name = draft(IMPORT, image_id)
    store = stores.default(cloud)
    try:
        sums = _copy(cloud, image_id, store, name)
        waiting = Draft(store.writable, name, sums)
        data.activate(cloud, image, waiting, store, ImageStatus.IMPORTING, ctx.request_id)
    except Gone:
        cloud.db.write(lambda tx: tasks.end(tx, task, "The image is gone."))
    except CumuletError as error:
        problem = error.message
        store.writable.discard(name)
        data.requeue(cloud, image_id, ImageStatus.IMPORTING)
        cloud.db.write(lambda tx: tasks.end(tx, task, problem))
    else:
        cloud.db.write(lambda tx: tasks.end(tx, task))
    finally:
        staging.discard(cloud, image_id)


def _copy(cloud: Cloud, image_id: str, store: Store, name: str) -> data.Sums:
    area, kept, staged = staging.area(cloud), store.writable, draft(STAGE, image_id)
    size, offset = area.draft_size(staged), 0
    kept.write(name, 0, b"")
    while piece := area.read_draft(staged, offset, data.PIECE):
        kept.write(name, offset, piece)
        offset += len(piece)
    return data.sum_draft(kept, name, size)


def _start(tx: Tx, ctx: Context, image_id: str, said: Mapping[str, Any]) -> tuple[Image, Task]:
    image = access.get(tx, ctx, image_id)
    if image.status == ImageStatus.ACTIVE:
        raise Conflict("Image with status active cannot be target for import")
    if image.status != ImageStatus.UPLOADING or image.size is None:
        raise Conflict("Image needs to be staged before 'glance-direct' method can be used")
    for name in ("container_format", "disk_format"):
        if not getattr(image, name):
            raise Conflict(f"'{name}' needs to be set before import")
    data.move(tx, image_id, ImageStatus.IMPORTING)
    return image, tasks.start(tx, ctx, image, said)
