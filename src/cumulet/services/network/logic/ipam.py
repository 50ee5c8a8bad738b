# SPDX-License-Identifier: Apache-2.0
"""Which addresses a port gets: decided and written in the caller's transaction, so that none is given out twice."""

from __future__ import annotations

import ipaddress
import itertools
from typing import Any

import msgspec

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError
from cumulet.services.network.logic import addressing, routed
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import (
    DEFERRED,
    IMMEDIATE,
    OWNER_DHCP,
    OWNER_ROUTER_GATEWAY,
    OWNERS_INSIDE,
    UNADDRESSED,
    Allocation,
    Port,
    Subnet,
)

MOST_PER_PORT = 32
WINDOW = 64  # addresses that are asked about at once
AUTOMATIC = ("slaac", "dhcpv6-stateless")  # address modes of subnets whose guests make their address themselves
_ROUTER_OWNERS = (*OWNERS_INSIDE, OWNER_ROUTER_GATEWAY)


class Deferred(Exception):
    """A port's host says on which of its network's subnets it has addresses, and it has no host yet."""


def begin(tx: Tx, port: Port, wanted: list[dict[str, str]] | None) -> Port:
    """Give a new port its addresses, as `assign` does; the port as it is then, which may have to wait for a host."""
    state = UNADDRESSED if wanted == [] else IMMEDIATE
    try:
        assign(tx, port, wanted)
    except Deferred:
        state = DEFERRED
    if state == IMMEDIATE:
        return port
    common.set_quietly(tx, Port, [port.id], {"ip_allocation": state})
    return msgspec.structs.replace(port, ip_allocation=state)


def settled(tx: Tx, port: Port, host: str) -> bool:
    """A port comes to `host`: one that waited for it gets its addresses. Whether it did."""
    if port.ip_allocation != DEFERRED or port.host or not host or addresses.of_ports(tx, [port.id])[port.id]:
        return False
    assign(tx, msgspec.structs.replace(port, host=host), None)
    return True


def assign(
    tx: Tx, port: Port, wanted: list[dict[str, str]] | None, versions: tuple[int, ...] = (4, 6)
) -> list[Allocation]:
    """Give `port` its addresses, instead of those that it has.

    `wanted` None asks for one address of each of the IP `versions` that the network has; otherwise each item names a
    subnet, an address, or both. On subnets where guests make their address themselves the port has one in any case.
    Raises IpAddressGenerationFailure, IpAddressGenerationFailureNoMatchingSubnet, IpAddressAlreadyAllocated,
    InvalidIpFor{Network,Subnet}, AllocationOnAutoAddressSubnet; on routed networks HostNotConnectedToAnySegment,
    FixedIpsSubnetsNotOnSameSegment, and Deferred where `wanted` is None and the port has no host.
    """
    tx.lock(f"network:addresses:{port.network_id}")
    subnets = _serving(tx, port, wanted)
    addresses.put(tx, port.id, [])
    if wanted is None:
        subnets = [subnet for subnet in subnets if subnet.ip_version in versions]
    chosen = _one_of_each(tx, port, subnets) if wanted is None else _wanted(tx, port, subnets, wanted)
    chosen += [(one, _own(tx, one, port)) for one in subnets if _is_automatic(one, port)]
    allocations = [
        Allocation(subnet.id, address, port.id, port.network_id, position)
        for position, (subnet, address) in enumerate(chosen)
    ]
    addresses.put(tx, port.id, allocations)
    return allocations


def reassign(tx: Tx, port: Port, wanted: list[dict[str, str]] | None) -> None:
    """The addresses of a port that has changed: `wanted` as for `assign`, or those that it has.

    Where only the subnet of an address is named again, it is kept; those that guests make themselves follow the MAC.
    """
    assign(tx, port, keeping(tx, port, wanted))


def keeping(tx: Tx, port: Port, wanted: list[dict[str, str]] | None) -> list[dict[str, str]]:
    """What `reassign` asks for: without automatic addresses, with the kept ones in full."""
    held = addresses.of_ports(tx, [port.id])[port.id]
    sixth = {item.subnet_id for item in held if ":" in item.address}
    subnets = common.by_id(tx, Subnet, sixth) if sixth else {}
    automatic = {key for key, subnet in subnets.items() if _is_automatic(subnet, port)}
    if wanted is None:
        wanted = [{"subnet_id": item.subnet_id, "ip_address": item.address} for item in held]
    made = {item.address for item in held if item.subnet_id in automatic}
    named = {item["ip_address"] for item in wanted if "ip_address" in item}
    have = {item.subnet_id: item.address for item in held if item.address not in named}
    kept = []
    for item in wanted:
        if item.get("ip_address") in made or ("ip_address" not in item and item.get("subnet_id") in automatic):
            continue
        if "ip_address" not in item and item.get("subnet_id") in have:
            kept.append({**item, "ip_address": have.pop(item["subnet_id"])})
        else:
            kept.append(item)
    return kept


