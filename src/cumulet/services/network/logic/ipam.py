# SPDX-License-Identifier: Apache-2.0
"""Which addresses a port gets: decided and written in the caller's transaction, so that none is given out twice."""

from __future__ import annotations

import itertools
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError
from cumulet.services.network.logic import addressing
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import OWNER_DHCP, Allocation, Port, Subnet

MOST_PER_PORT = 32
WINDOW = 64  # addresses that are asked about at once
_AUTOMATIC = ("slaac", "dhcpv6-stateless")
_ROUTER_OWNERS = ("network:router_interface", "network:router_gateway")


def assign(
    tx: Tx, port: Port, wanted: list[dict[str, str]] | None, versions: tuple[int, ...] = (4, 6)
) -> list[Allocation]:
    """Give `port` its addresses, instead of those that it has.

    `wanted` None asks for one address of each of the IP `versions` that the network has; otherwise each item names a
    subnet, an address, or both. Raises IpAddressGenerationFailure, IpAddressGenerationFailureNoMatchingSubnet,
    IpAddressAlreadyAllocated, InvalidIpFor{Network,Subnet}.
    """
    tx.lock(f"network:addresses:{port.network_id}")
    subnets = _serving(tx, port) if wanted is None or wanted else []
    addresses.put(tx, port.id, [])
    if wanted is None:
        subnets = [subnet for subnet in subnets if subnet.ip_version in versions]
    chosen = _automatic(tx, port, subnets) if wanted is None else _wanted(tx, port, subnets, wanted)
    allocations = [
        Allocation(subnet.id, address, port.id, port.network_id, position)
        for position, (subnet, address) in enumerate(chosen)
    ]
    addresses.put(tx, port.id, allocations)
    return allocations


def _serving(tx: Tx, port: Port) -> list[Subnet]:
    """The network's subnets that are for such ports; those that are for them alone come first."""
    there = common.find_all(tx, Subnet, network_id=[port.network_id])
    found = [subnet for subnet in there if _serves(subnet, port)]
    if there and not found:
        raise fault("IpAddressGenerationFailureNoMatchingSubnet", id=port.network_id, owner=port.device_owner)
    return sorted(found, key=lambda subnet: not subnet.service_types)


def _serves(subnet: Subnet, port: Port) -> bool:
    """A subnet with service types is for ports of such owners alone, and for the DHCP that it needs."""
    if not subnet.service_types or port.device_owner in subnet.service_types:
        return True
    return port.device_owner == OWNER_DHCP and subnet.enable_dhcp


def _automatic(tx: Tx, port: Port, subnets: list[Subnet]) -> list[tuple[Subnet, str]]:
    chosen: list[tuple[Subnet, str]] = []
    for version in (4, 6):
        stateful = [one for one in subnets if one.ip_version == version and not _is_automatic(one, port)]
        if stateful:
            chosen.append(_first_free(tx, port.network_id, stateful, taken_now=set()))
    chosen += [(one, addressing.eui64(one.cidr, port.mac_address)) for one in subnets if _is_automatic(one, port)]
    return chosen


def _wanted(tx: Tx, port: Port, subnets: list[Subnet], wanted: list[dict[str, Any]]) -> list[tuple[Subnet, str]]:
    if len(wanted) > MOST_PER_PORT:
        raise invalid("Exceeded maximum amount of fixed ips per port")
    chosen: list[tuple[Subnet, str]] = []
    for item in wanted:
        taken_now = {address for _, address in chosen}
        subnet_id, address = item.get("subnet_id"), item.get("ip_address")
        candidates = [one for one in subnets if subnet_id in (None, one.id)]
        if subnet_id is not None and not candidates:
            raise _foreign_subnet(tx, port, subnet_id)
        if subnet_id is None and address is None:
            raise invalid("IP allocation requires subnet_id or ip_address")
        if address is not None:
            chosen.append((_subnet_for(tx, port, candidates, subnet_id, address, taken_now), address))
        elif _is_automatic(candidates[0], port):
            chosen.append((candidates[0], addressing.eui64(candidates[0].cidr, port.mac_address)))
        else:
            chosen.append(_first_free(tx, port.network_id, candidates, taken_now))
    return chosen


def _subnet_for(
    tx: Tx, port: Port, candidates: list[Subnet], subnet_id: str | None, address: str, taken_now: set[str]
) -> Subnet:
    """The subnet in which `address` lies and is free."""
    for subnet in candidates:
        if addressing.is_host(address, subnet.cidr) or (
            address == subnet.gateway_ip and port.device_owner in _ROUTER_OWNERS
        ):
            if address in taken_now or addresses.taken(tx, subnet.id, [address]):
                raise fault("IpAddressAlreadyAllocated", address=address, subnet_id=subnet.id)
            return subnet
    if subnet_id is not None:
        raise fault("InvalidIpForSubnet", address=address)
    raise fault("InvalidIpForNetwork", address=address)


def _foreign_subnet(tx: Tx, port: Port, subnet_id: str) -> CumuletError:
    if common.find(tx, Subnet, subnet_id) is None:
        return fault("SubnetNotFound", id=subnet_id)
    return invalid(
        f"Failed to create port on network {port.network_id}, because fixed_ips included invalid subnet {subnet_id}"
    )


def _first_free(tx: Tx, network_id: str, subnets: list[Subnet], taken_now: set[str]) -> tuple[Subnet, str]:
    for subnet in subnets:
        address = _free_on(tx, subnet, taken_now)
        if address is not None:
            return subnet, address
    raise fault("IpAddressGenerationFailure", id=network_id)


def _free_on(tx: Tx, subnet: Subnet, taken_now: set[str]) -> str | None:
    """The lowest free address of a small subnet; on a large one the search begins where one without gaps would end."""
    size = addressing.size(subnet.allocation_pools)
    held = addresses.count_by_subnet(tx, [subnet.id]).get(subnet.id, 0)
    begin = max(0, min(held, size) - WINDOW)
    for at in itertools.chain(range(begin, size, WINDOW), range(0, begin, WINDOW)):
        window = addressing.window(subnet.allocation_pools, at, WINDOW)
        taken = addresses.taken(tx, subnet.id, window) | taken_now
        free = next((address for address in window if address not in taken), None)
        if free is not None:
            return free
    return None


def _is_automatic(subnet: Subnet, port: Port) -> bool:
    """Whether guests make their address themselves; a router's is chosen like any other."""
    return subnet.ipv6_address_mode in _AUTOMATIC and port.device_owner not in _ROUTER_OWNERS
