# SPDX-License-Identifier: Apache-2.0
"""Importing staged data: the only way that this cloud offers is `glance-direct`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, CumuletError, Gone
from cumulet.services.image.logic import access, data, tasks
from cumulet.services.image.logic.bytes import STAGE, draft, store
from cumulet.services.image.store import images
from cumulet.services.image.types import STAGED_SUMS, Image, ImageStatus, Task

METHODS = ("glance-direct",)


def run(cloud: Cloud, ctx: Context, image_id: str, said: Mapping[str, Any]) -> None:
    """Make staged data the image's own. Conflict where nothing is staged or the formats are not set.

    Data that are not of the declared format fail the task, not the request, and the image is queued again: that is how
    clients of Glance learn of it.
    """
    image, task, sums = cloud.db.write(lambda tx: _start(tx, ctx, image_id, said))
    name = draft(STAGE, image_id)
    try:
        data.activate(cloud, image, name, sums, ImageStatus.UPLOADING, ctx.request_id)
    except Gone:
        cloud.db.write(lambda tx: tasks.end(tx, task, "The image is gone."))
    except CumuletError as error:
        problem = error.message
        store(cloud).discard(name)
        data.requeue(cloud, image_id, ImageStatus.UPLOADING)
        cloud.db.write(lambda tx: tasks.end(tx, task, problem))
    else:
        cloud.db.write(lambda tx: tasks.end(tx, task))


def _start(tx: Tx, ctx: Context, image_id: str, said: Mapping[str, Any]) -> tuple[Image, Task, data.Sums]:
    image = access.get(tx, ctx, image_id)
    if image.status == ImageStatus.ACTIVE:
        raise Conflict("Image with status active cannot be target for import")
    sums = images.properties(tx, [image_id]).get(image_id, {}).get(STAGED_SUMS)
    if image.status != ImageStatus.UPLOADING or sums is None or image.size is None:
        raise Conflict("Image needs to be staged before 'glance-direct' method can be used")
    for name in ("container_format", "disk_format"):
        if not getattr(image, name):
            raise Conflict(f"'{name}' needs to be set before import")
    md5, sha512 = sums.split()
    return image, tasks.start(tx, ctx, image, said), data.Sums(image.size, md5, sha512)
