# SPDX-License-Identifier: Apache-2.0
"""Whether ports, addresses, routers and floating IPs hang together, and whether hosts have what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from cumulet.kernel.audit import Finding, Look
from cumulet.services.compute.contract import ServersContract
from cumulet.services.network.logic import ha as reaches
from cumulet.services.network.logic import hosted, port_forwardings, segments, sharing, snapshot
from cumulet.services.network.logic.compile import compile_host, difference
from cumulet.services.network.store import addresses, bindings, common, ha, lookups, security_groups, trunks
from cumulet.services.network.store import segments as segment_store
from cumulet.services.network.types import (
    ACTIVE,
    DOWN,
    KINDS,
    OWNER_CENTRAL_SNAT,
    OWNER_COMPUTE,
    OWNER_FLOATING,
    OWNER_ROUTER_GATEWAY,
    OWNERS_INSIDE,
    FloatingIp,
    HostState,
    Network,
    Port,
    QosPolicy,
    RbacPolicy,
    Router,
    Subnet,
)
from cumulet.services.network.types.conntrack_helpers import ALLOWED, ConntrackHelper
from cumulet.services.network.types.local_ips import LocalIp, LocalIpAssociation
from cumulet.services.network.types.metering import MeteringLabelRule
from cumulet.services.network.types.ndp_proxies import NdpProxy
from cumulet.services.network.types.port_forwardings import PortForwarding


def audit(look: Look) -> Iterator[Finding]:
    """Every disagreement."""
    db = look.cloud.db
    ports = {each.id: each for each in common.find_all(db, Port)}
    routers = {each.id: each for each in common.find_all(db, Router)}
    floating = {each.id: each for each in common.find_all(db, FloatingIp)}
    yield from _devices(look, ports, routers, floating)
    yield from _routers(look, ports, routers)
    yield from _floating(look, ports, routers, floating)
    yield from _reach(look, routers)
    yield from _sharing(look)
    yield from _policies(look, [*ports.values(), *routers.values(), *floating.values()])
    yield from _trunks(look, ports)
    yield from _dhcp(look)
    yield from _segments(look)
    yield from _helpers(look)
    yield from _proxies(look, routers)
    yield from _metering(look)
    yield from _local_ips(look)
    for each in bindings.on_own_hosts(db):
        yield look.found(each.port_id, f"port has another binding to its own host {each.host}")
    for key in security_groups.ports_in_both(db):
        yield look.found(key, "port is in stateful and in stateless security groups")
    for host, has in look.hosts.items():
        yield from _host(look, host, has)


def _devices(
    look: Look, ports: dict[str, Port], routers: dict[str, Router], floating: dict[str, FloatingIp]
) -> Iterator[Finding]:
    """What a port belongs to exists."""
    for port in ports.values():
        if port.device_owner.startswith(OWNER_COMPUTE) and not _has_server(look, port):
            yield look.found(port.id, f"port of server {port.device_id}, which is gone")
        if port.made_for_server and not port.device_id:
            yield look.found(port.id, "port was made for a server and is left over")
        if (
            port.device_owner in (*OWNERS_INSIDE, OWNER_ROUTER_GATEWAY, OWNER_CENTRAL_SNAT)
            and port.device_id not in routers
        ):
            yield look.found(port.id, f"port of router {port.device_id}, which is gone")
        if port.device_owner == OWNER_FLOATING and port.device_id not in floating:
            yield look.found(port.id, f"port of floating IP {port.device_id}, which is gone")


def _has_server(look: Look, port: Port) -> bool:
    """Whether the port's server is there, or is being worked on; a user may call any device a server."""
    if not port.host or port.device_id in look.busy or not look.cloud.contracts.offers(ServersContract):
        return True
    return look.cloud.contracts.use(ServersContract).server(look.cloud.db, port.device_id) is not None


def _routers(look: Look, ports: dict[str, Port], routers: dict[str, Router]) -> Iterator[Finding]:
    for router in routers.values():
        if set(router.gateway_ports) - ports.keys():
            yield look.found(router.id, "router's gateway has no port")
    named = {key for router in routers.values() for key in router.gateway_ports}
    for port in ports.values():
        if port.device_owner == OWNER_ROUTER_GATEWAY and port.device_id in routers and port.id not in named:
            yield look.found(port.id, f"port is a gateway of router {port.device_id}, which does not know it")


