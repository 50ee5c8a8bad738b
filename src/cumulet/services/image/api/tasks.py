# SPDX-License-Identifier: Apache-2.0
"""`/v2/tasks`: slow work, for administrators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import CumuletError, Invalid, NotAllowed
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.ids import is_uuid
from cumulet.services.image.api import views
from cumulet.services.image.api.listing import DEFAULT_LIMIT, LARGEST_LIMIT, first_page, next_page, whole
from cumulet.services.image.api.schemas import ACCEPTED, TASK
from cumulet.services.image.logic import imports, tasks
from cumulet.services.image.logic.images import Wish
from cumulet.services.image.types import TaskStatus

_PATH = "/v2/tasks"
_FIELDS = (
    *("name", "visibility", "disk_format", "container_format", "min_disk", "min_ram", "protected", "os_hidden", "tags"),
)
_NEEDED = ("import_from", "import_from_format", "image_properties")
_READ_ONLY = (
    *("id", "owner", "status", "checksum", "size", "virtual_size", "created_at", "updated_at", "self", "file"),
    *("schema", "direct_url", "locations", "stores", "os_hash_algo", "os_hash_value"),
)


def find_all(request: Request) -> Reply:
    query = request.query
    direction, key = query.get("sort_dir", "desc"), query.get("sort_key", "created_at")
    if direction not in ("asc", "desc"):
        raise Invalid(f"Invalid sort direction: {direction}")
    _check(query.get("status"), list(TaskStatus), "Invalid status value: {}")
    _check(query.get("type"), tasks.FILTERED_TYPES, "Invalid type value: {}")
    marker = query.get("marker")
    if marker and not is_uuid(marker):
        raise Invalid("Invalid marker format")
    if key not in tasks.SORT_KEYS:
        raise Invalid("Sort key supplied was not valid.")
    limit = min(whole(query.get("limit", str(DEFAULT_LIMIT)), "limit"), LARGEST_LIMIT)
    found = tasks.find_all(
        request.cloud, query, sort_key=key, descending=direction == "desc", marker=marker or None, limit=limit
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
    """A task of the type `import` makes an image of what a web server has; the others cannot be begun like this."""
    body = _body(request)
    kind, words = body["type"], body["input"] or {}
    if kind == tasks.NEW_IMAGE:
        imports.check_address(request.cloud, words.get("import_from"))
    wish, problem = None, "Task failed due to Internal Error"
    if kind == tasks.NEW_IMAGE:
        wish, problem = _wish(request, words)
    made = imports.run_task(request.cloud, request.ctx, kind, words, wish, problem)
    return Reply(201, views.task(made), {"Location": f"{request.root_url}{_PATH}/{made.id}"})


def delete(request: Request) -> Reply:
    raise NotAllowed(
        "This operation is currently not permitted on Glance Tasks. They are auto deleted after reaching the time "
        "based on their expires_at property.",
        headers={"Allow": "GET"},
        code="TasksStay",
    )


def _check(value: str | None, known: Any, words: str) -> None:
    if value and value not in known:
        raise Invalid(words.format(value))


def _body(request: Request) -> dict[str, Any]:
    if not request.raw:
        raise Invalid("Body expected in request.", code="MissingBody")
    body = request.body
    if not isinstance(body, dict):
        raise Invalid("Unexpected body type. Expected list/dict.")
    for name in ("type", "input"):
        if name not in body:
            raise Invalid(f"Task '{name}' is required")
    TASK.check(body)
    return body


def _wish(request: Request, words: Mapping[str, Any]) -> tuple[Wish | None, str]:
    """The image that an import is to make, or why it cannot: the task tells of that, not the request."""
    for name in _NEEDED:
        if name not in words:
            return None, f"Error: Input does not contain '{name}' field"
    said = words["image_properties"]
    if not isinstance(said, dict):
        return None, "Error: The properties of the image must be an object."
    try:
        ACCEPTED.check(said)
    except CumuletError as error:
        return None, f"Error: {error.message}"
    reserved = [name for name in said if name in _READ_ONLY or name.startswith("os_glance")]
    if reserved:
        return None, f"Error: Attribute '{reserved[0]}' is reserved."
    known = {name: said[name] for name in _FIELDS if name in said}
    properties = {name: value for name, value in said.items() if name not in _FIELDS}
    tags = tuple(known.pop("tags", ()))
    return Wish(**known, owner=request.ctx.project_id, properties=properties, tags=tags), ""


ROUTES = (
    Route("GET", "/tasks", find_all, "tasks_api_access"),
    Route("POST", "/tasks", create, "tasks_api_access", slow=True),  # names are looked up
    Route("GET", "/tasks/{task_id}", get, "tasks_api_access"),
    Route("DELETE", "/tasks/{task_id}", delete, "tasks_api_access"),
)
