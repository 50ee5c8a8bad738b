# SPDX-License-Identifier: Apache-2.0
"""Routed networks: those whose subnets are each on one segment, which not every host has."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, addressing
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.logic.segment_ranges import LOCK
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.store import segments as store
from cumulet.services.network.types import (
    OWNER_DHCP,
    OWNER_FLOATING,
    OWNER_ROUTER_GATEWAY,
    OWNERS_INSIDE,
    PHYSICAL,
    Agent,
    Network,
    Port,
    Subnet,
)
from cumulet.services.network.types.segments import Segment

ROUTED = "network:routed"  # subnets for addresses that are reached by way of the network, which need no segment
_BRIDGES = "bridge_mappings"
# As Neutron's agents call them, but for the last, which they have no word for.
_MAPPINGS = (_BRIDGES, "interface_mappings", "device_mappings", "vhostuser_bridge_mappings")

_EVERYWHERE = (OWNER_DHCP, OWNER_FLOATING, OWNER_ROUTER_GATEWAY, *OWNERS_INSIDE)

Route = dict[str, str]


def leads_to(configurations: Mapping[str, Any]) -> set[str]:
    """The physical networks that a host says it has; one that says nothing of bridges has the one of the fabric."""
    said = [{PHYSICAL: ""}] if _BRIDGES not in configurations else []
    said += [configurations[name] for name in _MAPPINGS if isinstance(configurations.get(name), dict)]
    return {name for each in said for name in each}


def segments_of(source: Source, host: str, wanted: Iterable[str]) -> set[str]:
    """Those of these segments that the host has; ones without a physical network are no host's, as in Neutron."""
    agent = lookups.agent_of(source, host)
    if agent is None:
        return set()
    physical = leads_to(agent.configurations)
    return {each.id for each in common.find_all(source, Segment, id=set(wanted)) if each.physical_network in physical}


def hosts_of(source: Source, segment: Segment) -> list[str]:
    """The hosts that have the segment."""
    return [
        each.host
        for each in common.find_all(source, Agent)
        if segment.physical_network in leads_to(each.configurations)
    ]


def within_reach(
    source: Source, port: Port, subnets: list[Subnet], wanted: list[dict[str, Any]] | None
) -> list[Subnet] | None:
    """Those of the subnets that the port can have addresses on, by its host's segments.

    While it has no host, those of the segment that `wanted` names; None where only a host would tell. What is the
    cloud's own is wherever its network is.
    """
    if port.device_owner in _EVERYWHERE:
        return subnets if wanted else [each for each in subnets if each.segment_id is None] or subnets
    if port.host:
        on = segments_of(source, port.host, {each.segment_id for each in subnets if each.segment_id is not None})
        found = [each for each in subnets if each.segment_id is None or each.segment_id in on]
        if not found and wanted != []:
            raise fault("HostNotConnectedToAnySegment", host=port.host, id=port.network_id)
        return found
    if wanted:
        return _of_one_segment(subnets, wanted)
    loose = [each for each in subnets if each.segment_id is None]
    return loose if loose or wanted is not None else None


def is_near(source: Source, port: Port, subnet: Subnet) -> bool:
    """Whether a port that is there already is on the segment of the subnet."""
    key = subnet.segment_id or ""
    if port.device_owner in _EVERYWHERE or port.host:
        return port.device_owner in _EVERYWHERE or bool(segments_of(source, port.host, {key}))
    held = {each.subnet_id for each in addresses.of_ports(source, [port.id])[port.id]}
    return any(each.segment_id == key for each in common.by_id(source, Subnet, held).values())


def check_host(source: Source, port: Port, host: str) -> None:
    """Whether a port of a routed network keeps working with its addresses on the host."""
    held = {each.subnet_id for each in addresses.of_ports(source, [port.id])[port.id]}
    subnets = common.by_id(source, Subnet, held).values()
    wanted = {each.segment_id for each in subnets if each.segment_id is not None}
    if wanted and port.device_owner not in _EVERYWHERE and wanted - segments_of(source, host, wanted):
        raise fault("HostNotCompatibleWithFixedIps", host=host, id=port.id)


def check_new(tx: Tx, network_id: str, there: list[Subnet], segment_id: str | None, service_types: list[str]) -> None:
    """Whether a network that has the subnets `there` may have one more on the segment, or on none."""
    segment = _segment(tx, segment_id)
    placed = _placed(there) if ROUTED in service_types else [*_placed(there), segment_id]
    if None in placed and len(set(placed)) > 1:
        raise fault("SubnetsNotAllAssociatedWithSegments", id=network_id)
    _check_network(segment, network_id)


