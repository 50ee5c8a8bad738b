# SPDX-License-Identifier: Apache-2.0
"""`/usages` and `/resource_providers/{uuid}/usages`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.services.placement.api.views import NAME_KEY, check_query, getter, query_schema, reply
from cumulet.services.placement.logic import inventories, providers
from cumulet.services.placement.logic import usages as logic

_ID = {"type": "string", "minLength": 1, "maxLength": 255}
_QUERY = query_schema(
    {
        "project_id": _ID,
        "user_id": _ID,
        "consumer_type": {**_ID, "pattern": f"{NAME_KEY}|^all|^unknown$", "since": (1, 38)},
    },
    required=["project_id"],
)


def of_provider(request: Request) -> Reply:
    uuid = request.params["uuid"]
    try:
        provider = providers.get(request.cloud.db, uuid)
    except NotFound as error:
        raise NotFound(f"No resource provider with uuid {uuid} found: {error.message}") from error
    used = logic.of_provider(request.cloud.db, uuid)
    usages = {name: used.get(name, 0) for name in inventories.of_provider(request.cloud.db, uuid)}
    return reply(request, 200, {"resource_provider_generation": provider.generation, "usages": usages})


def of_project(request: Request) -> Reply:
    check_query(request, _QUERY)
    query = request.query
    usages: dict[str, Any]
    if request.version >= (1, 38):
        usages = logic.by_consumer_type(
            request.cloud.db, query["project_id"], query.get("user_id"), query.get("consumer_type")
        )
    else:
        usages = logic.of_project(request.cloud.db, query["project_id"], query.get("user_id"))
    return reply(request, 200, {"usages": usages})


def _project(request: Request) -> dict[str, str | None]:
    return {"project_id": request.query.get("project_id")}


ROUTES = (
    getter("/resource_providers/{uuid}/usages", of_provider, "placement:resource_providers:usages"),
    getter("/usages", of_project, "placement:usages", since=(1, 9), target=_project),
)
