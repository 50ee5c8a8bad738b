# SPDX-License-Identifier: Apache-2.0
"""`/resource_providers/{uuid}/aggregates`"""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request
from cumulet.services.placement.api.views import UUID, getter, part_schema, reply, usual, writer
from cumulet.services.placement.logic import aggregates as logic
from cumulet.services.placement.logic import providers
from cumulet.services.placement.types import Provider

PATH = "/resource_providers/{uuid}/aggregates"
_SINCE = (1, 1)
_WITH_GENERATION = (1, 19)
_LIST = {"type": "array", "items": UUID, "uniqueItems": True}
_REPLACE_LIST = part_schema(_LIST)
_REPLACE = part_schema(
    {
        "type": "object",
        "properties": {"aggregates": _LIST, "resource_provider_generation": {"type": "integer"}},
        "required": ["aggregates", "resource_provider_generation"],
        "additionalProperties": False,
    }
)


def find_all(request: Request) -> Reply:
    provider = providers.get(request.cloud.db, request.params["uuid"])
    return _all(request, provider, logic.of_provider(request.cloud.db, provider.uuid))


def replace(request: Request) -> Reply:
    body = request.body
    provider = logic.replace(
        request.cloud, request.params["uuid"], usual(body["aggregates"]), body["resource_provider_generation"]
    )
    return _all(request, provider, body["aggregates"])


def replace_list(request: Request) -> Reply:
    provider = logic.replace(request.cloud, request.params["uuid"], usual(request.body), None)
    return _all(request, provider, request.body)


def _all(request: Request, provider: Provider, aggregates: list[str]) -> Reply:
    body: dict[str, object] = {"aggregates": aggregates}
    if request.version >= _WITH_GENERATION:
        body["resource_provider_generation"] = provider.generation
    return reply(request, 200, body)


_RULE = "placement:resource_providers:aggregates"
ROUTES = (
    getter(PATH, find_all, f"{_RULE}:list", since=_SINCE),
    writer("PUT", PATH, replace_list, f"{_RULE}:update", _REPLACE_LIST, since=_SINCE, until=(1, 18)),
    writer("PUT", PATH, replace, f"{_RULE}:update", _REPLACE, since=_WITH_GENERATION),
)
