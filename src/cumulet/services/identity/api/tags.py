# SPDX-License-Identifier: Apache-2.0
"""`/v3/projects/{project_id}/tags`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api import targets
from cumulet.services.identity.api.views import base_url, in_long_form
from cumulet.services.identity.logic import projects as logic

TAG: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[^,/]*$"}
TAGS: dict[str, Any] = {"type": "array", "items": TAG, "maxItems": logic.TAGS, "uniqueItems": True}

_ALL = Schema({"type": "object", "properties": {"tags": TAGS}, "required": ["tags"], "additionalProperties": False})
_SEVERAL = in_long_form(TAGS)
_ONE = in_long_form(TAG)


def find_all(request: Request) -> Reply:
    return _view(request, _tags(request))


def replace(request: Request) -> Reply:
    return _view(request, logic.set_tags(request.cloud, request.params["project_id"], request.body["tags"]))


def delete_all(request: Request) -> Reply:
    logic.set_tags(request.cloud, request.params["project_id"], [], "delete")
    return Reply(204)


def check(request: Request) -> Reply:
    _require(request, _tags(request))
    return Reply(204)


def add(request: Request) -> Reply:
    _ONE.check(request.params["tag"])
    wanted = [*_tags(request), request.params["tag"]]
    _SEVERAL.check(list(dict.fromkeys(wanted)))
    logic.set_tags(request.cloud, request.params["project_id"], wanted, "create", request.params["tag"])
    return Reply(201, headers={"Location": request.url})


def delete(request: Request) -> Reply:
    have = _tags(request)
    _require(request, have)
    have.remove(request.params["tag"])
    logic.set_tags(request.cloud, request.params["project_id"], have, "delete", request.params["tag"])
    return Reply(204)


def _tags(request: Request) -> list[str]:
    project = logic.get(request.cloud.db, request.params["project_id"])
    return logic.tags_of(request.cloud.db, [project]).get(project.id, [])


def _require(request: Request, have: list[str]) -> None:
    if request.params["tag"] not in have:
        raise NotFound(f"Could not find project tag: {request.params['tag']}.", code="ProjectTagNotFound")


def _view(request: Request, tags: list[str]) -> Reply:
    return Reply(200, {"tags": tags, "links": {"self": base_url(request)}})


_PATH = "/projects/{project_id}/tags"

ROUTES = (
    Route("GET", _PATH, find_all, "identity:list_project_tags", target=targets.of_path),
    Route("PUT", _PATH, replace, "identity:update_project_tags", body=_ALL, target=targets.of_path),
    Route("DELETE", _PATH, delete_all, "identity:delete_project_tags", target=targets.of_path),
    Route("GET", _PATH + "/{tag}", check, "identity:get_project_tag", target=targets.of_path),
    Route("PUT", _PATH + "/{tag}", add, "identity:create_project_tag", target=targets.of_path),
    Route("DELETE", _PATH + "/{tag}", delete, "identity:delete_project_tag", target=targets.of_path),
)
