# SPDX-License-Identifier: Apache-2.0
"""`/resource_providers/{uuid}/inventories`"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel.errors import Conflict, Invalid, NotAllowed, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.placement.api.views import NAME_KEY, done, getter, newest, part_schema, reply, writer
from cumulet.services.placement.logic import inventories as logic
from cumulet.services.placement.logic import providers
from cumulet.services.placement.types import MAX_INT, Inventory, Provider

PATH = "/resource_providers/{uuid}/inventories"
_LARGEST_RATIO = 3.40282e38  # of a single-precision float
_FIELDS = {
    "total": {"type": "integer", "maximum": MAX_INT, "minimum": 1},
    "reserved": {"type": "integer", "maximum": MAX_INT, "minimum": 0},
    "min_unit": {"type": "integer", "maximum": MAX_INT, "minimum": 1},
    "max_unit": {"type": "integer", "maximum": MAX_INT, "minimum": 1},
    "step_size": {"type": "integer", "maximum": MAX_INT, "minimum": 1},
    "allocation_ratio": {"type": "number", "maximum": _LARGEST_RATIO},
    "resource_provider_generation": {"type": "integer"},
}


def _document(*required: str, **further: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**_FIELDS, **further},
        "required": list(required),
        "additionalProperties": False,
    }


# What a provider shall have in all; the reshaper takes the same.
ALL_DOCUMENT = {
    "type": "object",
    "properties": {
        "resource_provider_generation": {"type": "integer"},
        "inventories": {
            "type": "object",
            "patternProperties": {NAME_KEY: _document("total")},
            "additionalProperties": False,
        },
    },
    "required": ["resource_provider_generation", "inventories"],
    "additionalProperties": False,
}
_CREATE = part_schema(_document("total", "resource_class", resource_class={"type": "string", "pattern": NAME_KEY}))
_UPDATE = part_schema(_document("total", "resource_provider_generation"))
_REPLACE = part_schema(ALL_DOCUMENT)


def find_all(request: Request) -> Reply:
    provider = _provider(request)
    return _all(request, provider, logic.of_provider(request.cloud.db, provider.uuid).values())


def get(request: Request) -> Reply:
    provider, name = _provider(request), request.params["resource_class"]
    found = logic.of_provider(request.cloud.db, provider.uuid).get(name)
    if found is None:
        raise NotFound(f"No inventory of class {name} for {provider.uuid}")
    return _one(request, 200, provider, found)


def create(request: Request) -> Reply:
    new = logic.make(request.params["uuid"], request.body["resource_class"], request.body)
    providers.get(request.cloud.db, new.provider_uuid)
    try:
        logic.check_capacity([new], may_be_full=request.version >= (1, 26))
        provider = logic.add(request.cloud, new)
    except (Invalid, NotFound) as error:
        about = f"Unable to create inventory for resource provider {new.provider_uuid}"
        raise Invalid(f"{about}: {error.message}") from error
    return _one(request, 201, provider, new)


def update(request: Request) -> Reply:
    new = logic.make(request.params["uuid"], request.params["resource_class"], request.body)
    provider = providers.get(request.cloud.db, new.provider_uuid)
    logic.check_generation(provider, request.body["resource_provider_generation"])
    _check_capacity(request, new.provider_uuid, [new])
    provider = logic.update(request.cloud, new, request.body["resource_provider_generation"])
    return _one(request, 200, provider, new)


def replace(request: Request) -> Reply:
    provider = providers.get(request.cloud.db, request.params["uuid"])
    generation = request.body["resource_provider_generation"]
    logic.check_generation(provider, generation)
    new = from_body(provider.uuid, request.body)
    _check_capacity(request, provider.uuid, new)
    try:
        provider = logic.replace(request.cloud, provider.uuid, new, generation)
    except NotFound as error:
        about = f"Unknown resource class in inventory for resource provider {provider.uuid}"
        raise Invalid(f"{about}: {error.message}") from error
    except Conflict as error:
        if error.code == "InventoryInUse":
            raise Conflict(f"update conflict: {error.message}", code=error.code) from error
        raise
    return _all(request, provider, new)


def delete_all(request: Request) -> Reply:
    logic.replace(request.cloud, providers.get(request.cloud.db, request.params["uuid"]).uuid, [], None)
    return done(request)


def refuse_delete_all(request: Request) -> Reply:
    raise NotAllowed("", headers={"Allow": "GET, POST, PUT"})


def delete(request: Request) -> Reply:
    uuid, name = request.params["uuid"], request.params["resource_class"]
    providers.get(request.cloud.db, uuid)
    try:
        logic.delete(request.cloud, uuid, name)
    except Conflict as error:
        about = f"Unable to delete inventory of class {name}"
        raise Conflict(f"{about}: {error.message}", code="ConcurrentUpdate") from error
    except NotFound as error:
        raise NotFound(f"No inventory of class {name} found for delete: {error.message}") from error
    return done(request)


def from_body(uuid: str, body: Mapping[str, Any]) -> list[Inventory]:
    """What `ALL_DOCUMENT` says of a provider."""
    return [logic.make(uuid, name, fields) for name, fields in body["inventories"].items()]


def view(inventory: Inventory) -> dict[str, Any]:
    return {name: getattr(inventory, name) for name in logic.FIELDS}


def _provider(request: Request) -> Provider:
    uuid = request.params["uuid"]
    try:
        return providers.get(request.cloud.db, uuid)
    except NotFound as error:
        raise NotFound(f"No resource provider with uuid {uuid} found : {error.message}") from error


def _check_capacity(request: Request, uuid: str, inventories: Iterable[Inventory]) -> None:
    try:
        logic.check_capacity(inventories, may_be_full=request.version >= (1, 26))
    except Invalid as error:
        raise Invalid(f"Unable to update inventory for resource provider {uuid}: {error.message}") from error


def _one(request: Request, status: int, provider: Provider, inventory: Inventory) -> Reply:
    shown = view(inventory)
    if provider.generation:
        shown["resource_provider_generation"] = provider.generation
    location = f"/resource_providers/{provider.uuid}/inventories/{inventory.resource_class}" if status == 201 else ""
    return reply(request, status, shown, inventory.updated_at or inventory.created_at, location)


def _all(request: Request, provider: Provider, inventories: Iterable[Inventory]) -> Reply:
    shown = {each.resource_class: each for each in inventories}
    body = {
        "resource_provider_generation": provider.generation,
        "inventories": {name: view(each) for name, each in shown.items()},
    }
    return reply(request, 200, body, newest(each.updated_at or each.created_at for each in shown.values()))


_RULE = "placement:resource_providers:inventories"
ROUTES = (
    getter(PATH, find_all, f"{_RULE}:list"),
    writer("POST", PATH, create, f"{_RULE}:create", _CREATE),
    writer("PUT", PATH, replace, f"{_RULE}:update", _REPLACE),
    Route("DELETE", PATH, delete_all, f"{_RULE}:delete", since=(1, 5)),
    Route("DELETE", PATH, refuse_delete_all, f"{_RULE}:delete", until=(1, 4)),
    getter(f"{PATH}/{{resource_class}}", get, f"{_RULE}:show"),
    writer("PUT", f"{PATH}/{{resource_class}}", update, f"{_RULE}:update", _UPDATE),
    Route("DELETE", f"{PATH}/{{resource_class}}", delete, f"{_RULE}:delete"),
)