def _reach(look: Look, routers: dict[str, Router]) -> Iterator[Finding]:
    """Routers on several hosts are noted at the networks where they are so, and no others are."""
    db = look.cloud.db
    wanted = {(key, each.id) for each in routers.values() for key in reaches.reach_of(db, each)}
    for network_id, router_id in sorted(wanted ^ set(map(tuple, ha.all_reaching(db)))):
        yield look.found(router_id, f"router is noted at network {network_id} or not, its ports say otherwise")


def _floating(
    look: Look, ports: dict[str, Port], routers: dict[str, Router], floating: dict[str, FloatingIp]
) -> Iterator[Finding]:
    held = addresses.of_ports(look.cloud.db, [each.port_id for each in floating.values() if each.port_id])
    forwarding = {each.floatingip_id for each in common.find_all(look.cloud.db, PortForwarding)}
    for each in floating.values():
        if each.floating_port_id not in ports:
            yield look.found(each.id, "floating IP has no port that holds its address")
        if (each.id in forwarding) != port_forwardings.are_of(each):
            yield look.found(each.id, "floating IP forwards ports without a router, or has a router for nothing")
        if each.router_id is None and each.status != DOWN:
            yield look.found(each.id, f"floating IP is {each.status} without a router")
        if each.port_id is None:
            continue
        if each.port_id not in ports:
            yield look.found(each.id, f"floating IP leads to port {each.port_id}, which is gone")
        elif each.fixed_ip_address not in [item.address for item in held.get(each.port_id, [])]:
            yield look.found(each.id, f"floating IP leads to {each.fixed_ip_address}, which its port has not")
        if each.router_id is not None and each.router_id not in routers:
            yield look.found(each.id, f"floating IP is translated by router {each.router_id}, which is gone")


def _segments(look: Look) -> Iterator[Finding]:
    """What networks' rows say of their segments is so, and subnets are on segments of their own networks."""
    db = look.cloud.db
    networks = common.find_all(db, Network)
    held = segment_store.of_networks(db, [each.id for each in networks])
    for each in networks:
        there = held.get(each.id, [])
        first = segments.carrier(there[0]) if there else None
        said = (each.network_type, each.segment_physical, each.segment_number)
        if each.segment_count != len(there) or (first is not None and first != said):
            yield look.found(each.id, "network's row does not say what its segments are")
    owners = {one.id: key for key, listed in held.items() for one in listed}
    for subnet in common.find_all(db, Subnet):
        if subnet.segment_id is not None and owners.get(subnet.segment_id) != subnet.network_id:
            yield look.found(subnet.id, f"subnet is on segment {subnet.segment_id}, which its network has not")


def _policies(look: Look, others: list[Port | Router | FloatingIp]) -> Iterator[Finding]:
    """QoS policies that are attached to something exist; a project has one default at most."""
    db = look.cloud.db
    there = {each.id: each for each in common.find_all(db, QosPolicy)}
    for each in (*common.find_all(db, Network), *others):
        attached = each.gateway_qos_policy_id if isinstance(each, Router) else each.qos_policy_id
        if attached is not None and attached not in there:
            yield look.found(each.id, f"has the QoS policy {attached}, which is gone")
    defaults = Counter(each.project_id for each in there.values() if each.is_default)
    for project_id, number in defaults.items():
        if number > 1:
            yield look.found(project_id, f"project has {number} default QoS policies")


def _trunks(look: Look, ports: dict[str, Port]) -> Iterator[Finding]:
    inside = trunks.members(look.cloud.db)
    for port in ports.values():
        if port.trunk_id != inside.get(port.id):
            yield look.found(port.id, f"port is said to be in trunk {port.trunk_id}, and is in {inside.get(port.id)}")


def _dhcp(look: Look) -> Iterator[Finding]:
    """Networks say whether any DHCP agent hosts them."""
    networks = common.find_all(look.cloud.db, Network)
    found = hosted.served(look.cloud.db, {network.id for network in networks})
    for network in networks:
        if network.dhcp_served != (network.id in found):
            said = "is" if network.dhcp_served else "is not"
            yield look.found(network.id, f"network {said} answered by DHCP, its agents say otherwise")


