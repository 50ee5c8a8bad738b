# SPDX-License-Identifier: Apache-2.0
"""`/allocations` and `/resource_providers/{uuid}/allocations`"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.placement.api.views import (
    NAME_KEY,
    UUID,
    UUID_KEY,
    body_schema,
    done,
    getter,
    newest,
    reply,
    writer,
)
from cumulet.services.placement.logic import allocations as logic
from cumulet.services.placement.logic import providers
from cumulet.services.placement.logic.allocations import Wish
from cumulet.services.placement.types import UNKNOWN_TYPE

PATH = "/allocations"
_BY_PROVIDER = (1, 12)  # from here on allocations are an object by provider, before a list
_ID = {"type": "string", "minLength": 1, "maxLength": 255, "since": (1, 8)}
_RESOURCES = {
    "type": "object",
    "minProperties": 1,
    "patternProperties": {NAME_KEY: {"type": "integer", "minimum": 1}},
    "additionalProperties": False,
}
_LIST = {
    "type": "array",
    "minItems": 1,
    "items": {
        "type": "object",
        "properties": {
            "resource_provider": {
                "type": "object",
                "properties": {"uuid": UUID},
                "additionalProperties": False,
                "required": ["uuid"],
            },
            "resources": _RESOURCES,
        },
        "required": ["resource_provider", "resources"],
        "additionalProperties": False,
    },
}
_OBJECT = {
    "type": "object",
    "patternProperties": {
        UUID_KEY: {
            "type": "object",
            "properties": {"generation": {"type": "integer"}, "resources": _RESOURCES},
            "required": ["resources"],
            "additionalProperties": False,
        }
    },
    "additionalProperties": False,
}
_MAPPINGS = {
    "type": "object",
    "minProperties": 1,
    "patternProperties": {"[a-zA-Z0-9_-]{1,64}": {"type": "array", "minItems": 1, "items": UUID}},
    "since": (1, 34),
}


def _wish(allocations: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of what one consumer shall hold."""
    return {
        "type": "object",
        "properties": {
            "allocations": allocations,
            "project_id": _ID,
            "user_id": _ID,
            "consumer_generation": {"type": ["integer", "null"], "since": (1, 28)},
            "mappings": _MAPPINGS,
            "consumer_type": {
                "type": "string",
                "pattern": NAME_KEY,
                "minLength": 1,
                "maxLength": 255,
                "since": (1, 38),
            },
        },
        "required": [
            "allocations",
            {"value": "project_id", "since": (1, 8)},
            {"value": "user_id", "since": (1, 8)},
            {"value": "consumer_generation", "since": (1, 28)},
            {"value": "consumer_type", "since": (1, 38)},
        ],
        "additionalProperties": False,
    }


# What consumers, by uuid, shall hold; the reshaper takes the same.
ALL_DOCUMENT = {"type": "object", "patternProperties": {UUID_KEY: _wish(_OBJECT)}, "additionalProperties": False}
_REPLACE_ALL = body_schema({**ALL_DOCUMENT, "minProperties": 1})
_NOT_EMPTY = {
    **_OBJECT,
    "minProperties": {"versions": [{"value": 1, "until": (1, 27)}, {"value": 0, "since": (1, 28)}]},
}
_REPLACE = body_schema(_wish({"versions": [{**_LIST, "until": (1, 11)}, {**_NOT_EMPTY, "since": _BY_PROVIDER}]}))


def of_consumer(request: Request) -> Reply:
    found = logic.of_consumer(request.cloud.db, request.params["consumer_uuid"])
    if found is None:
        return reply(request, 200, {"allocations": {}})
    shown: dict[str, Any] = {}
    for each in found.allocations:
        generation = found.providers[each.provider_uuid].generation
        one = shown.setdefault(each.provider_uuid, {"resources": {}, "generation": generation})
        one["resources"][each.resource_class] = each.used
    body: dict[str, Any] = {"allocations": shown}
    if request.version >= (1, 12):
        body |= {"project_id": found.consumer.project_id, "user_id": found.consumer.user_id}
    if request.version >= (1, 28):
        body["consumer_generation"] = found.consumer.generation
    if request.version >= (1, 38):
        body["consumer_type"] = found.consumer.type or UNKNOWN_TYPE
    return reply(request, 200, body, newest(each.created_at for each in found.allocations))


