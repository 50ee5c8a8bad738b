# SPDX-License-Identifier: Apache-2.0
"""Rows to the desired state of one host, and the difference between two states. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.services.network import types
from cumulet.services.network.logic import addressing, dns
from cumulet.services.network.logic.hosting import FEATURES
from cumulet.services.network.logic.hosting.base import Snapshot
from cumulet.services.network.logic.security_group_rules import states as rule_states
from cumulet.services.network.types import (
    KINDS,
    VLAN,
    Allocation,
    BoundPort,
    FixedAddress,
    FloatingState,
    GatewayState,
    GroupState,
    HostDelta,
    HostState,
    LegState,
    Network,
    NetworkState,
    Port,
    PortState,
    RemoteState,
    Router,
    RouterState,
    ServiceState,
    Subnet,
    SubnetState,
    VlanState,
)
from cumulet.services.network.types.states import gateway_on


def compile_host(rows: Snapshot) -> HostState:
    """All that the host should have. What the rows name but do not hold (yet, or any more) is left out."""
    subnets: dict[str, list[Subnet]] = {}
    for subnet in rows.subnets.values():
        subnets.setdefault(subnet.network_id, []).append(subnet)
    state = HostState(
        networks=sorted(
            (_network(rows, network, subnets.get(network.id, [])) for network in rows.networks.values()),
            key=lambda item: item.id,
        ),
        ports=sorted(
            (_port(rows, port) for port in rows.bound if port.network_id in rows.networks), key=lambda item: item.id
        ),
        groups=sorted((_group(rows, key) for key in rows.rules), key=lambda item: item.id),
        routers=sorted((_router(rows, router) for router in rows.routers), key=lambda item: item.id),
        remotes=sorted(
            (
                RemoteState(
                    id=port.id,
                    network_id=port.network_id,
                    mac=port.mac,
                    addresses=rows.far_addresses.get(port.id, []),
                    endpoint=rows.endpoints[port.host],
                    dns=dns.whole(rows.domain, port.dns_name),
                )
                for port in rows.far
                if rows.endpoints.get(port.host)
            ),
            key=lambda item: item.id,
        ),
    )
    for feature in FEATURES:
        state = feature.add(rows, state)
    return state


def difference(old: HostState, new: HostState) -> HostDelta:
    """What makes `old` into `new`; epoch and generations are as they stand in the two."""
    changed: dict[str, list[Any]] = {
        kind.name: _changed(getattr(old, kind.name), getattr(new, kind.name)) for kind in KINDS
    }
    before, after = _ids(old), _ids(new)
    changed |= {name: sorted(before[name] - after[name]) for name in before}
    return HostDelta(epoch=new.epoch, base=old.generation, generation=new.generation, **changed)


def same(old: HostState, new: HostState) -> bool:
    """Whether two states want the same, whatever their generations."""
    return all(getattr(old, kind.name) == getattr(new, kind.name) for kind in KINDS)


def _ids(state: HostState) -> dict[str, set[str]]:
    """The ids of all objects, by the list of a delta that would name them gone."""
    found: dict[str, set[str]] = defaultdict(set)
    for kind in KINDS:
        found[kind.gone] |= {item.id for item in getattr(state, kind.name)}
    return found


def _changed(old: list[Any], new: list[Any]) -> list[Any]:
    known = {item.id: item for item in old}
    return [item for item in new if known.get(item.id) != item]


def _network(rows: Snapshot, network: Network, subnets: list[Subnet]) -> NetworkState:
    service = rows.services.get(network.id)
    return NetworkState(
        id=network.id,
        mtu=max(network.mtu, addressing.LEAST_MTU[4]),
        segment=(network.segment_number or 0) if network.network_type != VLAN else 0,
        physical=network.segment_physical if network.network_type != VLAN else None,
        subnets=[
            SubnetState(
                id=subnet.id,
                cidr=subnet.cidr,
                version=subnet.ip_version,
                gateway=subnet.gateway_ip,
                dhcp=subnet.enable_dhcp and network.dhcp_served,
                dns=subnet.dns_nameservers,
                routes=_routes(subnet.host_routes),
                ra_mode=subnet.ipv6_ra_mode,
                address_mode=subnet.ipv6_address_mode,
            )
            for subnet in sorted(subnets, key=lambda item: item.id)
        ],
        service=_service(rows, service) if service is not None and network.admin_state_up else None,
        vlan=_vlan(network),
        domain=rows.domain.removesuffix("."),
    )


def _vlan(network: Network) -> VlanState | None:
    """Hosts of the release before, which do not know of it, take such a network for one without a way outside."""
    if network.network_type != VLAN or network.segment_physical is None or network.segment_number is None:
        return None
    return VlanState(physical=network.segment_physical, number=network.segment_number)


def _service(rows: Snapshot, port: Port) -> ServiceState | None:
    held = _interfaces(rows, port)
    return ServiceState(port_id=port.id, mac=port.mac_address, addresses=held) if held and port.admin_state_up else None


def _port(rows: Snapshot, port: BoundPort) -> PortState:
    network = rows.networks[port.network_id]
    name, domain = _dns(rows, port)
    return PortState(
        id=port.id,
        network_id=port.network_id,
        mac=port.mac_address,
        addresses=[
            FixedAddress(address=item.address, prefix=_prefix(rows, item), subnet_id=item.subnet_id)
            for item in rows.allocations.get(port.id, [])
            if item.subnet_id in rows.subnets
        ],
        pairs=[
            types.AddressPair(mac=pair["mac_address"], cidr=pair["ip_address"]) for pair in port.allowed_address_pairs
        ],
        security=port.port_security_enabled,
        groups=[key for key in rows.groups_of.get(port.id, []) if key in rows.rules],
        up=port.admin_state_up and network.admin_state_up,
        name=name,
        options=_options(port, domain),
        dns=dns.whole(rows.domain, port.dns_name),
    )


def _dns(rows: Snapshot, port: BoundPort) -> tuple[str, str]:
    """The host name and the domain that DHCP tells; `host-10-0-0-5` for guests that have no name of their own."""
    first = next((item.address for item in rows.allocations.get(port.id, []) if ":" not in item.address), "")
    return dns.told(rows.domain, port.dns_name, first)


def _options(port: BoundPort, domain: str) -> list[types.DhcpOption]:
    """The domain, then the port's own, which are told in place of it where they name one."""
    own = [
        types.DhcpOption(name=item["opt_name"], value=item["opt_value"], version=item["ip_version"])
        for item in port.extra_dhcp_opts
    ]
    return [types.DhcpOption(name=name, value=domain, version=version) for name, version in _DOMAIN if domain] + own