def _helpers(look: Look) -> Iterator[Finding]:
    """Routers read along what there is to be read."""
    for each in common.find_all(look.cloud.db, ConntrackHelper):
        if each.protocol not in ALLOWED.get(each.helper, ()):
            yield look.found(each.id, f"router {each.router_id} reads along {each.helper} over {each.protocol}")


def _proxies(look: Look, routers: dict[str, Router]) -> Iterator[Finding]:
    """Routers answer for addresses that ports have."""
    proxies = common.find_all(look.cloud.db, NdpProxy)
    held = addresses.of_ports(look.cloud.db, [each.port_id for each in proxies]) if proxies else {}
    for each in proxies:
        if each.ip_address not in [item.address for item in held.get(each.port_id, [])]:
            yield look.found(each.id, f"NDP proxy is for {each.ip_address}, which its port has not")
        if each.router_id not in routers or routers[each.router_id].gateway_port_id is None:
            yield look.found(each.id, f"NDP proxy is on router {each.router_id}, which has no gateway")


def _metering(look: Look) -> Iterator[Finding]:
    """Rules of metering labels say what they count in one of the two ways."""
    for each in common.find_all(look.cloud.db, MeteringLabelRule):
        if (each.remote_ip_prefix is None) == (each.source_ip_prefix is None and each.destination_ip_prefix is None):
            yield look.found(each.id, "metering rule names both remote addresses and ends, or none of them")


def _local_ips(look: Look) -> Iterator[Finding]:
    """Local IPs are addresses of their ports, and mean addresses that ports have."""
    local = common.find_all(look.cloud.db, LocalIp)
    meant = common.find_all(look.cloud.db, LocalIpAssociation) if local else []
    ends = [(each.id, each.local_port_id, each.local_ip_address) for each in local]
    ends += [(each.id, each.fixed_port_id, each.fixed_ip) for each in meant]
    held = addresses.of_ports(look.cloud.db, [port_id for _, port_id, _ in ends]) if ends else {}
    for key, port_id, address in ends:
        if address not in [item.address for item in held.get(port_id, [])]:
            yield look.found(key, f"local IP has or means {address}, which port {port_id} has not")


def _sharing(look: Look) -> Iterator[Finding]:
    """What RBAC policies are about exists, and its row says what they say."""
    policies: dict[str, list[RbacPolicy]] = {}
    for each in common.find_all(look.cloud.db, RbacPolicy):
        policies.setdefault(each.object_id, []).append(each)
    for shareable in sharing.SHAREABLE.values():
        for row in common.find_all(look.cloud.db, shareable.kind):
            said = sharing.flags(policies.pop(row.id, []))
            for name in (name for name, value in said.items() if getattr(row, name) != value):
                yield look.found(
                    row.id,
                    f"{shareable.name} is {'' if getattr(row, name) else 'not '}{name}, its policies say otherwise",
                )
    for lost in (each for listed in policies.values() for each in listed):
        yield look.found(lost.id, f"RBAC policy on {lost.object_type} {lost.object_id}, which is gone")


def _host(look: Look, host: str, has: dict[str, Any]) -> Iterator[Finding]:
    """The host's network is what the rows say, and its ports stand that should."""
    there = msgspec.convert(has["state"], HostState)
    delta = difference(there, compile_host(snapshot.take(look.cloud, host)))
    for kind in KINDS:
        for each in getattr(delta, kind.name):
            yield look.found(each.id, f"host {host} has not the {kind.word} as it should be")
    for name in sorted({kind.gone for kind in KINDS}):
        words = " or ".join(kind.word for kind in KINDS if kind.gone == name)
        for gone in getattr(delta, name):
            yield look.found(gone, f"host {host} has a {words} that is not there")
    for key, reason in has["failed"].items():
        yield look.found(key, f"host {host} could not make an object of the network: {reason}")
    standing = set(has["ports"])
    for port in lookups.bound_ports(look.cloud.db, host):
        if (port.status == ACTIVE) != (port.id in standing):
            yield look.found(port.id, f"port is {port.status}, and stands{'' if port.id in standing else ' not'}")
