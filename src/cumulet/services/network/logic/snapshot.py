# SPDX-License-Identifier: Apache-2.0
"""The rows that matter to one host, collected."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.services.network.logic import agents, distributed, dns, routed, security_groups, segments
from cumulet.services.network.logic import legs as router_legs
from cumulet.services.network.logic.hosting import FEATURES
from cumulet.services.network.logic.hosting.base import Snapshot
from cumulet.services.network.store import addresses, common, ha, lookups
from cumulet.services.network.types import OWNER_DHCP, TUNNEL, FloatingIp, Network, Port, Subnet
from cumulet.services.network.types.plugs import PLUGGED


def take(cloud: Cloud, host: str) -> Snapshot:
    """What `host` needs: its bound ports, its routers, and all that these touch."""
    source = cloud.db
    everything = lookups.bound_ports(source, host)
    bound = [port for port in everything if port.vif_type not in PLUGGED]
    agent = lookups.agent_of(source, host)
    spread_on = {port.network_id for port in bound} if distributed.can_take_part(agent) else set()
    placed = ha.routers_on(source, host, spread_on)
    legs = {router.id: router_legs.of(source, router) for router in placed}
    touched = {port.network_id for port in bound}
    touched |= {port.network_id for ports in legs.values() for port in ports}
    agent = lookups.agent_of(source, host)
    physical = routed.leads_to(agent.configurations) if agent is not None else set()
    carried = segments.on_host(source, common.by_id(source, Network, touched).values(), physical)
    networks = {network.id: network for network in carried}
    subnets = {subnet.id: subnet for subnet in common.find_all(source, Subnet, network_id=touched)}
    own = common.find_all(source, Port, network_id=touched, device_owner=[OWNER_DHCP])
    groups_of = addresses.groups_of(source, [port.id for port in bound])
    used = sorted({key for keys in groups_of.values() for key in keys})
    rules = security_groups.rules_of(source, used)
    remote = {rule.remote_group_id for listed in rules.values() for rule in listed if rule.remote_group_id}
    routers_own = [port.id for ports in legs.values() for port in ports]
    tunnelled = [network.id for network in networks.values() if network.network_type == TUNNEL]
    here = agents.endpoint_of(agent)
    far = lookups.ports_elsewhere(source, tunnelled, host) if tunnelled and here else []
    endpoints = agents.endpoints(source, {port.host for port in far})
    rows = Snapshot(
        host=host,
        networks=networks,
        domain=dns.domain_of(cloud),
        subnets=subnets,
        bound=bound,
        plugged=[port for port in everything if port.vif_type in PLUGGED],
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
