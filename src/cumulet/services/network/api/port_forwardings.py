# SPDX-License-Identifier: Apache-2.0
"""Port forwardings of floating IPs over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.children import Child
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.floating_ips import FLOATING_IPS
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.parts.port_forwardings import single_ports
from cumulet.services.network.logic import port_forwardings as logic
from cumulet.services.network.types.port_forwardings import PROTOCOLS, PortForwarding

LAST_PORT = 65535


def number(value: Any) -> Any:
    """A whole number, where `value` is or spells one; what it is else, for the check to refuse."""
    try:
        return int(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else value
    except ValueError:
        return value


def port(value: Any) -> str | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return f"'{value}' is not an integer"
    return check.at_most(1, LAST_PORT)(value)


def range_form(value: Any) -> Any:
    """`80` as `80:80`; anything else as it is."""
    text = str(value)
    return f"{text}:{text}" if isinstance(value, (int, str)) and text.isascii() and text.isdigit() else value


def port_range(value: Any) -> str | None:
    """`80:90`: two ports with a colon between them, the first not behind the second."""
    parts = str(value).split(":")
    if len(parts) > 2 or "" in parts:
        return "Port range must be two integers separated by a colon"
    for part in parts:
        if not (part.isascii() and part.isdigit()) or len(part) > len(str(LAST_PORT)) or int(part) > LAST_PORT:
            return f"Invalid port: {part}"
        if int(part) < 1:
            return f"Invalid port: {part}, the port must be in the range [1, {LAST_PORT}]"
    if int(parts[0]) > int(parts[-1]):
        return "First port in a port range must be lower than the second port"
    return None


_port = partial(Attribute, post=True, put=True, default=None, convert=number, check=check.or_none(port))
_range = partial(Attribute, post=True, put=True, default=None, convert=range_form, check=check.or_none(port_range))

ATTRIBUTES = {
    "id": common.ID,
    "project_id": Attribute(post=True, check=check.text(255), shown=False, filters=False),
    "external_port": _port(sorts=True),
    "internal_port": _port(filters=False),
    "external_port_range": _range(sorts=True),
    "internal_port_range": _range(filters=False),
    "internal_ip_address": Attribute(post=True, put=True, check=check.address, filters=False),
    "protocol": Attribute(post=True, put=True, convert=check.protocol_name, check=check.one_of(PROTOCOLS), sorts=True),
    "internal_port_id": Attribute(post=True, put=True, check=check.uuid, sorts=True),
    "description": Attribute(post=True, put=True, default="", check=check.text(1024)),
}


def render(source: Source, rows: list[PortForwarding]) -> list[Item]:
    return [
        {
            "id": row.id,
            "internal_port_id": row.internal_port_id,
            "internal_ip_address": row.internal_ip_address,
            "protocol": row.protocol,
            "external_port_range": logic.text(row.external_low, row.external_high),
            "internal_port_range": logic.text(row.internal_low, row.internal_high),
            "description": row.description,
            **single_ports(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[PortForwarding]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


PORT_FORWARDINGS = Child(
    name="port_forwarding",
    collection="port_forwardings",
    kind=PortForwarding,
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    parent=FLOATING_IPS,
    column="floatingip_id",
)

FAMILY = Family(
    resources=(PORT_FORWARDINGS,),
    extensions={
        "expose-port-forwarding-in-fip": ("Expose Floating IP port forwardings", "2018-06-28T16:00:00-00:00"),
        "floating-ip-port-forwarding": ("Floating IP Port Forwarding", "2018-01-19T10:00:00-00:00"),
        "floating-ip-port-forwarding-description": (
            "Floating IP Port Forwarding new attribute description",
            "2019-11-01T10:00:00-00:00",
        ),
        "floating-ip-port-forwarding-detail": ("Floating IP port forwarding detail", "2022-05-06T10:00:00-00:00"),
        "floating-ip-port-forwarding-port-ranges": (
            "Floating IP Port Forwarding support port ranges",
            "2020-07-01T10:00:00-00:00",
        ),
        "floating-ip-router-writable": ("Floating IP Router (writable)", "2026-08-05T00:00:00-00:00"),
    },
)