def extend(tx: Tx, subnet: Subnet) -> list[Port]:
    """Give the ports that are on the network already their addresses on a new subnet; those that got one.

    That is where guests make their address themselves; one whose address somebody else has is left out.
    """
    if subnet.ipv6_address_mode not in AUTOMATIC:
        return []
    tx.lock(f"network:addresses:{subnet.network_id}")
    there = common.find_all(tx, Port, network_id=[subnet.network_id])
    fitting = [port for port in there if _is_automatic(subnet, port) and _serves(subnet, port)]
    if subnet.segment_id is not None:
        fitting = [port for port in fitting if routed.is_near(tx, port, subnet)]
    own = {port.id: addressing.eui64(subnet.cidr, port.mac_address) for port in fitting}
    taken = addresses.taken(tx, subnet.id, own.values()) if own else set()
    given = [port for port in fitting if own[port.id] not in taken]
    held = addresses.of_ports(tx, [port.id for port in given])
    addresses.add(
        tx, [Allocation(subnet.id, own[port.id], port.id, port.network_id, len(held[port.id])) for port in given]
    )
    for port in given:
        common.touch(tx, Port, port.id)
    return given


def _serving(tx: Tx, port: Port, wanted: list[dict[str, str]] | None) -> list[Subnet]:
    """The network's subnets that are for such ports and for their host; those that are for them alone come first."""
    there = common.find_all(tx, Subnet, network_id=[port.network_id])
    found = [subnet for subnet in there if _serves(subnet, port)]
    if there and not found and wanted != []:
        raise fault("IpAddressGenerationFailureNoMatchingSubnet", id=port.network_id, owner=port.device_owner)
    if any(subnet.segment_id is not None for subnet in found):
        reached = routed.within_reach(tx, port, found, wanted)
        if reached is None:
            raise Deferred
        found = reached
    return sorted(found, key=lambda subnet: not subnet.service_types)


def _serves(subnet: Subnet, port: Port) -> bool:
    """A subnet with service types is for ports of such owners alone, and for the DHCP that it needs."""
    if not subnet.service_types or port.device_owner in subnet.service_types:
        return True
    return port.device_owner == OWNER_DHCP and subnet.enable_dhcp


def _one_of_each(tx: Tx, port: Port, subnets: list[Subnet]) -> list[tuple[Subnet, str]]:
    chosen: list[tuple[Subnet, str]] = []
    for version in (4, 6):
        stateful = [one for one in subnets if one.ip_version == version and not _is_automatic(one, port)]
        if stateful:
            chosen.append(_first_free(tx, port.network_id, stateful, taken_now=set()))
    return chosen


def _own(tx: Tx, subnet: Subnet, port: Port) -> str:
    """The address that the port's guest makes itself on the subnet; only a router could be there before it."""
    address = addressing.eui64(subnet.cidr, port.mac_address)
    if addresses.taken(tx, subnet.id, [address]):
        raise fault("IpAddressAlreadyAllocated", address=address, subnet_id=subnet.id)
    return address


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
            subnet = _subnet_for(port, candidates, subnet_id, address)
            if not _is_automatic(subnet, port):
                chosen.append((subnet, _free(tx, subnet, address, taken_now)))
            elif str(ipaddress.ip_address(address)) != addressing.eui64(subnet.cidr, port.mac_address):
                raise fault("AllocationOnAutoAddressSubnet", ip=address, subnet_id=subnet.id)
        elif not _is_automatic(candidates[0], port):
            chosen.append(_first_free(tx, port.network_id, candidates, taken_now))
    return chosen


def _subnet_for(port: Port, candidates: list[Subnet], subnet_id: str | None, address: str) -> Subnet:
    """The subnet in which `address` lies."""
    for subnet in candidates:
        if addressing.is_host(address, subnet.cidr) or (
            address == subnet.gateway_ip and port.device_owner in _ROUTER_OWNERS
        ):
            return subnet
    if subnet_id is not None:
        raise fault("InvalidIpForSubnet", address=address)
    raise fault("InvalidIpForNetwork", address=address)


def _free(tx: Tx, subnet: Subnet, address: str, taken_now: set[str]) -> str:
    if address in taken_now or addresses.taken(tx, subnet.id, [address]):
        raise fault("IpAddressAlreadyAllocated", address=address, subnet_id=subnet.id)
    return address


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
    """Whether guests make their address themselves; that of a router's inside is chosen like any other."""
    return subnet.ipv6_address_mode in AUTOMATIC and port.device_owner not in OWNERS_INSIDE