_DOMAIN = (("domain-name", 4), ("domain-search", 6))


def _group(rows: Snapshot, key: str) -> GroupState:
    addresses = rows.more.get("address_groups", {})
    rules = [state for rule in rows.rules[key] for state in rule_states(rule, addresses)]
    return GroupState(id=key, rules=rules, members=sorted(set(rows.members.get(key, []))))


def _router(rows: Snapshot, router: Router) -> RouterState:
    ports = [port for port in rows.legs.get(router.id, []) if port.network_id in rows.networks and port.admin_state_up]
    outer = router.gateway_ports
    inside = [_leg(rows, port) for port in ports if port.id not in outer]
    outside = {port.id: _leg(rows, port) for port in ports if port.id in outer}
    ways = [_gateway(rows, router, outside[key]) for key in outer if key in outside and outside[key].addresses]
    return RouterState(
        id=router.id,
        up=router.admin_state_up,
        legs=sorted((leg for leg in inside if leg.addresses), key=lambda leg: leg.port_id),
        gateway=ways[0] if ways else None,
        more_gateways=ways[1:],
        ecmp=router.enable_default_route_ecmp and len(ways) > 1,
        bfd=router.enable_default_route_bfd,
        floating=[
            FloatingState(
                address=item.floating_ip_address,
                fixed=item.fixed_ip_address,
                gateway=gateway_on(ways, item.floating_network_id),
            )
            for item in sorted(rows.floating, key=lambda item: item.id)
            if item.router_id == router.id and item.fixed_ip_address is not None
        ],
        routes=_routes(router.routes),
    )


def _gateway(rows: Snapshot, router: Router, leg: LegState) -> GatewayState:
    subnets = (rows.subnets.get(item.subnet_id) for item in rows.allocations.get(leg.port_id, []))
    hops: dict[int, str] = {}
    for subnet in subnets:
        if subnet is not None and subnet.gateway_ip:
            hops.setdefault(subnet.ip_version, subnet.gateway_ip)
    nexthops = [hops[version] for version in sorted(hops)]
    return GatewayState(leg=leg, nexthop=nexthops[0] if nexthops else None, snat=router.enable_snat, nexthops=nexthops)


def _leg(rows: Snapshot, port: Port) -> LegState:
    return LegState(
        port_id=port.id, network_id=port.network_id, mac=port.mac_address, addresses=_interfaces(rows, port)
    )


def _interfaces(rows: Snapshot, port: Port) -> list[str]:
    """The port's addresses with their subnets' prefixes."""
    held = rows.allocations.get(port.id, [])
    return [f"{item.address}/{_prefix(rows, item)}" for item in held if item.subnet_id in rows.subnets]


def _prefix(rows: Snapshot, item: Allocation) -> int:
    return addressing.prefix(rows.subnets[item.subnet_id].cidr)


def _routes(routes: Iterable[Mapping[str, str]]) -> list[types.Route]:
    return [types.Route(destination=route["destination"], nexthop=route["nexthop"]) for route in routes]
