# SPDX-License-Identifier: Apache-2.0
"""Imports as tasks: written beside the import itself, read by administrators and by whoever sees the image."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.image.logic import access
from cumulet.services.image.store import tasks as store
from cumulet.services.image.types import Image, Task, TaskStatus

IMPORT = "api_image_import"
KEPT = timedelta(hours=48)  # how long an ended task is shown; Glance's default
FILTERS = ("status", "type")


def start(tx: Tx, ctx: Context, image: Image, said: Mapping[str, Any]) -> Task:
    """Write the task of an import that begins; `said` is the body of its request."""
    now = clock.utcnow()
    words = {"image_id": image.id, "import_req": dict(said), "backend": [None]}
    task = Task(
        id=ids.new_uuid(),
        type=IMPORT,
        status=TaskStatus.PROCESSING,
        owner=ctx.project_id,
        image_id=image.id,
        user_id=ctx.user_id,
        request_id=ctx.request_id,
        input=words,
        result=None,
        message="",
        expires_at=None,
        created_at=now,
        updated_at=now,
    )
    store.add(tx, task)
    return task


def end(tx: Tx, task: Task, problem: str = "") -> None:
    """The import is done, or has failed for `problem`."""
    now = clock.utcnow()
    changes: dict[str, Any] = {
        "status": TaskStatus.FAILURE if problem else TaskStatus.SUCCESS,
        "message": problem,
        "result": None if problem else {"image_id": task.image_id},
        "updated_at": now,
        "expires_at": now + KEPT,
    }
    store.change(tx, task.id, changes)


def get(cloud: Cloud, task_id: str) -> Task:
    found = store.find(cloud.db, task_id)
    if found is None:
        raise NotFound(f"No task found with ID {task_id}")
    return found


def find_all(
    cloud: Cloud, filters: Mapping[str, str], *, descending: bool, marker: str | None, limit: int
) -> list[Task]:
    """One page of tasks, by time of creation; Invalid for a marker that is not there."""
    after = None
    if marker is not None:
        after = store.find(cloud.db, marker)
        if after is None:
            raise Invalid(f"No task found with ID {marker}")
    wanted = {name: value for name, value in filters.items() if name in FILTERS}
    return store.find_all(cloud.db, wanted, descending=descending, marker=after, limit=limit)


def of_image(cloud: Cloud, ctx: Context, image_id: str) -> list[Task]:
    """The imports of an image that the caller sees."""
    return store.of_image(cloud.db, access.get(cloud.db, ctx, image_id).id)
