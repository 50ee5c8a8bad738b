# SPDX-License-Identifier: Apache-2.0
"""`/v1/orders`"""

from __future__ import annotations

from cumulet.kernel.errors import NotAllowed
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Phrase, Refusal, Schema
from cumulet.services.key_manager.api import targets, views
from cumulet.services.key_manager.api.common import listing, page, ref, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.api.secrets import PROPERTIES
from cumulet.services.key_manager.logic import orders
from cumulet.services.key_manager.logic.refusals import mismatch


def _say(refusal: Refusal) -> str:
    """What is wrong with the meta is told as of the secret that it describes."""
    if len(refusal.path) > 1:
        return mismatch(orders.META, refusal.detail, str(refusal.path[1])).message
    return phrase(orders.SCHEMA, required_is_named=True).say(refusal)


_CREATE = Schema(
    {
        "type": "object",
        "properties": {
            "type": {"type": "string", "enum": ["key", "asymmetric"]},
            "meta": {"type": "object", "properties": PROPERTIES},
        },
        "required": ["type", "meta"],
    },
    phrase=Phrase(_say),
)


def find_all(request: Request) -> Reply:
    wanted = page(request)
    found, total = orders.find_all(request.cloud, request.ctx, request.query.get("meta"), wanted)
    return Reply(200, listing(request, "orders", [views.order(request, one) for one in found], total, wanted))


def create(request: Request) -> Reply:
    made = orders.create(request.cloud, request.ctx, words(request))
    url = ref(request, "orders", made.id)
    return Reply(202, {"order_ref": url}, {"Location": url})


def update(request: Request) -> Reply:
    raise NotAllowed("Order update is not supported.", said=True)


def get(request: Request) -> Reply:
    return Reply(200, views.order(request, orders.get(request.cloud.db, request.ctx, request.params["order_id"])))


def delete(request: Request) -> Reply:
    orders.delete(request.cloud, request.ctx, request.params["order_id"])
    return Reply(204)


ROUTES = (
    Route("GET", "/orders", find_all, "orders:get", target=targets.anything),
    Route("POST", "/orders", create, "orders:post", body=_CREATE, target=targets.anything),
    Route("PUT", "/orders", update, "orders:put", target=targets.anything),
    Route("GET", "/orders/{order_id}", get, "order:get", target=targets.order),
    Route("DELETE", "/orders/{order_id}", delete, "order:delete", target=targets.order),
)
