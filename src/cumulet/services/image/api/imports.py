# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/import` and `/tasks`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import ANYONE, Reply, Request, Route
from cumulet.services.image.api import targets, views
from cumulet.services.image.logic import imports, quotas, tasks

STORE_HEADER = "x-image-meta-store"


def run(request: Request) -> Reply:
    """The handler judges the rule, once it knows the method: `copy_image`, or `modify_image`."""
    said = _said(request)
    header, token = request.headers.get(STORE_HEADER), request.headers.get("x-auth-token", "")
    quotas.enforce_import(request.cloud, request.ctx, request.params["image_id"], said["method"]["name"])
    imports.run(request.cloud, request.ctx, request.params["image_id"], said, header, token)
    return Reply(202)


def find_tasks(request: Request) -> Reply:
    found = tasks.of_image(request.cloud, request.ctx, request.params["image_id"])
    return Reply(200, {"tasks": [views.task_of_image(each) for each in found]})


def _said(request: Request) -> dict[str, Any]:
    if not request.raw:
        raise Invalid("Body expected in request.", code="MissingBody")
    body = request.body
    if not isinstance(body, dict) or "method" not in body:
        raise Invalid("Import request requires a 'method' field.")
    method = body["method"]
    if not isinstance(method, dict) or "name" not in method:
        raise Invalid("Import request requires a 'name' field.")
    if method["name"] not in imports.methods(request.cloud):
        raise Invalid(f"Unknown import method name '{method['name']}'.")
    for name, usual in (("all_stores_must_succeed", True), ("all_stores", False)):
        if not isinstance(body.get(name, usual), bool):
            raise Invalid(f"'{name}' must be boolean value only")
    return body


ROUTES = (
    Route("POST", "/images/{image_id}/import", run, ANYONE, slow=True),  # names are looked up
    Route(
        "GET",
        "/images/{image_id}/tasks",
        find_tasks,
        "get_image",
        target=targets.image_or("The resource could not be found."),
    ),
)
