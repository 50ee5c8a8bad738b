# SPDX-License-Identifier: Apache-2.0
"""What can be done with routers: their attributes and routes (their interfaces: `interfaces`, `gateways`)."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import (
    access,
    distributed,
    gateways,
    ha,
    legs,
    ndp_proxies,
    quotas,
    scheduling,
    zones,
)
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common, lookups
from cumulet.services.network.types import ACTIVE, Router

_PLAIN = ("name", "admin_state_up", "description")
_SWITCHES = ("enable_default_route_ecmp", "enable_default_route_bfd")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> Router:
    """A new router, with its gateway where one is asked for."""
    values = ha.settled(cloud, values)
    gateways.hold_policy(tx, ctx, values.get("external_gateway_info") or {})
    quotas.take(cloud, tx, values["project_id"], router=1)
    now, wanted = clock.utcnow(), zones.settled(cloud, tx, "router", values["availability_zone_hints"])
    router = Router(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        admin_state_up=values["admin_state_up"],
        status=ACTIVE,
        gateway_network_id=None,
        gateway_port_id=None,
        enable_snat=True,
        routes=[],
        host=scheduling.choose(tx, wanted),
        availability_zone_hints=values["availability_zone_hints"],
        zones=wanted,
        description=values["description"],
        tags=[],
        revision_number=1,
        created_at=now,
        updated_at=now,
        **_with_defaults(cloud, common.optional(Router, values)),
    )
    common.add(tx, router)
    if router.ha or router.distributed:
        ha.spread(cloud, tx, router)
        router = access.must(tx, Router, router.id)
    if values.get("external_gateway_info"):
        gateways.set_first(tx, ctx, router, values["external_gateway_info"])
        ha.reached(tx, router)
    router = access.must(tx, Router, router.id)
    if router.enable_ndp_proxy:
        ndp_proxies.check_enabled(tx, router, fresh=True)
    return router


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Router:
    values = ha.given(values)
    gateways.hold_policy(tx, ctx, values.get("external_gateway_info") or {})
    router = access.must(tx, Router, key)
    ha.check_change(router, values, up=values.get("admin_state_up", router.admin_state_up))
    distributed.check_change(router, values)
    changes = {name: values[name] for name in _PLAIN if name in values} | _said(common.optional(Router, values))
    common.change(tx, Router, key, changes)
    spread = access.must(tx, Router, key)
    if (spread.ha, spread.distributed) != (router.ha, router.distributed):
        ha.spread(cloud, tx, spread)
    if "routes" in values:
        legs.check_routes(tx, router, values["routes"])
        quotas.take(cloud, tx, router.project_id, router_route=len(values["routes"]))
        common.set_quietly(tx, Router, [key], {"routes": values["routes"]})
        router = access.must(tx, Router, key)
    if "external_gateway_info" in values:
        info = values["external_gateway_info"] or {}
        gateways.check_proxies(tx, router, info, values)
        gateways.set_first(tx, ctx, router, info)
        ha.reached(tx, access.must(tx, Router, key))
    if values.get("enable_ndp_proxy"):
        ndp_proxies.check_enabled(tx, access.must(tx, Router, key), fresh=False)
    return access.must(tx, Router, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a router that has no interfaces any more."""
    router = access.must(tx, Router, key)
    inside = lookups.router_interfaces(tx, [key])
    if inside:
        reason = "has ports still attached: " + ", ".join(port.id for port in inside)
        raise fault("RouterInUse", id=key, reason=reason)
    gateways.drop_all(tx, router)
    common.remove(tx, Router, [key])


def _said(columns: dict[str, Any]) -> dict[str, Any]:
    """Without what is null, which says of these switches that they stay as they are."""
    return {name: value for name, value in columns.items() if value is not None or name not in _SWITCHES}


def _with_defaults(cloud: Cloud, columns: dict[str, Any]) -> dict[str, Any]:
    settings = cloud.settings.network
    return {**{name: getattr(settings, name) for name in _SWITCHES}, **_said(columns)}
