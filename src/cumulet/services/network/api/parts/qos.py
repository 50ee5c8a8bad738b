# SPDX-License-Identifier: Apache-2.0
"""The QoS policies of networks, ports, floating IPs and routers' gateways."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.parts.base import Part, Values, columns
from cumulet.services.network.logic import minimums, qos_use
from cumulet.services.network.store import qos as store
from cumulet.services.network.types import FloatingIp, Network, Port, Router

_POLICY = Attribute(post=True, put=True, default=None, check=check.or_none(check.uuid), filters=False)


def _check_network(tx: Tx, ctx: Context, row: Network | None, values: Values) -> None:
    """A network that exists already; a new one gets its policy where it is made."""
    if row is not None:
        qos_use.check_change(tx, ctx, row.qos_policy_id, values["qos_policy_id"])


def _write_network(tx: Tx, ctx: Context, row: Network, values: Values) -> None:
    if row.qos_policy_id is not None:
        qos_use.check_network(tx, row.id, row.qos_policy_id)


def _check(tx: Tx, ctx: Context, row: Port | FloatingIp | None, values: Values) -> None:
    qos_use.check_change(tx, ctx, row.qos_policy_id if row is not None else None, values["qos_policy_id"])


def _write_port(tx: Tx, ctx: Context, row: Port, values: Values) -> None:
    """A port that inherits its network's policy was looked at where it was made."""
    qos_use.check_port(tx, row, row.qos_policy_id)


def _with_requests(source: Source, rows: list[Port], items: list[Item]) -> list[Item]:
    """What the ports ask of placement, by the policies that they show."""
    policies = [item["qos_policy_id"] or item["qos_network_policy_id"] for item in items]
    if not any(policies):
        return [{**item, "resource_request": None} for item in items]
    asked = minimums.shown(source, rows, policies)
    return [{**item, "resource_request": request} for item, request in zip(items, asked, strict=True)]


def _with_gateways(source: Source, rows: list[Router], items: list[Item]) -> list[Item]:
    """A gateway shows its policy where it, or the network that it is on, has one."""
    outer = {row.gateway_network_id for row in rows if row.gateway_network_id is not None}
    ruled = store.networks_with_policy(source, outer) if outer else set()
    return [
        _with_gateway(item, row) if row.gateway_qos_policy_id or row.gateway_network_id in ruled else item
        for row, item in zip(rows, items, strict=True)
    ]


def _with_gateway(item: Item, row: Router) -> Item:
    info: dict[str, Any] | None = item["external_gateway_info"]
    if info is None:
        return item
    return {**item, "external_gateway_info": {**info, "qos_policy_id": row.gateway_qos_policy_id}}


NETWORKS = Part(
    attributes={"qos_policy_id": _POLICY},
    render=columns("qos_policy_id"),
    check=_check_network,
    write=_write_network,
)
PORTS = Part(
    attributes={
        "qos_policy_id": _POLICY,
        "qos_network_policy_id": Attribute(filters=False),
        "resource_request": Attribute(filters=False),
    },
    render=columns("qos_policy_id"),
    check=_check,
    write=_write_port,
    complete=_with_requests,
)
FLOATING_IPS = Part(attributes={"qos_policy_id": _POLICY}, render=columns("qos_policy_id"), check=_check)
ROUTERS = Part(attributes={}, render=columns(), complete=_with_gateways)
