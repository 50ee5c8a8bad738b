# SPDX-License-Identifier: Apache-2.0
"""`/messages`: what users are told of work that failed after its request was answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.services.block_storage.api import common
from cumulet.services.block_storage.api.common import route
from cumulet.services.block_storage.api.views import moment
from cumulet.services.block_storage.logic import messages as logic
from cumulet.services.block_storage.types import Message

SINCE = (3, 3)
SORT_KEYS = ("id", "created_at", "level", "request_id", "resource_type")
_FILTERS = ("resource_uuid", "resource_type", "event_id", "request_id", "message_level")
_COLUMNS = {"resource_uuid": "resource_id", "message_level": "level"}


def find_all(request: Request) -> Reply:
    page = common.page_of(request, SORT_KEYS)
    asked = common.filters(request, _FILTERS, resource="message")
    event = asked.pop("event_id", None)
    exact = {_COLUMNS.get(name, name): value for name, value in asked.items() if not name.endswith("~")}
    try:
        found = logic.find_page(request.cloud.db, request.ctx, page, exact)
    except LookupError as error:
        raise NotFound(f"Message {error.args[0]} could not be found.", code="MessageNotFound") from error
    rows = [one for one in found if event is None or logic.event_id(one) == event]
    return Reply(200, common.listing(request, "messages", rows, [view(request, one) for one in rows], page))


def get(request: Request) -> Reply:
    found = logic.get(request.cloud.db, request.ctx, request.params["message_id"])
    return Reply(200, {"message": view(request, found)})


def delete(request: Request) -> Reply:
    request.cloud.db.write(lambda tx: logic.delete(tx, request.ctx, request.params["message_id"]))
    return Reply(204)


def target(request: Request) -> Mapping[str, Any]:
    """What a rule on one message is judged on; NotFound where the caller may not see it."""
    return {"project_id": logic.get(request.cloud.db, request.ctx, request.params["message_id"]).project_id}


def view(request: Request, one: Message) -> dict[str, Any]:
    return {
        "id": one.id,
        "event_id": logic.event_id(one),
        "user_message": logic.text(one),
        "message_level": one.level,
        "created_at": moment(one.created_at),
        "guaranteed_until": moment(one.expires_at),
        "request_id": one.request_id,
        "resource_type": one.resource_type,
        "resource_uuid": one.resource_id,
        "links": common.links(request, "messages", one.id),
    }


ROUTES = (
    route("GET", "/messages", find_all, "message:get_all", since=SINCE),
    route("GET", "/messages/{message_id}", get, "message:get", target=target, since=SINCE),
    route("DELETE", "/messages/{message_id}", delete, "message:delete", target=target, since=SINCE),
)
