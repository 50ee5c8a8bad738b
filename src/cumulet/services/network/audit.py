# SPDX-License-Identifier: Apache-2.0
"""Whether ports, addresses, routers and floating IPs hang together, and whether hosts have what follows from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from cumulet.kernel.audit import Finding, Look
from cumulet.services.compute.contract import ServersContract
from cumulet.services.network.logic import hosted, port_forwardings, sharing, snapshot
from cumulet.services.network.logic.compile import compile_host, difference
from cumulet.services.network.store import addresses, bindings, common, lookups, security_groups, trunks
from cumulet.services.network.types import (
    ACTIVE,
    KINDS,
    OWNER_COMPUTE,
    OWNER_FLOATING,
    OWNER_ROUTER_GATEWAY,
    OWNER_ROUTER_INTERFACE,
    FloatingIp,
    HostState,
    Network,
    Port,
    QosPolicy,
    RbacPolicy,
    Router,
)
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
    yield from _sharing(look)
    yield from _policies(look, [*ports.values(), *routers.values(), *floating.values()])
    yield from _trunks(look, ports)
    yield from _dhcp(look)
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
        if port.device_owner in (OWNER_ROUTER_INTERFACE, OWNER_ROUTER_GATEWAY) and port.device_id not in routers:
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
        if router.gateway_port_id is not None and router.gateway_port_id not in ports:
            yield look.found(router.id, "router's gateway has no port")


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
        if each.port_id is None:
            continue
        if each.port_id not in ports:
            yield look.found(each.id, f"floating IP leads to port {each.port_id}, which is gone")
        elif each.fixed_ip_address not in [item.address for item in held.get(each.port_id, [])]:
            yield look.found(each.id, f"floating IP leads to {each.fixed_ip_address}, which its port has not")
        if each.router_id is not None and each.router_id not in routers:
            yield look.found(each.id, f"floating IP is translated by router {each.router_id}, which is gone")


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
