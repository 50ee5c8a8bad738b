# SPDX-License-Identifier: Apache-2.0
"""Floating IPs over HTTP."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import floating_ips as logic
from cumulet.services.network.store import common as store
from cumulet.services.network.types import FloatingIp, Port

_UUID_OR_NONE = check.or_none(check.uuid)

ATTRIBUTES = {
    "id": common.ID,
    "project_id": common.PROJECT,
    "floating_network_id": common.NETWORK,
    "floating_ip_address": Attribute(
        post=True, default=None, check=check.or_none(check.address), enforce=True, sorts=True
    ),
    "subnet_id": Attribute(post=True, default=None, check=_UUID_OR_NONE, shown=False, filters=False),
    "port_id": Attribute(post=True, put=True, default=ABSENT, check=_UUID_OR_NONE),
    "fixed_ip_address": Attribute(post=True, put=True, default=ABSENT, check=check.or_none(check.address), sorts=True),
    "router_id": Attribute(post=True, put=True, default=None, check=_UUID_OR_NONE, enforce=True, sorts=True),
    "status": common.STATUS,
    "port_details": Attribute(filters=False),
    **common.STANDARD,
    **common.TAGS,
}


def render(source: Source, rows: list[FloatingIp]) -> list[Item]:
    ports = store.by_id(source, Port, {row.port_id for row in rows if row.port_id})
    return [
        {
            "id": row.id,
            "project_id": row.project_id,
            "floating_network_id": row.floating_network_id,
            "floating_ip_address": row.floating_ip_address,
            "port_id": row.port_id,
            "fixed_ip_address": row.fixed_ip_address,
            "router_id": row.router_id,
            "status": row.status,
            "port_details": _details(ports.get(row.port_id or "")),
            "tags": row.tags,
            **common.standard(row),
        }
        for row in rows
    ]


def _details(port: Port | None) -> Item | None:
    if port is None:
        return None
    words = ("name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")
    return {name: getattr(port, name) for name in words}


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[FloatingIp]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


FLOATING_IPS = Resource(
    name="floatingip",
    collection="floatingips",
    kind=FloatingIp,
    parts=parts.of(FloatingIp),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters=common.TAG_FILTERS,
)
