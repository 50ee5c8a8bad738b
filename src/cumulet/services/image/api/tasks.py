# SPDX-License-Identifier: Apache-2.0
"""`/v2/tasks`: imports, for administrators."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import views
from cumulet.services.image.api.listing import DEFAULT_LIMIT, LARGEST_LIMIT, first_page, next_page, whole
from cumulet.services.image.logic import tasks

_PATH = "/v2/tasks"


def find_all(request: Request) -> Reply:
    query = request.query
    direction = query.get("sort_dir", "desc")
    if direction not in ("asc", "desc"):
        raise Invalid(f"Invalid sort direction: {direction}")
    limit = min(whole(query.get("limit", str(DEFAULT_LIMIT)), "limit"), LARGEST_LIMIT)
    found = tasks.find_all(
        request.cloud, query, descending=direction == "desc", marker=query.get("marker"), limit=limit
    )
    page: dict[str, Any] = {
        "tasks": [views.task_stub(each) for each in found],
        "first": first_page(request, _PATH),
        "schema": "/v2/schemas/tasks",
    }
    if found and len(found) == limit:
        page["next"] = next_page(request, _PATH, found[-1].id)
    return Reply(200, page)


def get(request: Request) -> Reply:
    return Reply(200, views.task(tasks.get(request.cloud, request.params["task_id"])))


def create(request: Request) -> Reply:
    """Glance takes tasks of the type `import`, and refuses addresses that it may not fetch from: here, all."""
    body = request.body
    if not isinstance(body, dict) or not isinstance(body.get("type"), str) or not isinstance(body.get("input"), dict):
        raise Invalid("A task needs a type and an input.")
    if body["type"] != "import":
        raise Invalid(f"Invalid type of task: {body['type']}")
    raise Invalid("It's not allowed to import data from elsewhere; stage them and import the image.")


ROUTES = (
    Route("GET", "/tasks", find_all, "tasks_api_access"),
    Route("POST", "/tasks", create, "tasks_api_access"),
    Route("GET", "/tasks/{task_id}", get, "tasks_api_access"),
)
