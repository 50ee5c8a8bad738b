# SPDX-License-Identifier: Apache-2.0
"""`/resource_classes`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Conflict, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.placement.api.dialect import BODY_REFUSED
from cumulet.services.placement.api.views import CUSTOM_NAME, body_schema, done, getter, newest, reply, writer
from cumulet.services.placement.logic import classes as logic
from cumulet.services.placement.logic import standard

PATH = "/resource_classes"
_SINCE = (1, 2)
_BODY = body_schema(
    {
        "type": "object",
        "properties": {"name": {"type": "string", "pattern": CUSTOM_NAME, "maxLength": 255}},
        "required": ["name"],
        "additionalProperties": False,
    }
)


def find_all(request: Request) -> Reply:
    found = logic.find_all(request.cloud.db)
    body = {"resource_classes": [view(request, name) for name, _ in found]}
    return reply(request, 200, body, newest(made for _, made in found))


def get(request: Request) -> Reply:
    name = request.params["name"]
    made = logic.get(request.cloud.db, name)
    return reply(request, 200, view(request, name), made)


def create(request: Request) -> Reply:
    name = _custom(request.body["name"])
    if not logic.create(request.cloud, name):
        raise Conflict(f"Conflicting resource class already exists: {name}")
    return done(request, 201, f"{PATH}/{name}")


def rename(request: Request) -> Reply:
    new = _custom(request.body["name"])
    logic.rename(request.cloud, request.params["name"], new)
    return Reply(200, view(request, new))


def ensure(request: Request) -> Reply:
    name = request.params["name"]
    _BODY.check({"name": name}, request.version)
    _custom(name)
    is_new = logic.create(request.cloud, name)
    return done(request, 201 if is_new else 204, f"{PATH}/{name}")


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["name"])
    return done(request)


def view(request: Request, name: str) -> dict[str, Any]:
    return {"name": name, "links": [{"rel": "self", "href": f"{request.api.root}{PATH}/{name}"}]}


def _custom(name: str) -> str:
    """`name`, which the schema has passed: its pattern overlooks one newline at the end."""
    if not standard.is_custom(name):
        raise Invalid(f"{BODY_REFUSED}{name!r} does not match {CUSTOM_NAME!r}")
    return name


_RULE = "placement:resource_classes"
ROUTES = (
    getter(PATH, find_all, f"{_RULE}:list", since=_SINCE),
    writer("POST", PATH, create, f"{_RULE}:create", _BODY, since=_SINCE),
    getter(f"{PATH}/{{name}}", get, f"{_RULE}:show", since=_SINCE),
    writer("PUT", f"{PATH}/{{name}}", rename, f"{_RULE}:update", _BODY, since=_SINCE, until=(1, 6)),
    Route("PUT", f"{PATH}/{{name}}", ensure, f"{_RULE}:update", since=(1, 7)),
    Route("DELETE", f"{PATH}/{{name}}", delete, f"{_RULE}:delete", since=_SINCE),
)
