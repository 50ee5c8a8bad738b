# SPDX-License-Identifier: Apache-2.0
"""Which hosts a change of rows concerns: asked before it, for what was, and after it, for what is."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel.db import Source
from cumulet.services.network.logic import ipam, spread, trunk_places
from cumulet.services.network.logic.hosting import FEATURES
from cumulet.services.network.logic.hosting.base import Concern
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import (
    OWNER_DHCP,
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
    SecurityGroupRule,
    Subnet,
)
from cumulet.services.network.types.segments import Segment


def of(source: Source, kind: type, keys: Iterable[str]) -> set[str]:
    """The hosts whose state holds something of these rows; none for kinds that no host knows of."""
    found = _CONCERNS.get(kind)
    return found(source, set(keys)) if found is not None else set()


def of_ports(source: Source, ports: Iterable[Port]) -> set[str]:
    """Where the ports and their subports are, who sends frames to them, and whose rules let them in as members."""
    listed = list(ports)
    listed += trunk_places.subports(source, listed)
    seen = {port.network_id for port in listed if port.host or port.device_owner == OWNER_DHCP}
    groups = {key for keys in addresses.groups_of(source, [port.id for port in listed]).values() for key in keys}
    admitting = lookups.groups_admitting(source, groups)
    hosts = {port.host for port in listed} | lookups.hosts_on(source, seen)
    return (hosts | lookups.hosts_of_members(source, admitting)) - {""}


def of_host(source: Source, host: str) -> set[str]:
    """The hosts that share a network with this one, itself among them."""
    return lookups.hosts_on(source, lookups.networks_of_host(source, host)) | {host}


def _of_routers(source: Source, keys: set[str]) -> set[str]:
    routers = common.by_id(source, Router, keys).values()
    legs = lookups.router_interfaces(source, keys)
    return spread.hosts_of(source, routers) | lookups.hosts_on(source, {leg.network_id for leg in legs}) - {""}


def _of_subnets(source: Source, keys: set[str]) -> set[str]:
    """Where guests make their addresses themselves, a subnet is a change of all ports of its network."""
    subnets = common.by_id(source, Subnet, keys).values()
    changed = {one.network_id for one in subnets if one.ipv6_address_mode in ipam.AUTOMATIC}
    moved = of_ports(source, common.find_all(source, Port, network_id=changed)) if changed else set()
    return lookups.hosts_on(source, {one.network_id for one in subnets}) | moved


def _of_port_ids(source: Source, keys: set[str]) -> set[str]:
    return of_ports(source, common.by_id(source, Port, keys).values())


def _of_floating(source: Source, keys: set[str]) -> set[str]:
    held = common.by_id(source, FloatingIp, keys).values()
    return _of_routers(source, {one.router_id for one in held if one.router_id is not None})


def _of_groups(source: Source, keys: set[str]) -> set[str]:
    return lookups.hosts_of_members(source, keys | lookups.groups_admitting(source, keys))


def _of_rules(source: Source, keys: set[str]) -> set[str]:
    rules = common.by_id(source, SecurityGroupRule, keys).values()
    return lookups.hosts_of_members(source, {one.security_group_id for one in rules})


def _of_segments(source: Source, keys: set[str]) -> set[str]:
    return lookups.hosts_on(source, {one.network_id for one in common.by_id(source, Segment, keys).values()})


_CONCERNS: dict[type, Concern] = {
    Network: lookups.hosts_on,
    Subnet: _of_subnets,
    Port: _of_port_ids,
    Router: _of_routers,
    FloatingIp: _of_floating,
    SecurityGroup: _of_groups,
    SecurityGroupRule: _of_rules,
    Segment: _of_segments,
} | {kind: concern for feature in FEATURES for kind, concern in feature.concerns.items()}
