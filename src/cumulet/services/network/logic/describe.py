# SPDX-License-Identifier: Apache-2.0
"""Ports and groups in the contract's words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.services.network import contract
from cumulet.services.network.logic import minimums, port_devices, quotas
from cumulet.services.network.logic.addressing import prefix
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.store import quotas as quota_store
from cumulet.services.network.types import Network, Port, SecurityGroup, ServerPort, Subnet
from cumulet.services.network.types.plugs import SOCKET


def ports(source: Source, listed: Sequence[Port | ServerPort]) -> list[contract.PortInfo]:
    """What compute is told of these ports."""
    return _on(source, listed, common.by_id(source, Network, [port.network_id for port in listed]))


def made(source: Source, listed: Sequence[Port]) -> list[contract.PortInfo]:
    """The same of ports that have just become a server's, with whether they ask placement for anything."""
    networks = common.by_id(source, Network, [port.network_id for port in listed])
    policies = {port.id: port.qos_policy_id or networks[port.network_id].qos_policy_id for port in listed}
    asking, infos = minimums.asking(source, policies), _on(source, listed, networks)
    return [msgspec.structs.replace(info, asks_resources=True) if info.id in asking else info for info in infos]


def _on(
    source: Source, listed: Sequence[Port | ServerPort], networks: Mapping[str, Network]
) -> list[contract.PortInfo]:
    keys = [port.id for port in listed]
    held, groups = addresses.of_ports(source, keys), addresses.groups_of(source, keys)
    subnets = common.by_id(source, Subnet, [item.subnet_id for items in held.values() for item in items])
    floating: dict[tuple[str, str], list[str]] = {}
    for item in lookups.floating_of_ports(source, keys):
        floating.setdefault((item.port_id or "", item.fixed_ip_address or ""), []).append(item.floating_ip_address)
    return [
        contract.PortInfo(
            id=port.id,
            network_id=port.network_id,
            network_name=networks[port.network_id].name,
            mac=port.mac_address,
            mtu=networks[port.network_id].mtu,
            status=port.status,
            host=port.host,
            addresses=[
                contract.AddressInfo(
                    address=item.address,
                    prefix=prefix(subnets[item.subnet_id].cidr),
                    subnet=_subnet(subnets[item.subnet_id]),
                    floating=floating.get((port.id, item.address), []),
                )
                for item in held[port.id]
                if item.subnet_id in subnets
            ],
            security_groups=groups[port.id],
            made_for_server=port.made_for_server,
            port_security=port.port_security_enabled,
            tag=port.tag,
            is_device=port.vnic_type in port_devices.KINDS,
            socket=str((port.vif_details or {}).get("vhostuser_socket") or "") if port.vif_type == SOCKET else "",
        )
        for port in listed
        if port.network_id in networks
    ]


def by_server(source: Source, server_ids: list[str]) -> dict[str, list[contract.PortInfo]]:
    """Each server's ports in the order of attachment."""
    listed = lookups.ports_of_servers(source, server_ids)
    owner = {port.id: port.device_id for port in listed}
    found: dict[str, list[contract.PortInfo]] = {}
    for info in ports(source, listed):
        found.setdefault(owner[info.id], []).append(info)
    return found


def groups_on(source: Source, ports: dict[str, list[contract.PortInfo]]) -> dict[str, list[contract.GroupInfo]]:
    """The groups that each server's ports are in, by name."""
    on_ports = {
        server_id: {key for port in listed for key in port.security_groups} for server_id, listed in ports.items()
    }
    known = common.by_id(source, SecurityGroup, {key for keys in on_ports.values() for key in keys})
    return {
        server_id: _named(known[key] for key in keys if key in known) for server_id, keys in on_ports.items() if keys
    }


def usage(cloud: Cloud, source: Source, project_id: str) -> contract.NetworkUsage:
    """Limits and use of the project."""
    limits = quotas.of_project(cloud, source, project_id)
    return contract.NetworkUsage(
        floating_ips=limits["floatingip"],
        floating_ips_used=quota_store.used(source, project_id, "floatingip"),
        security_groups=limits["security_group"],
        security_groups_used=quota_store.used(source, project_id, "security_group"),
        security_group_rules=limits["security_group_rule"],
        ports=limits["port"],
        ports_used=quota_store.used(source, project_id, "port"),
    )


def _named(groups: Iterable[SecurityGroup]) -> list[contract.GroupInfo]:
    return [contract.GroupInfo(id=one.id, name=one.name) for one in sorted(groups, key=lambda one: (one.name, one.id))]


def _subnet(subnet: Subnet) -> contract.SubnetInfo:
    return contract.SubnetInfo(
        id=subnet.id,
        cidr=subnet.cidr,
        version=subnet.ip_version,
        gateway=subnet.gateway_ip,
        dhcp=subnet.enable_dhcp,
        dns=subnet.dns_nameservers,
        routes=[
            contract.Route(destination=route["destination"], nexthop=route["nexthop"]) for route in subnet.host_routes
        ],
    )
