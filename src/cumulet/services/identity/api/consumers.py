# SPDX-License-Identifier: Apache-2.0
"""`/v3/OS-OAUTH1/consumers`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.identity.api.listing import collection
from cumulet.services.identity.api.views import TEXT, self_link
from cumulet.services.identity.logic import consumers as logic
from cumulet.services.identity.logic import oauth1_secrets
from cumulet.services.identity.types import Consumer

_CONSUMER = {"type": "object", "properties": {"description": TEXT}}
_CREATE = Schema({"type": "object", "properties": {"consumer": _CONSUMER}})
_UPDATE = Schema(
    {
        "type": "object",
        "properties": {"consumer": {**_CONSUMER, "not": {"required": ["secret"]}, "minProperties": 1}},
        "required": ["consumer"],
    }
)


def find_all(request: Request) -> Reply:
    return collection(request, "consumers", [view(request, one) for one in logic.find_all(request.cloud.db)])


def get(request: Request) -> Reply:
    return Reply(200, {"consumer": view(request, logic.get(request.cloud.db, request.params["consumer_id"]))})


def create(request: Request) -> Reply:
    """The secret is told only now."""
    new = logic.create(request.cloud, request.body.get("consumer", {}))
    return Reply(201, {"consumer": {**view(request, new), "secret": oauth1_secrets.of(request.cloud, new)}})


def update(request: Request) -> Reply:
    consumer = logic.update(request.cloud, request.params["consumer_id"], request.body["consumer"])
    return Reply(200, {"consumer": view(request, consumer)})


def delete(request: Request) -> Reply:
    logic.delete(request.cloud, request.params["consumer_id"])
    return Reply(204)


def view(request: Request, consumer: Consumer) -> dict[str, Any]:
    return {
        **consumer.extra,
        "id": consumer.id,
        "description": consumer.description,
        "links": self_link(request, "OS-OAUTH1/consumers", consumer.id),
    }


_ALL = "/OS-OAUTH1/consumers"
_ONE = _ALL + "/{consumer_id}"

ROUTES = (
    Route("GET", _ALL, find_all, "identity:list_consumers"),
    Route("POST", _ALL, create, "identity:create_consumer", body=_CREATE),
    Route("GET", _ONE, get, "identity:get_consumer"),
    Route("PATCH", _ONE, update, "identity:update_consumer", body=_UPDATE),
    Route("DELETE", _ONE, delete, "identity:delete_consumer"),
)
