# SPDX-License-Identifier: Apache-2.0
"""Ports over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Filter, Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import binding, dns, port_attributes
from cumulet.services.network.logic import ports as logic
from cumulet.services.network.logic.faults import invalid
from cumulet.services.network.store import addresses
from cumulet.services.network.store import common as store
from cumulet.services.network.types import Network, Port

VNIC_TYPES = (
    "normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa",
    "accelerator-direct", "accelerator-direct-physical", "remote-managed",
)  # fmt: skip
_own = partial(Attribute, post=True, put=True, default=ABSENT, enforce=True)

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "network_id": common.NETWORK,
    "admin_state_up": common.ADMIN_STATE,
    "status": common.STATUS,
    "mac_address": _own(convert=check.mac_form, check=check.or_none(check.mac), sorts=True),
    "fixed_ips": _own(convert=check.none_to_list, check=check.fixed_ips),
    "device_id": Attribute(post=True, put=True, default="", check=check.text(255), enforce=True, sorts=True),
    "device_owner": Attribute(post=True, put=True, default="", check=check.text(255), enforce=True, sorts=True),
    "security_groups": Attribute(
        post=True, put=True, default=ABSENT, convert=check.none_to_list, check=check.uuid_list
    ),
    "port_security_enabled": _own(convert=check.boolean, filters=False),
    "allowed_address_pairs": _own(convert=check.none_to_list, check=check.address_pairs, filters=False),
    "extra_dhcp_opts": Attribute(post=True, put=True, default=None, check=check.dhcp_options, filters=False),
    "binding:vnic_type": Attribute(
        post=True, put=True, default="normal", check=check.one_of(VNIC_TYPES), enforce=True, filters=False
    ),
    "binding:host_id": _own(check=check.or_none(check.text(255))),
    "binding:profile": _own(check=check.or_none(check.plain_dict), filters=False),
    "binding:vif_type": Attribute(filters=False),
    "binding:vif_details": Attribute(filters=False),
    "ip_allocation": Attribute(sorts=True),
    **common.STANDARD,
    "dns_assignment": Attribute(filters=False),
    "tags": Attribute(post=True, default=[], check=check.string_list(255), filters=False),
}


def _fixed_ips(item: Item, values: list[str]) -> bool:
    """`fixed_ips=subnet_id=X`, `fixed_ips=ip_address=Y`, `fixed_ips=ip_address_substr=Z`; each of one kind may do."""
    wanted: dict[str, list[str]] = {}
    for value in values:
        name, sign, text = value.partition("=")
        if not sign:
            raise invalid(f"'{value}' is not of the form <key>=[value]")
        wanted.setdefault(name, []).append(text)
    return all(any(_holds(fixed, name, texts) for fixed in item["fixed_ips"]) for name, texts in wanted.items())


def _holds(fixed: dict[str, str], name: str, texts: list[str]) -> bool:
    if name == "ip_address_substr":
        return any(text in fixed["ip_address"] for text in texts)
    return fixed.get(name) in texts


FILTERS: dict[str, Filter] = {"fixed_ips": _fixed_ips, **common.TAG_FILTERS}


def render(source: Source, rows: list[Port]) -> list[Item]:
    keys = [row.id for row in rows]
    held, groups = addresses.of_ports(source, keys), addresses.groups_of(source, keys)
    networks = store.by_id(source, Network, {row.network_id for row in rows})
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "network_id": row.network_id,
            "admin_state_up": row.admin_state_up,
            "status": row.status,
            "mac_address": row.mac_address,
            "fixed_ips": [{"subnet_id": one.subnet_id, "ip_address": one.address} for one in held[row.id]],
            "device_id": row.device_id,
            "device_owner": row.device_owner,
            "security_groups": groups[row.id],
            "port_security_enabled": row.port_security_enabled,
            "allowed_address_pairs": row.allowed_address_pairs,
            "extra_dhcp_opts": row.extra_dhcp_opts,
            "tags": row.tags,
            "ip_allocation": row.ip_allocation,
            **_binding(row),
            **common.standard(row),
            **common.network_words(networks, row.network_id),
        }
        for row in rows
    ]


def _binding(row: Port) -> Item:
    return {
        "binding:vnic_type": row.vnic_type,
        "binding:host_id": row.host,
        "binding:profile": port_attributes.shown_profile(row),
        "binding:vif_type": binding.vif_type(row),
        "binding:vif_details": binding.vif_details(row),
    }


def _complete(cloud: Cloud, item: Item) -> Item:
    """What the port's addresses are called follows from the cloud's domain."""
    domain = dns.domain_of(cloud)
    names = [dns.assignment(domain, item["dns_name"], fixed["ip_address"]) for fixed in item["fixed_ips"]]
    return {**item, "dns_assignment": names}


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[Port]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


PORTS = Resource(
    name="port",
    collection="ports",
    kind=Port,
    parts=parts.of(Port),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    extend=common.with_network,
    network_first=True,
    filters=FILTERS,
    complete=_complete,
)
