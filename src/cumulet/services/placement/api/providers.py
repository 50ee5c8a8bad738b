# SPDX-License-Identifier: Apache-2.0
"""`/resource_providers`"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.placement.api import parameters
from cumulet.services.placement.api.views import (
    UUID,
    body_schema,
    check_query,
    done,
    getter,
    newest,
    part_schema,
    query_schema,
    reply,
    writer,
)
from cumulet.services.placement.logic import classes, traits
from cumulet.services.placement.logic import providers as logic
from cumulet.services.placement.types import Provider

PATH = "/resource_providers"
_NAME = {"type": "string", "maxLength": 200}
_PARENT = {"anyOf": [UUID, {"type": "null"}], "since": (1, 14)}
_CREATE = body_schema(
    {
        "type": "object",
        "properties": {"name": _NAME, "uuid": UUID, "parent_provider_uuid": _PARENT},
        "required": ["name"],
        "additionalProperties": False,
    }
)
_UPDATE = part_schema(
    {
        "type": "object",
        "properties": {"name": _NAME, "parent_provider_uuid": _PARENT},
        "required": ["name"],
        "additionalProperties": False,
    }
)
_QUERY = query_schema(
    {
        "name": {"type": "string"},
        "uuid": UUID,
        "member_of": {"type": "string", "since": (1, 3)},
        "resources": {"type": "string", "since": (1, 4)},
        "in_tree": {**UUID, "since": (1, 14)},
        "required": {"type": "string", "since": (1, 18)},
    }
)


def find_all(request: Request) -> Reply:
    check_query(request, _QUERY)
    required, forbidden = parameters.traits(request)
    member_of, not_member_of = parameters.aggregates(request)
    resources = request.query.get("resources")
    filters = logic.Filters(
        name=request.query.get("name") or None,
        uuid=request.query.get("uuid") or None,
        in_tree=request.query.get("in_tree") or None,
        resources=parameters.resources(resources) if resources is not None else {},
        required=required,
        forbidden=forbidden,
        member_of=member_of,
        not_member_of=not_member_of,
    )
    try:
        classes.check(request.cloud.db, filters.resources)
        traits.check(request.cloud.db, forbidden.union(*required))
    except NotFound as error:
        where = 'trait(s) in "required"' if error.code == "TraitNotFound" else "resource class in resources"
        raise Invalid(f"Invalid {where} parameter: {error.message}") from error
    found = logic.find_all(request.cloud.db, filters)
    modified = newest(each.updated_at or each.created_at for each in found)
    return reply(request, 200, {"resource_providers": [view(request, each) for each in found]}, modified)


def get(request: Request) -> Reply:
    return _shown(request, logic.get(request.cloud.db, request.params["uuid"]))


def create(request: Request) -> Reply:
    body = request.body
    own = str(uuid.UUID(body["uuid"])) if body.get("uuid") else ids.new_uuid()
    new = logic.create(request.cloud, own, body["name"], body.get("parent_provider_uuid"))
    location = f"{PATH}/{own}"
    if request.version < (1, 20):
        return done(request, 201, location)
    return _shown(request, new, location)


def update(request: Request) -> Reply:
    body = request.body
    before, changed = logic.update(
        request.cloud,
        request.params["uuid"],
        body["name"],
        body.get("parent_provider_uuid", logic.UNSET),
        may_move=request.version >= (1, 37),
    )
    shown = _shown(request, changed, modified=before.updated_at)
    if before.updated_at is None:
        shown.headers.pop("Last-Modified", None)  # Placement tells the time of the change before this one
    return shown


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["uuid"])
    return done(request)


def view(request: Request, provider: Provider) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "uuid": provider.uuid,
        "name": provider.name,
        "generation": provider.generation,
        "links": _links(request, provider),
    }
    if request.version >= (1, 14):
        shown["parent_provider_uuid"] = provider.parent_uuid
        shown["root_provider_uuid"] = provider.root_uuid
    return shown


def _links(request: Request, provider: Provider) -> list[dict[str, str]]:
    own = f"{request.api.root}{PATH}/{provider.uuid}"
    since = {"inventories": (1, 0), "usages": (1, 0), "aggregates": (1, 1), "traits": (1, 6), "allocations": (1, 11)}
    below = [{"rel": name, "href": f"{own}/{name}"} for name, version in since.items() if request.version >= version]
    return [{"rel": "self", "href": own}, *below]


def _shown(request: Request, provider: Provider, location: str = "", modified: datetime | None = None) -> Reply:
    modified = modified or provider.updated_at or provider.created_at
    return reply(request, 200, view(request, provider), modified, location)


ROUTES = (
    getter(PATH, find_all, "placement:resource_providers:list"),
    writer("POST", PATH, create, "placement:resource_providers:create", _CREATE),
    getter(f"{PATH}/{{uuid}}", get, "placement:resource_providers:show"),
    writer("PUT", f"{PATH}/{{uuid}}", update, "placement:resource_providers:update", _UPDATE),
    Route("DELETE", f"{PATH}/{{uuid}}", delete, "placement:resource_providers:delete"),
)
