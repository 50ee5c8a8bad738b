# SPDX-License-Identifier: Apache-2.0
"""How many addresses networks have, and how many of them are taken."""

from __future__ import annotations

import ipaddress
from typing import Any

from cumulet.kernel.db import Source
from cumulet.services.network.logic import addressing
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import Network, Subnet

_DETAILS = ("total_ips_in_subnet", "total_ips_in_allocation_pool", "used_ips_in_subnet", "used_ips_in_allocation_pool")


def of_networks(source: Source, networks: list[Network], versions: set[str]) -> list[dict[str, Any]]:
    """Each network with what its subnets have, of all IP versions or of these (`{"4"}`)."""
    subnets = common.find_all(source, Subnet, network_id=[network.id for network in networks]) if networks else []
    counted = [subnet for subnet in subnets if not versions or str(subnet.ip_version) in versions]
    taken = addresses.by_subnet(source, [subnet.id for subnet in counted])
    parts: dict[str, list[dict[str, Any]]] = {network.id: [] for network in networks}
    for subnet in counted:
        parts[subnet.network_id].append(_of_subnet(subnet, taken[subnet.id]))
    return [_of_network(network, parts[network.id]) for network in networks]


def _of_network(network: Network, parts: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": network.id,
        "network_id": network.id,
        "network_name": network.name,
        "project_id": network.project_id,
        "total_ips": sum(part["total_ips"] for part in parts),
        "used_ips": sum(part["used_ips"] for part in parts),
        "subnet_ip_availability": parts,
        "ip_availability_details": {
            name: sum(part["ip_availability_details"][name] for part in parts) for name in _DETAILS
        },
    }


def _of_subnet(subnet: Subnet, taken: list[str]) -> dict[str, Any]:
    whole = ipaddress.ip_network(subnet.cidr).num_addresses
    pooled = addressing.size(subnet.allocation_pools)
    bounds = [(_number(pool["start"]), _number(pool["end"])) for pool in subnet.allocation_pools]
    inside = sum(any(first <= _number(address) <= last for first, last in bounds) for address in taken)
    usable = whole if subnet.ip_version == 6 else max(whole - 2, 0)  # without those of network and broadcast
    return {
        "subnet_id": subnet.id,
        "subnet_name": subnet.name,
        "cidr": subnet.cidr,
        "ip_version": subnet.ip_version,
        "total_ips": pooled or whole,
        "used_ips": len(taken),
        "ip_availability_details": dict(zip(_DETAILS, (usable, pooled, len(taken), inside), strict=True)),
    }


def _number(address: str) -> int:
    return int(ipaddress.ip_address(address))
