# SPDX-License-Identifier: Apache-2.0
"""The ways out of routers: the first, which `external_gateway_info` tells, and more beside it.

A gateway is asked for as `{"network_id", "external_fixed_ips", "enable_snat", "qos_policy_id"}`; the last two are the
router's, and the first gateway's word on them counts.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, ha, legs, ndp_proxies, ports, qos_use
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import OWNER_ROUTER_GATEWAY, FloatingIp, Network, Port, Router, Subnet

Info = dict[str, Any]


def hold_policy(tx: Tx, ctx: Context, info: Info) -> None:
    """The QoS policy that the gateway is to have stays there; its lock comes before a quota's, as it does elsewhere."""
    if info.get("qos_policy_id") is not None:
        qos_use.attach(tx, ctx, info["qos_policy_id"])


def set_first(tx: Tx, ctx: Context, router: Router, info: Info) -> None:
    """Lead the router out by another network, by other addresses, or not by this gateway (no `network_id`).

    Another of its gateways takes the place of one that goes.
    """
    network_id = info.get("network_id")
    network = _external(tx, ctx, network_id) if network_id is not None else None
    wanted = info.get("external_fixed_ips") or None
    if network is not None:
        _check_addresses(tx, network, wanted or [])
    legs.check_routes_stay(tx, router, network_id)
    common.set_quietly(tx, Router, [router.id], {"enable_snat": info.get("enable_snat", True)})
    if network is None:
        if router.gateway_port_id is not None:
            _check_no_floating(tx, router)
            _drop_first(tx, router)
            common.set_quietly(tx, Router, [router.id], {"gateway_qos_policy_id": None, "enable_ndp_proxy": False})
        return
    if "qos_policy_id" in info:
        common.set_quietly(tx, Router, [router.id], {"gateway_qos_policy_id": info["qos_policy_id"]})
    if router.gateway_network_id == network.id and router.gateway_port_id is not None:
        if wanted is not None:
            ports.readdress(tx, access.must(tx, Port, router.gateway_port_id), wanted)
        return
    if router.gateway_port_id is not None:
        _check_no_floating(tx, router)
    _check_no_overlap(tx, router, network, leaving=router.gateway_port_id)
    old = router.gateway_port_id
    port = _make_port(tx, router, network, wanted)
    common.set_quietly(tx, Router, [router.id], {"gateway_network_id": network.id, "gateway_port_id": port.id})
    if old is not None:
        ports.remove(tx, common.find_all(tx, Port, id=[old]))


def check_proxies(tx: Tx, router: Router, info: Info, values: Info) -> None:
    """Refuse a change of the first gateway that takes from under NDP proxies what they need.

    `values` are what else is to be changed.
    """
    if router.gateway_port_id is not None and info.get("network_id") != router.gateway_network_id:
        ndp_proxies.check_gateway_goes(tx, router, {} if info else values)
    elif info.get("external_fixed_ips"):
        ndp_proxies.check_gateway_addresses(tx, router, info["external_fixed_ips"])


def add(tx: Tx, ctx: Context, router: Router, wanted: list[Info]) -> None:
    """Lead the router out by these too; the first of them becomes its first where it has none."""
    for info in wanted:
        router = access.must(tx, Router, router.id)
        if router.gateway_port_id is None:
            hold_policy(tx, ctx, info)
            set_first(tx, ctx, router, info)
        else:
            _add_one(tx, router, _checked(tx, ctx, info), info.get("external_fixed_ips") or None)
    ha.reached(tx, router)


def remove(tx: Tx, ctx: Context, router: Router, wanted: list[Info]) -> None:
    """Take away the gateways that these mean: by their network, or by any of their addresses."""
    if wanted and not router.gateway_ports:
        raise fault("UnableToRemoveGateways", id=router.id)
    for info in wanted:
        _checked(tx, ctx, info)
    meant, missing = _match(tx, router, wanted, strictly=True)
    if missing:
        raise fault("UnableToMatchGateways", id=router.id)
    _remove_ports(tx, ctx, router, meant)
    _check_routes(tx, router.id)
    ha.reached(tx, router)