def check_move(tx: Tx, subnet: Subnet, segment_id: str | None) -> None:
    """A network becomes a routed one while it has one subnet and one segment, and stays one."""
    segment = _segment(tx, segment_id)
    if segment_id != subnet.segment_id:
        placed = _placed(common.find_all(tx, Subnet, network_id=[subnet.network_id]))
        if len(placed) > 1:
            raise fault("SubnetsNotAllAssociatedWithSegments", id=subnet.network_id)
        if None not in placed and segment_id not in placed:
            raise fault("SubnetSegmentAssociationChangeNotAllowed")
        if len(store.of_networks(tx, [subnet.network_id]).get(subnet.network_id, [])) > 1:
            raise fault("NoUpdateSubnetWhenMultipleSegmentsOnNetwork", id=subnet.network_id)
    _check_network(segment, subnet.network_id)


def rerouted(tx: Tx, subnet: Subnet, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The routes of a subnet on a segment whose own routes or gateway change; nothing where neither does."""
    after = msgspec.structs.replace(subnet, **changes)
    if after.gateway_ip == subnet.gateway_ip and after.host_routes == subnet.host_routes:
        return {}
    there = common.find_all(tx, Subnet, network_id=[subnet.network_id])
    old = subnet.gateway_ip if after.gateway_ip != subnet.gateway_ip else None
    return {"host_routes": peer_routes(after, there, after.host_routes, old)}


def peer_routes(
    subnet: Subnet, others: Iterable[Subnet], routes: list[Route], old_gateway: str | None = None
) -> list[Route]:
    """The routes of a subnet on a segment, with one by its gateway to each subnet on another segment.

    What a wider route reaches already gets none. `old_gateway` is where such routes led before.
    """
    found = list(routes)
    for other in others:
        if other.id == subnet.id or other.segment_id == subnet.segment_id or other.ip_version != subnet.ip_version:
            continue
        if old_gateway is not None and _route(other.cidr, old_gateway) in found:
            found.remove(_route(other.cidr, old_gateway))
        if subnet.gateway_ip is not None and not _is_reached(other.cidr, found):
            found.append(_route(other.cidr, subnet.gateway_ip))
    return found


def spread(tx: Tx, network_id: str, gone: str | None = None) -> None:
    """Let all subnets of the network know the way to the others, and no more to that `gone`; and its row what it is."""
    there = common.find_all(tx, Subnet, network_id=[network_id])
    common.set_quietly(tx, Network, [network_id], {"routed": any(each.segment_id is not None for each in there)})
    for subnet in there:
        kept = [each for each in subnet.host_routes if gone is None or each != _route(gone, subnet.gateway_ip or "")]
        routes = peer_routes(subnet, there, kept)
        if {(each["destination"], each["nexthop"]) for each in routes} != {
            (each["destination"], each["nexthop"]) for each in subnet.host_routes
        }:
            common.change(tx, Subnet, subnet.id, {"host_routes": routes})


def _of_one_segment(subnets: list[Subnet], wanted: list[dict[str, Any]]) -> list[Subnet]:
    """The subnets of the segment that all addresses are on; all of them where one is on no subnet of the network."""
    named: set[str | None] = set()
    for item in wanted:
        key, address = item.get("subnet_id"), item.get("ip_address")
        found = next((each for each in subnets if each.id == key or (key is None and _holds(each, address))), None)
        if found is None:
            return subnets
        named.add(found.segment_id)
    if len(named) > 1:
        raise fault("FixedIpsSubnetsNotOnSameSegment")
    return [each for each in subnets if each.segment_id in named]


def _holds(subnet: Subnet, address: str | None) -> bool:
    return address is not None and addressing.within(address, subnet.cidr)


def _segment(tx: Tx, key: str | None) -> Segment | None:
    """The segment, which does not go before the end of the transaction."""
    if key is None:
        return None
    tx.lock(LOCK)
    return access.must(tx, Segment, key)


def _placed(subnets: list[Subnet]) -> list[str | None]:
    return [each.segment_id for each in subnets if ROUTED not in each.service_types]


def _check_network(segment: Segment | None, network_id: str) -> None:
    if segment is not None and segment.network_id != network_id:
        raise fault("NetworkIdsDontMatch", network=network_id, segment=segment.id)


def _is_reached(cidr: str, routes: list[Route]) -> bool:
    wanted: Any = ipaddress.ip_network(cidr)
    wider: list[Any] = [ipaddress.ip_network(each["destination"], strict=False) for each in routes]
    return any(each.version == wanted.version and wanted.subnet_of(each) for each in wider)


def _route(destination: str, nexthop: str) -> Route:
    return {"destination": destination, "nexthop": nexthop}
