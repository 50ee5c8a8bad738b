# SPDX-License-Identifier: Apache-2.0
"""Slow work as tasks: written beside the work itself, read by administrators and by whoever sees the image."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.image import events
from cumulet.services.image.logic import access
from cumulet.services.image.store import tasks as store
from cumulet.services.image.types import Task, TaskStatus

IMPORT, NEW_IMAGE, LOCATION = "api_image_import", "import", "location_import"
TYPES = (NEW_IMAGE, IMPORT, LOCATION)
# Those that Glance lets lists be filtered by.
FILTERED_TYPES = (NEW_IMAGE,)
FILTERS = ("status", "type", "owner", "image_id", "user_id", "request_id")
SORT_KEYS = ("created_at", "updated_at", "expires_at", "id", "type", "status", "owner")
UNFINISHED = frozenset({TaskStatus.PENDING, TaskStatus.PROCESSING})


def start(
    cloud: Cloud, tx: Tx, ctx: Context, kind: str, words: Mapping[str, Any], image_id: str = "", task_id: str = ""
) -> Task:
    """Write a task that is to begin; `words` is its input."""
    now = clock.utcnow()
    task = Task(
        id=task_id or ids.new_uuid(),
        type=kind,
        status=TaskStatus.PENDING,
        owner=ctx.project_id,
        image_id=image_id,
        user_id=ctx.user_id,
        request_id=ctx.request_id,
        input=dict(words),
        result=None,
        message="",
        expires_at=None,
        created_at=now,
        updated_at=now,
    )
    store.add(tx, task)
    cloud.outbox.publish(tx, events.TASK_CREATE, events.task(task), ctx.request_id)
    return task


def begin(cloud: Cloud, tx: Tx, task_id: str) -> None:
    """The work has begun; nothing happens where that is known, or the task has ended."""
    found = store.find(tx, task_id)
    if found is not None and found.status == TaskStatus.PENDING:
        _change(cloud, tx, found, events.TASK_PROCESSING, {"status": TaskStatus.PROCESSING})


def tell(tx: Tx, task_id: str, message: str) -> None:
    """How far the work is."""
    found = store.find(tx, task_id)
    if found is not None and found.status in UNFINISHED:
        store.change(tx, task_id, {"message": message, "updated_at": clock.utcnow()})


def end(cloud: Cloud, tx: Tx, task_id: str, image_id: str, problem: str = "") -> None:
    """The work is done, or has failed for `problem`; nothing happens to a task that ended before."""
    found = store.find(tx, task_id)
    if found is None or found.status not in UNFINISHED:
        return
    changes: dict[str, Any] = {
        "status": TaskStatus.FAILURE if problem else TaskStatus.SUCCESS,
        "message": problem or found.message,
        "result": None if problem else {"image_id": image_id},
        "expires_at": clock.utcnow() + timedelta(hours=cloud.settings.image_import.task_time_to_live),
    }
    _change(cloud, tx, found, events.TASK_FAILURE if problem else events.TASK_SUCCESS, changes)


def get(cloud: Cloud, task_id: str) -> Task:
    found = store.find(cloud.db, task_id)
    if found is None:
        raise NotFound(f"Could not find task {task_id}")
    return found


def find_all(
    cloud: Cloud,
    filters: Mapping[str, str],
    *,
    sort_key: str = "created_at",
    descending: bool,
    marker: str | None,
    limit: int,
) -> list[Task]:
    """One page of the tasks that are not forgotten yet; Invalid for a marker that is not there."""
    after = None
    if marker is not None:
        after = store.find(cloud.db, marker)
        if after is None:
            raise Invalid(f"Task with the given id {marker} was not found")
    wanted = {name: value for name, value in filters.items() if name in FILTERS}
    order = tuple(dict.fromkeys((sort_key, "created_at", "id")))
    return store.find_all(
        cloud.db, wanted, clock.utcnow(), order=order, descending=descending, marker=after, limit=limit
    )


def of_image(cloud: Cloud, ctx: Context, image_id: str) -> list[Task]:
    """The tasks of the caller's project (for administrators: of all) that worked on an image that the caller sees."""
    found = store.of_image(cloud.db, access.get(cloud.db, ctx, image_id).id, clock.utcnow())
    return [each for each in found if ctx.is_admin or each.owner == ctx.project_id]


def _change(cloud: Cloud, tx: Tx, task: Task, event: str, changes: dict[str, Any]) -> None:
    store.change(tx, task.id, {**changes, "updated_at": clock.utcnow()})
    after = store.find(tx, task.id)
    assert after is not None
    cloud.outbox.publish(tx, event, events.task(after), task.request_id)
