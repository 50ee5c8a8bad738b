# SPDX-License-Identifier: Apache-2.0
"""Routers over HTTP, with the actions that add and remove their interfaces and routes."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network import events
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource, check_revision, tell
from cumulet.services.network.logic import access, concern, interfaces, zones
from cumulet.services.network.logic import routers as logic
from cumulet.services.network.store import addresses
from cumulet.services.network.types import Router

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "admin_state_up": common.ADMIN_STATE,
    "status": common.STATUS,
    "external_gateway_info": Attribute(
        post=True, put=True, default=None, check=check.gateway_info, enforce=True, filters=False
    ),
    "routes": Attribute(put=True, default=ABSENT, convert=check.none_to_list, check=check.host_routes, filters=False),
    "availability_zone_hints": common.ZONE_HINTS,
    "availability_zones": Attribute(filters=False),
    **common.STANDARD,
    **common.TAGS,
}


def render(source: Source, rows: list[Router]) -> list[Item]:
    held = addresses.of_ports(source, [row.gateway_port_id for row in rows if row.gateway_port_id])
    there = zones.of_routers(source, rows)
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "admin_state_up": row.admin_state_up,
            "status": row.status,
            "external_gateway_info": (
                {
                    "network_id": row.gateway_network_id,
                    "enable_snat": row.enable_snat,
                    "external_fixed_ips": [
                        {"subnet_id": item.subnet_id, "ip_address": item.address} for item in held[row.gateway_port_id]
                    ],
                }
                if row.gateway_port_id is not None
                else None
            ),
            "routes": row.routes,
            "availability_zone_hints": row.availability_zone_hints,
            "availability_zones": there.get(row.id, []),
            "tags": row.tags,
            **common.standard(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[Router]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


ROUTERS = Resource(
    name="router",
    collection="routers",
    kind=Router,
    parts=parts.of(Router),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters=common.TAG_FILTERS,
)


def add_interface(request: Request) -> Reply:
    return _with_interface(request, "add_router_interface", "create", interfaces.add)


def remove_interface(request: Request) -> Reply:
    return _with_interface(request, "remove_router_interface", "delete", interfaces.remove)


def add_routes(request: Request) -> Reply:
    def merge(old: list[dict[str, str]], new: list[dict[str, str]]) -> list[dict[str, str]]:
        return [*old, *(route for route in new if route not in old)]

    return _with_routes(request, "add_extraroutes", merge)


def remove_routes(request: Request) -> Reply:
    def without(old: list[dict[str, str]], new: list[dict[str, str]]) -> list[dict[str, str]]:
        return [route for route in old if route not in new]

    return _with_routes(request, "remove_extraroutes", without)


def _with_interface(request: Request, rule: str, verb: str, act: Any) -> Reply:
    item = _load(request, rule)

    def write(tx: Tx) -> Item:
        check_revision(request, tx, Router, item["id"])
        router = access.get(tx, request.ctx, Router, item["id"])
        concerned = concern.of(tx, Router, [router.id])
        done: interfaces.Interface = act(request.cloud, tx, request.ctx, router, request.body)
        tell(request.cloud, tx, concerned | concern.of(tx, Router, [router.id]))
        words = {
            "id": done.router.id,
            "project_id": done.router.project_id,
            "port_id": done.port.id,
            "network_id": done.port.network_id,
            "subnet_id": (done.subnet_ids[0] if verb == "delete" else done.subnet_ids[-1]) if done.subnet_ids else None,
            "subnet_ids": done.subnet_ids,
        }
        topic, payload = events.interface(verb, {**words, "tenant_id": done.router.project_id})
        request.cloud.outbox.publish(tx, topic, payload, request.request_id)
        return words

    return Reply(200, request.cloud.db.write(write))


def _with_routes(request: Request, rule: str, change: Any) -> Reply:
    item = _load(request, rule)
    body = request.body.get("router") if isinstance(request.body, dict) else None
    routes = body.get("routes") if isinstance(body, dict) else None
    reason = check.host_routes(routes)
    if reason is not None:
        raise Invalid(f"Invalid input for routes. Reason: {reason}.")

    def write(tx: Tx) -> Router:
        check_revision(request, tx, Router, item["id"])
        router = access.get(tx, request.ctx, Router, item["id"])
        tell(request.cloud, tx, concern.of(tx, Router, [router.id]))
        return logic.update(request.cloud, tx, request.ctx, router.id, {"routes": change(router.routes, routes)})

    row = request.cloud.db.write(write)
    return Reply(200, {"router": ROUTERS.shown(request, ROUTERS.seen(request, request.cloud.db, [row]))[0]})


def _load(request: Request, rule: str) -> Item:
    item = ROUTERS.load(request)
    if not request.allows(rule, ROUTERS.target(item)):
        raise Forbidden(f"rule:{rule} is disallowed by policy", code="PolicyNotAuthorized")
    return item


ROUTES = (
    Route("PUT", "/routers/{id}/add_router_interface", add_interface, ANYONE),
    Route("PUT", "/routers/{id}/remove_router_interface", remove_interface, ANYONE),
    Route("PUT", "/routers/{id}/add_extraroutes", add_routes, ANYONE),
    Route("PUT", "/routers/{id}/remove_extraroutes", remove_routes, ANYONE),
)
