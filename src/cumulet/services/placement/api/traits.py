# SPDX-License-Identifier: Apache-2.0
"""`/traits` and `/resource_providers/{uuid}/traits`"""

from __future__ import annotations

from collections.abc import Sequence

from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.placement.api.views import (
    body_schema,
    check_query,
    done,
    getter,
    newest,
    query_schema,
    reply,
    writer,
)
from cumulet.services.placement.logic import providers, standard
from cumulet.services.placement.logic import traits as logic
from cumulet.services.placement.logic.traits import Named

PATH = "/traits"
OF_PROVIDER = "/resource_providers/{uuid}/traits"
_SINCE = (1, 6)
_QUERY = query_schema({"name": {"type": "string"}, "associated": {"type": "string"}})
_REPLACE = body_schema(
    {
        "type": "object",
        "properties": {
            "traits": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 255}},
            "resource_provider_generation": {"type": "integer"},
        },
        "required": ["traits", "resource_provider_generation"],
        "additionalProperties": False,
    }
)


def find_all(request: Request) -> Reply:
    check_query(request, _QUERY)
    names, prefix = _by_name(request)
    associated = request.query.get("associated")
    if associated is not None and associated.lower() not in ("true", "false"):
        raise Invalid('The query parameter "associated" only accepts "true" or "false"')
    wanted = None if associated is None else associated.lower() == "true"
    return _all(request, logic.find_all(request.cloud.db, names=names, prefix=prefix, associated=wanted))


def get(request: Request) -> Reply:
    _, made = logic.get(request.cloud.db, request.params["name"])
    return reply(request, 204, modified=made)


def create(request: Request) -> Reply:
    name = request.params["name"]
    if not standard.is_custom(name):
        raise Invalid(
            "The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix "
            '"CUSTOM_" and use following characters: "A"-"Z", "0"-"9" and "_"'
        )
    made, is_new = logic.create(request.cloud, name)
    return reply(request, 201 if is_new else 204, modified=made, location=f"{PATH}/{name}")


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["name"])
    return done(request)


def of_provider(request: Request) -> Reply:
    uuid = request.params["uuid"]
    try:
        provider = providers.get(request.cloud.db, uuid)
    except NotFound as error:
        raise NotFound(f"No resource provider with uuid {uuid} found: {error.message}") from error
    return _all(request, logic.of_provider(request.cloud.db, uuid), provider.generation)


def replace(request: Request) -> Reply:
    body, uuid = request.body, request.params["uuid"]
    provider = logic.replace(request.cloud, uuid, body["traits"], body["resource_provider_generation"])
    return _all(request, logic.of_provider(request.cloud.db, uuid), provider.generation)


def delete_all(request: Request) -> Reply:
    logic.replace(request.cloud, request.params["uuid"], [], None)
    return done(request)


def _by_name(request: Request) -> tuple[list[str] | None, str]:
    text = request.query.get("name")
    if text is None:
        return None, ""
    operator, colon, value = text.partition(":")
    if not colon:
        raise Invalid(
            "Badly formatted name parameter. Expected name query string parameter in form: "
            f'?name=[in|startswith]:[name1,name2|prefix]. Got: "{text}"'
        )
    return value.split(",") if operator == "in" else None, value if operator == "startswith" else ""


def _all(request: Request, traits: Sequence[Named], generation: int | None = None) -> Reply:
    body: dict[str, object] = {"traits": [name for name, _ in traits]}
    if generation is not None:
        body["resource_provider_generation"] = generation
    return reply(request, 200, body, newest(made for _, made in traits))


_RULE = "placement:resource_providers:traits"
ROUTES = (
    getter(PATH, find_all, "placement:traits:list", since=_SINCE),
    Route("GET", f"{PATH}/{{name}}", get, "placement:traits:show", since=_SINCE),
    Route("PUT", f"{PATH}/{{name}}", create, "placement:traits:update", since=_SINCE),
    Route("DELETE", f"{PATH}/{{name}}", delete, "placement:traits:delete", since=_SINCE),
    getter(OF_PROVIDER, of_provider, f"{_RULE}:list", since=_SINCE),
    writer("PUT", OF_PROVIDER, replace, f"{_RULE}:update", _REPLACE, since=_SINCE),
    Route("DELETE", OF_PROVIDER, delete_all, f"{_RULE}:delete", since=_SINCE),
)