def update(tx: Tx, ctx: Context, router: Router, wanted: list[Info]) -> None:
    """Make these the router's gateways, the first of them its first: what there is of them is changed, the rest made.

    None at all takes every gateway away.
    """
    if not wanted:
        _remove_ports(tx, ctx, router, router.gateway_ports)
        _check_routes(tx, router.id)
        ha.reached(tx, router)
        return
    for info in wanted:
        _checked(tx, ctx, info)
    hold_policy(tx, ctx, wanted[0])
    meant, _ = _match(tx, router, wanted[:1], strictly=False)
    if meant:
        router = _put_first(tx, router, next(iter(meant)))
    check_proxies(tx, router, wanted[0], {})
    set_first(tx, ctx, router, wanted[0])
    router = access.must(tx, Router, router.id)
    meant, missing = _match(tx, router, wanted[1:], strictly=False)
    for key, info in meant.items():
        if info.get("external_fixed_ips"):
            ports.readdress(tx, access.must(tx, Port, key), info["external_fixed_ips"])
    left = [key for key in router.gateway_ports[1:] if key not in meant]
    _remove_ports(tx, ctx, router, left)
    add(tx, ctx, router, missing)
    _check_routes(tx, router.id)


def drop_all(tx: Tx, router: Router) -> None:
    """Take the gateways of a router away that goes itself."""
    gone = router.gateway_ports
    if gone:
        none: dict[str, Any] = {"gateway_network_id": None, "gateway_port_id": None, "more_gateways": []}
        common.set_quietly(tx, Router, [router.id], none)
        ports.remove(tx, common.find_all(tx, Port, id=gone))


def _external(tx: Tx, ctx: Context, network_id: str) -> Network:
    network = access.get(tx, ctx, Network, network_id)
    if not network.external:
        raise bad("router", f"Network {network_id} is not an external network")
    return network


def _checked(tx: Tx, ctx: Context, info: Info) -> Network:
    """The network of a gateway that is asked for; what is wrong with it is refused."""
    network = _external(tx, ctx, info["network_id"])
    _check_addresses(tx, network, info.get("external_fixed_ips") or [])
    return network


def _check_routes(tx: Tx, router_id: str) -> None:
    """What is routed is still reached by the gateways that are there now."""
    router = access.must(tx, Router, router_id)
    if router.routes:
        legs.check_routes(tx, router, router.routes)


def _check_addresses(tx: Tx, network: Network, wanted: list[dict[str, str]]) -> None:
    gateways = {subnet.gateway_ip for subnet in common.find_all(tx, Subnet, network_id=[network.id])}
    for item in wanted:
        if item.get("ip_address") in gateways - {None}:
            raise bad("router", f"External IP {item['ip_address']} is the same as the gateway IP")


def _check_no_floating(tx: Tx, router: Router) -> None:
    if common.find_all(tx, FloatingIp, router_id=[router.id]):
        raise fault("RouterExternalGatewayInUseByFloatingIp", id=router.id, network_id=router.gateway_network_id)


def _check_no_overlap(tx: Tx, router: Router, network: Network, leaving: str | None = None) -> None:
    """The outside must not have addresses of the inside, nor of others outside; `leaving` is the port that goes."""
    inside = addresses.of_ports(tx, [port.id for port in lookups.router_interfaces(tx, [router.id])])
    used = {item.subnet_id for items in inside.values() for item in items}
    others = {
        other
        for other, key in zip(router.gateway_networks, router.gateway_ports, strict=True)
        if key != leaving and other != network.id
    }
    known = list(common.by_id(tx, Subnet, used).values())
    known += common.find_all(tx, Subnet, network_id=others) if others else []
    for one in known:
        for other in common.find_all(tx, Subnet, network_id=[network.id]):
            legs.check_disjoint(one, other)


