# SPDX-License-Identifier: Apache-2.0
"""Several gateways of a router: adding, changing and removing them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network import events
from cumulet.services.network.api import attributes as parsing
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import check_revision, tell, worded
from cumulet.services.network.api.routers import ROUTERS
from cumulet.services.network.logic import access, concern
from cumulet.services.network.logic import gateways as logic
from cumulet.services.network.policy import RULES
from cumulet.services.network.store import common
from cumulet.services.network.types import Router

_BODY = {
    "external_gateways": Attribute(put=True, default=ABSENT, convert=check.nothing_to_list, check=check.gateway_infos)
}
Verb = Callable[[Tx, Context, Router, list[dict[str, Any]]], None]


def add(request: Request) -> Reply:
    return _change(request, "add_external_gateways", logic.add)


def update(request: Request) -> Reply:
    return _change(request, "update_external_gateways", logic.update)


def remove(request: Request) -> Reply:
    return _change(request, "remove_external_gateways", logic.remove)


def _change(request: Request, rule: str, act: Verb) -> Reply:
    """Have it done with the list that the body holds, if it holds one; answers with the whole router."""
    wanted = parsing.read_change(request.ctx, request.body, "router", _BODY).get("external_gateways")
    key = _load(request, rule, wanted or [])["id"]

    def write(tx: Tx) -> Item:
        check_revision(request, tx, Router, key)
        router = access.get(tx, request.ctx, Router, key)
        if wanted is not None:
            tell(request.cloud, tx, concern.of(tx, Router, [key]))
            act(tx, request.ctx, router, wanted)
            common.touch(tx, Router, key)
        item = ROUTERS.seen(request, tx, [access.must(tx, Router, key)])[0]
        return ROUTERS.told(request, tx, events.updated, item)

    return Reply(200, {"router": ROUTERS.shown(request, [request.cloud.db.write(write)])[0]})


def _load(request: Request, rule: str, wanted: list[dict[str, Any]]) -> Item:
    """The router, if the caller may do this to it, and say all that is said of the gateways."""
    item = ROUTERS.load(request)
    whole = f"{rule}:external_gateways"
    keys = dict.fromkeys(name for info in wanted for name in info)
    parts = [whole, *(f"{whole}:{name}" for name in keys if f"{whole}:{name}" in RULES)] if wanted else []
    if not all(request.allows(each, ROUTERS.target(item)) for each in (rule, *parts)):
        raise Forbidden(f"{worded(rule, [parts] if parts else [])} is disallowed by policy", code="PolicyNotAuthorized")
    return item


FAMILY = Family(
    routes=(
        Route("PUT", "/routers/{id}/add_external_gateways", add, ANYONE),
        Route("PUT", "/routers/{id}/update_external_gateways", update, ANYONE),
        Route("PUT", "/routers/{id}/remove_external_gateways", remove, ANYONE),
    ),
    extensions={
        "enable-default-route-bfd": ("Enable Default Route BFD", "2023-02-27T00:00:00-00:00"),
        "enable-default-route-ecmp": ("Enable Default Route ECMP", "2023-02-27T00:00:00-00:00"),
        "external-gateway-multihoming": ("Neutron L3 External Gateway Multihoming", "2023-01-18T00:00:00-00:00"),
        "router-enable-snat": (
            'Exposes the router "enable_snat" read-only configuration flag',
            "2025-09-18T18:00:00-00:00",
        ),
    },
)
