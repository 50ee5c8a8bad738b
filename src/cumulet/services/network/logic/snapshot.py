# SPDX-License-Identifier: Apache-2.0
"""The rows that matter to one host, collected."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.services.network.logic import agents, dns, routers, security_groups
from cumulet.services.network.logic.hosting import FEATURES
from cumulet.services.network.logic.hosting.base import Snapshot
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import OWNER_DHCP, TUNNEL, FloatingIp, Network, Port, Router, Subnet


def take(cloud: Cloud, host: str) -> Snapshot:
    """What `host` needs: its bound ports, its routers, and all that these touch."""
    source = cloud.db
    bound = lookups.bound_ports(source, host)
    placed = common.find_all(source, Router, host=[host])
    legs = {router.id: routers.legs(source, router) for router in placed}
    touched = {port.network_id for port in bound}
    touched |= {port.network_id for ports in legs.values() for port in ports}
    networks = common.by_id(source, Network, touched)
    subnets = {subnet.id: subnet for subnet in common.find_all(source, Subnet, network_id=touched)}
    own = common.find_all(source, Port, network_id=touched, device_owner=[OWNER_DHCP])
    groups_of = addresses.groups_of(source, [port.id for port in bound])
    used = sorted({key for keys in groups_of.values() for key in keys})
    rules = security_groups.rules_of(source, used)
    remote = {rule.remote_group_id for listed in rules.values() for rule in listed if rule.remote_group_id}
    routers_own = [port.id for ports in legs.values() for port in ports]
    tunnelled = [network.id for network in networks.values() if network.network_type == TUNNEL]
    here = agents.endpoint(source, host)
    far = lookups.ports_elsewhere(source, tunnelled, host) if tunnelled and here else []
    endpoints = agents.endpoints(source, {port.host for port in far})
    rows = Snapshot(
        networks=networks,
        domain=dns.domain_of(cloud),
        subnets=subnets,
        bound=bound,
        groups_of=groups_of,
        rules={**{key: [] for key in sorted(remote)}, **rules},
        members=addresses.members(source, remote),
        routers=placed,
        legs=legs,
        floating=common.find_all(source, FloatingIp, router_id=[router.id for router in placed]),
        services={port.network_id: port for port in own},
        allocations=addresses.of_ports(
            source, [*(port.id for port in bound), *(port.id for port in own), *routers_own]
        ),
        far=far,
        far_addresses=addresses.of_far_ports(source, {port.network_id for port in far}) if far else {},
        endpoints={name: address for name, address in endpoints.items() if address != here},
    )
    for feature in FEATURES:
        feature.take(source, rows)
    return rows