def of_provider(request: Request) -> Reply:
    provider_uuid = request.params["uuid"]
    try:
        provider = providers.get(request.cloud.db, provider_uuid)
    except NotFound as error:
        raise NotFound(f"Resource provider '{provider_uuid}' not found: {error.message}") from error
    found, consumers = logic.of_provider(request.cloud.db, provider_uuid)
    shown: dict[str, Any] = {}
    for each in found:
        one = shown.setdefault(each.consumer_uuid, {"resources": {}})
        one["resources"][each.resource_class] = each.used
        if request.version >= (1, 28):
            one["consumer_generation"] = consumers[each.consumer_uuid].generation
    body = {"allocations": shown, "resource_provider_generation": provider.generation}
    return reply(request, 200, body, newest(each.created_at for each in found))


def replace(request: Request) -> Reply:
    given = request.params["consumer_uuid"]
    if not ids.is_uuid(given):
        raise Invalid(f"Malformed consumer_uuid: {given}")
    consumer = str(uuid.UUID(given))
    about = f"Unable to allocate inventory for consumer {consumer}:"
    _replace(request, {consumer: wish(request, request.body)}, about)
    return done(request)


def replace_all(request: Request) -> Reply:
    wishes = wishes_in(request, request.body)
    _replace(request, wishes, "Unable to allocate inventory")
    return done(request)


def wishes_in(request: Request, bodies: Mapping[str, Any]) -> dict[str, Wish]:
    """What several consumers shall hold, by their uuids."""
    for consumer in bodies:
        if not ids.is_uuid(consumer):
            raise Invalid(f"Malformed consumer_uuid: {consumer}")
    return {consumer: wish(request, body) for consumer, body in bodies.items()}


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["consumer_uuid"])
    return done(request)


def wish(request: Request, body: Mapping[str, Any]) -> Wish:
    """What a body says that one consumer shall hold."""
    claims, settings = body["allocations"], request.cloud.settings.placement
    if request.version < _BY_PROVIDER and isinstance(claims, list):
        claims = {each["resource_provider"]["uuid"]: each for each in claims}
    return Wish(
        {provider: each["resources"] for provider, each in claims.items()},
        body.get("project_id", settings.incomplete_consumer_project_id),
        body.get("user_id", settings.incomplete_consumer_user_id),
        body.get("consumer_type"),
        body["consumer_generation"] if request.version >= (1, 28) else providers.UNSET,
    )


def _replace(request: Request, wishes: Mapping[str, Wish], about: str) -> None:
    logic.check_generations(request.cloud.db, wishes)
    logic.check_providers(request.cloud.db, wishes.values())
    try:
        request.cloud.db.write(lambda tx: logic.replace(tx, wishes))
    except NotFound as error:
        raise Invalid(f"{about} {error.message}") from error
    except Conflict as error:
        if error.code == "InvalidInventory":
            raise Conflict(f"Unable to allocate inventory: {error.message}") from error
        raise


ROUTES = (
    writer("POST", PATH, replace_all, "placement:allocations:manage", _REPLACE_ALL, since=(1, 13)),
    getter(f"{PATH}/{{consumer_uuid}}", of_consumer, "placement:allocations:list"),
    writer("PUT", f"{PATH}/{{consumer_uuid}}", replace, "placement:allocations:update", _REPLACE),
    Route("DELETE", f"{PATH}/{{consumer_uuid}}", delete, "placement:allocations:delete"),
    getter("/resource_providers/{uuid}/allocations", of_provider, "placement:resource_providers:allocations:list"),
)
