# SPDX-License-Identifier: Apache-2.0
"""What can be done with subnets."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import (
    access,
    addressing,
    ipam,
    ports,
    quotas,
    routed,
    segment_inventories,
    segments,
    subnet_pools,
)
from cumulet.services.network.logic.faults import bad, fault, invalid
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import OWNER_DHCP, OWNERS_INSIDE, Network, Port, Subnet, SubnetPool

MOST_NAME_SERVERS = 5
MOST_ROUTES = 20
_PLAIN = ("name", "enable_dhcp", "dns_nameservers", "host_routes", "service_types", "description")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> Subnet:
    """A new subnet from its attributes; with DHCP, the network's own service port comes to have an address on it."""
    network = access.get(tx, ctx, Network, values["network_id"])
    quotas.take(cloud, tx, values["project_id"], subnet=1)
    version, pool = values["ip_version"], subnet_pools.wanted_by(tx, ctx, values)
    segments.check_mtu(network.id, network.mtu, version)
    cidr = _cidr(tx, values, pool)
    subnet_pools.check_affinity(tx, network, version, pool)
    values = {"dns_nameservers": [], "host_routes": [], "service_types": [], **values}
    _check_range(values, cidr)
    _check_modes(values, cidr)
    gateway = values["gateway_ip"] if "gateway_ip" in values else _default_gateway(cidr)
    _check_gateway(gateway, cidr)
    _check_lists("new subnet", values, version)
    pools = values.get("allocation_pools")
    if pools is not None:
        addressing.check_pools(pools, cidr, gateway)
    there = common.find_all(tx, Subnet, network_id=[network.id])
    _check_no_overlap(network, there, cidr)
    segment_id = values.get("segment_id")
    routed.check_new(tx, network.id, there, segment_id, values["service_types"])
    now = clock.utcnow()
    subnet = Subnet(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        network_id=network.id,
        name=values["name"],
        ip_version=version,
        cidr=cidr,
        gateway_ip=gateway,
        enable_dhcp=values["enable_dhcp"],
        allocation_pools=(
            addressing.default_pools(cidr, gateway) if pools is None else addressing.check_pools(pools, cidr, gateway)
        ),
        dns_nameservers=values["dns_nameservers"],
        host_routes=values["host_routes"],
        ipv6_ra_mode=values.get("ipv6_ra_mode"),
        ipv6_address_mode=values.get("ipv6_address_mode"),
        subnetpool_id=pool.id if pool is not None else None,
        service_types=values["service_types"],
        description=values["description"],
        tags=[],
        revision_number=0,
        created_at=now,
        updated_at=now,
        **common.optional(Subnet, values),
    )
    if segment_id is not None:
        subnet = msgspec.structs.replace(subnet, host_routes=routed.peer_routes(subnet, there, subnet.host_routes))
    common.add(tx, subnet)
    if segment_id is not None:
        routed.spread(tx, network.id)
    common.touch(tx, Network, network.id)
    ipam.extend(tx, subnet)
    serve(tx, network.id)
    if segment_id is not None:
        segment_inventories.settle(cloud, tx, [segment_id])
    return subnet


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Subnet:
    """Change attributes; the gateway's address cannot move away from under a router."""
    subnet = access.must(tx, Subnet, key)
    gateway = values.get("gateway_ip", subnet.gateway_ip)
    _check_lists(key, values, subnet.ip_version)
    if values.get("enable_dhcp"):
        _check_range({"enable_dhcp": True, "ip_version": subnet.ip_version}, subnet.cidr)
    changes = {name: values[name] for name in _PLAIN if name in values} | common.optional(Subnet, values)
    if gateway != subnet.gateway_ip:
        _check_gateway(gateway, subnet.cidr)
        _check_gateway_free(tx, subnet)
        changes["gateway_ip"] = gateway
    if "allocation_pools" in values or "gateway_ip" in changes:
        pools = values.get("allocation_pools", subnet.allocation_pools)
        changes["allocation_pools"] = addressing.check_pools(pools, subnet.cidr, gateway)
    if "segment_id" in values:
        routed.check_move(tx, subnet, values["segment_id"])
    if changes.get("segment_id", subnet.segment_id) is not None:
        changes |= routed.rerouted(tx, subnet, changes)
    common.change(tx, Subnet, key, changes)
    if "segment_id" in values:
        routed.spread(tx, subnet.network_id)
    serve(tx, subnet.network_id)
    placed = (subnet.segment_id, changes.get("segment_id"))
    segment_inventories.settle(cloud, tx, [key for key in placed if key is not None])
    return access.must(tx, Subnet, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a subnet from which only the cloud's own service port still has an address."""
    subnet = access.must(tx, Subnet, key)
    holders = addresses.ports_on_subnet(tx, key)
    if any(port.device_owner in OWNERS_INSIDE for port in holders):
        raise fault("SubnetInUse", id=key, reason="One or more ports have an IP allocation from this subnet")
    if any(port.device_owner != OWNER_DHCP for port in holders) and not _all_automatic(subnet):
        raise fault("SubnetInUse", id=key, reason="One or more ports have an IP allocation from this subnet")
    if subnet.segment_id is not None and _is_all_of_one(tx, key, holders):
        raise fault("SubnetInUse", id=key, reason="One or more ports have an IP allocation from this subnet")
    for port in holders:
        kept = [item for item in addresses.of_ports(tx, [port.id])[port.id] if item.subnet_id != key]
        addresses.put(tx, port.id, kept)
    common.remove(tx, Subnet, [key])
    if subnet.segment_id is not None:
        routed.spread(tx, subnet.network_id, gone=subnet.cidr)
    common.touch(tx, Network, subnet.network_id)
    serve(tx, subnet.network_id)
    if subnet.segment_id is not None:
        segment_inventories.settle(cloud, tx, [subnet.segment_id])


def serve(tx: Tx, network_id: str) -> None:
    """Make the network's service port fit its subnets: one address on each subnet with DHCP, no port without."""
    wanted = [subnet for subnet in common.find_all(tx, Subnet, network_id=[network_id]) if subnet.enable_dhcp]
    network = access.must(tx, Network, network_id)
    found = common.find_all(tx, Port, network_id=[network_id], device_owner=[OWNER_DHCP])
    if not wanted:
        ports.remove(tx, found)
        return
    if not found:
        fixed = [{"subnet_id": subnet.id} for subnet in wanted]
        device = f"dhcp-{network_id}"
        ports.make_own(tx, network, OWNER_DHCP, device, fixed, project_id=network.project_id)
        return
    have = addresses.of_ports(tx, [found[0].id])[found[0].id]
    if {item.subnet_id for item in have} != {subnet.id for subnet in wanted}:
        kept = {item.subnet_id: item.address for item in have}
        fixed = [
            {"subnet_id": subnet.id, **({"ip_address": kept[subnet.id]} if subnet.id in kept else {})}
            for subnet in wanted
        ]
        ports.readdress(tx, found[0], fixed)


def _cidr(tx: Tx, values: dict[str, Any], pool: SubnetPool | None) -> str:
    """The range asked for; where a pool is to give one, what it gives."""
    length = values.get("prefixlen")
    if values.get("cidr") is None:
        return _cut(tx, values, pool, length)
    if length is not None:
        raise bad("subnets", "cidr and prefixlen must not be supplied together")
    network = ipaddress.ip_network(values["cidr"], strict=False)
    if network.version != values["ip_version"]:
        raise invalid(f"cidr '{values['cidr']}' does not match the ip_version '{values['ip_version']}'")
    if pool is not None:
        subnet_pools.allocate(tx, pool, values["project_id"], str(network), None)
    return str(network)


def _cut(tx: Tx, values: dict[str, Any], pool: SubnetPool | None, length: int | None) -> str:
    """A range of a pool; a gateway that is named says which one."""
    if pool is None:
        raise bad("subnets", "a subnetpool must be specified in the absence of a cidr")
    if values.get("allocation_pools") is not None:
        raise bad("subnets", "allocation_pools allowed only for specific subnet requests.")
    gateway = values.get("gateway_ip")
    if gateway is None:
        return subnet_pools.allocate(tx, pool, values["project_id"], None, length)
    _check_gateway_version(gateway, pool.ip_version)
    bits = pool.default_prefixlen if length is None else length
    if bits > subnet_pools.BITS[pool.ip_version]:
        raise fault("MaxPrefixSubnetAllocationError", prefixlen=bits, max_prefixlen=pool.max_prefixlen)
    around = str(ipaddress.ip_network(f"{gateway}/{bits}", strict=False))
    return subnet_pools.allocate(tx, pool, values["project_id"], around, None)


def _default_gateway(cidr: str) -> str | None:
    network = ipaddress.ip_network(cidr)
    return str(network[1]) if network.num_addresses > 1 else str(network[0])


def _check_range(values: dict[str, Any], cidr: str) -> None:
    network = ipaddress.ip_network(cidr)
    if str(network) == "::/0":
        raise invalid("IPv6 subnet '::' is not supported")
    if network.prefixlen == 0:
        raise invalid("0 is not allowed as CIDR prefix length")
    if not values["enable_dhcp"]:
        return
    if network.prefixlen > (30 if network.version == 4 else 126):
        raise invalid("Subnet has a prefix length that is incompatible with DHCP service enabled")
    if network.is_multicast:
        raise invalid("Multicast IP subnet is not supported if enable_dhcp is True")
    if network.is_loopback:
        raise invalid("Loopback IP subnet is not supported if enable_dhcp is True")
    if network.version == 4 and int(network[0]) == 0:
        raise invalid("First IP '0.0.0.0' of network is not supported if enable_dhcp is True.")


def _check_modes(values: dict[str, Any], cidr: str) -> None:
    ra_mode, address_mode = values.get("ipv6_ra_mode"), values.get("ipv6_address_mode")
    if ra_mode is None and address_mode is None:
        return
    if values["ip_version"] == 4:
        raise invalid(f"{'ipv6_ra_mode' if ra_mode else 'ipv6_address_mode'} is not valid when ip_version is 4")
    if not values["enable_dhcp"]:
        raise invalid("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
    if ra_mode and address_mode and ra_mode != address_mode:
        raise invalid(
            f"ipv6_ra_mode set to '{ra_mode}' with ipv6_address_mode set to '{address_mode}' is not valid. "
            "If both attributes are set, they must be the same value"
        )
    if address_mode in ("slaac", "dhcpv6-stateless") and addressing.prefix(cidr) != 64:
        raise invalid(
            f"Invalid CIDR {cidr} for IPv6 address mode. OpenStack uses the EUI-64 address format, "
            "which requires the prefix to be /64"
        )


def _check_no_overlap(network: Network, there: list[Subnet], cidr: str) -> None:
    for other in there:
        if addressing.overlap(cidr, other.cidr):
            raise invalid(f"Requested subnet with cidr: {cidr} for network: {network.id} overlaps with another subnet")


def _check_gateway(gateway: str | None, cidr: str) -> None:
    if gateway is None:
        return
    _check_gateway_version(gateway, ipaddress.ip_network(cidr).version)
    if addressing.within(gateway, cidr) and not addressing.is_host(gateway, cidr) and ":" not in gateway:
        raise invalid("Gateway is not valid on subnet")


def _check_gateway_version(gateway: str, version: int) -> None:
    if ipaddress.ip_address(gateway).version != version:
        raise invalid(f"gateway_ip '{gateway}' does not match the ip_version '{version}'")


def _check_gateway_free(tx: Tx, subnet: Subnet) -> None:
    if subnet.gateway_ip is None:
        return
    holder = addresses.holder(tx, subnet.network_id, subnet.gateway_ip)
    if holder is not None and holder.device_owner in OWNERS_INSIDE:
        raise fault("GatewayIpInUse", address=subnet.gateway_ip, port_id=holder.id)


def _check_lists(key: str, values: dict[str, Any], version: int) -> None:
    servers, routes = values.get("dns_nameservers") or [], values.get("host_routes") or []
    if len(servers) > MOST_NAME_SERVERS:
        raise fault("DNSNameServersExhausted", id=key, quota=MOST_NAME_SERVERS)
    if len(routes) > MOST_ROUTES:
        raise fault("HostRoutesExhausted", id=key, quota=MOST_ROUTES)
    named = [("dns_nameserver", server) for server in servers]
    named += [(name, route[name].partition("/")[0]) for route in routes for name in ("nexthop", "destination")]
    for name, text in named:
        if ipaddress.ip_address(text).version != version:
            raise invalid(f"{name} '{text}' does not match the ip_version '{version}'")


def _is_all_of_one(tx: Tx, key: str, holders: list[Port]) -> bool:
    """Whether a port of somebody's has all its addresses on the subnet."""
    held = addresses.of_ports(tx, [port.id for port in holders if port.device_owner != OWNER_DHCP])
    return any(all(item.subnet_id == key for item in listed) for listed in held.values())


def _all_automatic(subnet: Subnet) -> bool:
    return subnet.ipv6_address_mode in ipam.AUTOMATIC
