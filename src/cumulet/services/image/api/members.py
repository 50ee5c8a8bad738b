# SPDX-License-Identifier: Apache-2.0
"""`/v2/images/{id}/members`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.image.api import targets, views
from cumulet.services.image.logic import members

_TARGET = targets.image_or("Image {} not found.")
_LONGEST = 255  # characters of a project's id


def find_all(request: Request) -> Reply:
    found = members.find_all(request.cloud, request.ctx, request.params["image_id"])
    return Reply(200, {"members": [views.member(each) for each in found], "schema": "/v2/schemas/members"})


def get(request: Request) -> Reply:
    found = members.get(request.cloud, request.ctx, request.params["image_id"], request.params["member_id"])
    return Reply(200, views.member(found))


def create(request: Request) -> Reply:
    body = _body(request)
    if not isinstance(body, dict):
        raise Invalid('Expected a member in the form: {"member": "image_id"}')
    if "member" not in body:
        raise Invalid("Member to be added not specified")
    member_id = body["member"]
    if not member_id:
        raise Invalid("Member can't be empty")
    if not isinstance(member_id, str) or len(member_id) > _LONGEST:
        raise Invalid('Expected a member in the form: {"member": "image_id"}')
    return Reply(200, views.member(members.add(request.cloud, request.ctx, request.params["image_id"], member_id)))


def update(request: Request) -> Reply:
    body = _body(request)
    if not isinstance(body, dict):
        raise Invalid('Expected a status in the form: {"status": "status"}')
    if "status" not in body:
        raise Invalid("Status not specified")
    image_id, member_id = request.params["image_id"], request.params["member_id"]
    return Reply(200, views.member(members.answer(request.cloud, request.ctx, image_id, member_id, body["status"])))


def delete(request: Request) -> Reply:
    members.remove(request.cloud, request.ctx, request.params["image_id"], request.params["member_id"])
    return Reply(204)


def _body(request: Request) -> Any:
    if not request.raw:
        raise Invalid("Body expected in request.", code="MissingBody")
    if not isinstance(request.body, (dict, list)):
        raise Invalid("Unexpected body type. Expected list/dict.")
    return request.body


ROUTES = (
    Route("GET", "/images/{image_id}/members", find_all, "get_members", target=_TARGET),
    Route("POST", "/images/{image_id}/members", create, "add_member", target=_TARGET),
    Route("GET", "/images/{image_id}/members/{member_id}", get, "get_member", target=_TARGET),
    Route("PUT", "/images/{image_id}/members/{member_id}", update, "modify_member", target=_TARGET),
    Route("DELETE", "/images/{image_id}/members/{member_id}", delete, "delete_member", target=_TARGET),
)