def _make_port(tx: Tx, router: Router, network: Network, wanted: list[dict[str, str]] | None) -> Port:
    return ports.make_own(tx, network, OWNER_ROUTER_GATEWAY, router.id, wanted, host=router.host)


def _add_one(tx: Tx, router: Router, network: Network, wanted: list[dict[str, str]] | None) -> None:
    _check_no_overlap(tx, router, network)
    port = _make_port(tx, router, network, wanted)
    more = [*router.more_gateways, {"network_id": network.id, "port_id": port.id}]
    common.set_quietly(tx, Router, [router.id], {"more_gateways": more})


def _drop_first(tx: Tx, router: Router) -> None:
    """Take the first gateway away; the next one takes its place."""
    first, *more = router.more_gateways or [{}]
    columns = {"gateway_network_id": first.get("network_id"), "gateway_port_id": first.get("port_id")}
    common.set_quietly(tx, Router, [router.id], {**columns, "more_gateways": more})
    ports.remove(tx, common.find_all(tx, Port, id=[str(router.gateway_port_id)]))


def _put_first(tx: Tx, router: Router, port_id: str) -> Router:
    """Make another of the gateways the first."""
    pairs = list(zip(router.gateway_networks, router.gateway_ports, strict=True))
    (network_id, _), *_ = [pair for pair in pairs if pair[1] == port_id]
    more = [{"network_id": network, "port_id": key} for network, key in pairs if key != port_id]
    columns = {"gateway_network_id": network_id, "gateway_port_id": port_id, "more_gateways": more}
    common.set_quietly(tx, Router, [router.id], columns)
    return access.must(tx, Router, router.id)


def _remove_ports(tx: Tx, ctx: Context, router: Router, gone: Collection[str]) -> None:
    """Take away the gateways with these ports, the first one last."""
    for each in [each for each in router.more_gateways if each["port_id"] in gone]:
        router = access.must(tx, Router, router.id)
        floating = common.find_all(tx, FloatingIp, router_id=[router.id], floating_network_id=[each["network_id"]])
        if floating and router.gateway_networks.count(each["network_id"]) < 2:
            raise fault("RouterExternalGatewayInUseByFloatingIp", id=router.id, network_id=each["network_id"])
        more = [other for other in router.more_gateways if other != each]
        common.set_quietly(tx, Router, [router.id], {"more_gateways": more})
        ports.remove(tx, common.find_all(tx, Port, id=[each["port_id"]]))
    if router.gateway_port_id in gone:
        check_proxies(tx, router, {}, {})
        set_first(tx, ctx, access.must(tx, Router, router.id), {})


def _match(tx: Tx, router: Router, wanted: list[Info], *, strictly: bool) -> tuple[dict[str, Info], list[Info]]:
    """The ports of gateways that are meant, with what was said of each; and what means none that is there.

    UnableToMatchGateways where a network alone does not say which, or, if `strictly`, addresses are no gateway's.
    """
    held = addresses.of_ports(tx, router.gateway_ports)
    meant: dict[str, Info] = {}
    missing = []
    for info in wanted:
        pairs = zip(router.gateway_networks, router.gateway_ports, strict=True)
        there = [key for network_id, key in pairs if network_id == info["network_id"]]
        named = info.get("external_fixed_ips") or []
        asked = {ipaddress.ip_address(item["ip_address"]) for item in named if "ip_address" in item}
        if named:
            found = [key for key in there if asked & {ipaddress.ip_address(item.address) for item in held[key]}][:1]
        else:
            found = there
        if len(found) > 1 or (there and not found and strictly):
            raise fault("UnableToMatchGateways", id=router.id)
        if found:
            meant[found[0]] = info
        else:
            missing.append(info)
    return meant, missing
