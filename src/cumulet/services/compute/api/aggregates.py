# SPDX-License-Identifier: Apache-2.0
"""`/os-aggregates`"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import common, fields
from cumulet.services.compute.logic import aggregates as logic
from cumulet.services.compute.types import Aggregate

_RULE = "os_compute_api:os-aggregates"
_ONE = "/os-aggregates/{aggregate_id}"
_ZONE: fields.Fields = {
    "oneOf": [{"type": "string", "format": "az_name", "minLength": 1, "maxLength": 255}, {"type": "null"}]
}
_LOOSE_NAME = {**fields.NAME, "format": "name_with_leading_trailing_spaces"}
_CREATE = fields.body("aggregate", {"name": fields.NAME, "availability_zone": _ZONE}, ["name"])
_UPDATE = fields.body(
    "aggregate",
    {"name": _LOOSE_NAME, "availability_zone": _ZONE},
    anyOf=[{"required": ["name"]}, {"required": ["availability_zone"]}],
)
_METADATA = fields.body("set_metadata", {"metadata": fields.METADATA_OR_NULL}, ["metadata"])
_IMAGE = {"type": "object", "properties": {"id": fields.UUID}, "additionalProperties": False, "required": ["id"]}
_IMAGES = Schema(fields.wrapped("cache", {"type": ["array"], "minItems": 1, "items": _IMAGE}))
_NOTHING = fields.query({}, closed_since=(2, 102))


def find_all(request: Request) -> Reply:
    return Reply(200, {"aggregates": [view(request, each) for each in logic.find_all(request.cloud.db)]})


def get(request: Request) -> Reply:
    return _shown(request, logic.get(request.cloud.db, _id(request)))


def create(request: Request) -> Reply:
    body = request.body["aggregate"]
    made = logic.create(request.cloud, body["name"].strip(), body.get("availability_zone"))
    found = view(request, made)
    del found["hosts"], found["metadata"]
    return Reply(200, {"aggregate": found})


def update(request: Request) -> Reply:
    body = dict(request.body["aggregate"])
    if "name" in body:
        body["name"] = body["name"].strip()
    return _shown(request, logic.update(request.cloud, _id(request), body))


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, _id(request))
    return Reply(200)


def add_host(request: Request) -> Reply:
    return _shown(request, logic.add_host(request.cloud, _id(request), request.body["add_host"]["host"]))


def remove_host(request: Request) -> Reply:
    aggregate_id, host = _id(request), request.body["remove_host"]["host"]
    try:
        return _shown(request, logic.remove_host(request.cloud, aggregate_id, host))
    except NotFound as error:
        raise NotFound(f"Cannot remove host {host} in aggregate {aggregate_id}", code=error.code) from error


def set_metadata(request: Request) -> Reply:
    metadata = request.body["set_metadata"]["metadata"]
    return _shown(request, logic.set_metadata(request.cloud, _id(request), metadata))


def cache_images(request: Request) -> Reply:
    aggregate_id = _id(request)
    image_ids = [each["id"] for each in request.body["cache"]]
    if len(set(image_ids)) < len(image_ids):
        raise Invalid("Duplicate images in request")
    logic.cache_images(request.cloud, request.ctx, aggregate_id, image_ids)
    return Reply(202)


def view(request: Request, aggregate: Aggregate) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": aggregate.id,
        "name": aggregate.name,
        "availability_zone": aggregate.metadata.get(logic.ZONE),
        "hosts": aggregate.hosts,
        "metadata": aggregate.metadata,
        "created_at": common.micro(aggregate.created_at),
        "updated_at": common.micro(aggregate.updated_at),
        "deleted": False,
        "deleted_at": None,
    }
    if request.version >= (2, 41):
        found["uuid"] = aggregate.uuid
    return found


def _shown(request: Request, aggregate: Aggregate) -> Reply:
    return Reply(200, {"aggregate": view(request, aggregate)})


def _id(request: Request) -> str:
    found = request.params["aggregate_id"]
    if not (found.isascii() and found.removeprefix("-").isdigit()):
        raise Invalid("Invalid input received: id must be an integer", code="InvalidInput")
    return found


def _action(name: str, handler: Callable[[Request], Reply], body: Schema) -> Route:
    return Route("POST", f"{_ONE}/action", handler, f"{_RULE}:{name}", body=body, action=name)


def _host(name: str) -> Schema:
    return fields.body(name, {"host": fields.HOST_NAME}, ["host"])


ROUTES = (
    Route("GET", "/os-aggregates", find_all, f"{_RULE}:index", query=_NOTHING),
    Route("POST", "/os-aggregates", create, f"{_RULE}:create", body=_CREATE),
    Route("GET", _ONE, get, f"{_RULE}:show", query=_NOTHING),
    Route("PUT", _ONE, update, f"{_RULE}:update", body=_UPDATE),
    Route("DELETE", _ONE, delete, f"{_RULE}:delete"),
    _action("add_host", add_host, _host("add_host")),
    _action("remove_host", remove_host, _host("remove_host")),
    _action("set_metadata", set_metadata, _METADATA),
    Route("POST", f"{_ONE}/images", cache_images, "compute:aggregates:images", body=_IMAGES, since=(2, 81)),
)
