# SPDX-License-Identifier: Apache-2.0
"""Routers: a namespace each, a cable to every bridge, NAT, and floating addresses that are announced."""

from __future__ import annotations

import ipaddress

from cumulet.services.network.drivers.fabric import names, nat, nft
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.metadata import MetadataServer
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import GatewayState, LegState, NetworkState, RouterState


class Routers:
    """Brings router namespaces to their state; works on the engine's thread only."""

    def __init__(self, mark: str, metadata: MetadataServer) -> None:
        self._mark = mark
        self._metadata = metadata

    def namespace(self, router_id: str) -> Namespace:
        return Namespace(names.router_namespace(self._mark, router_id))

    def prepare(self, router: RouterState) -> int:
        """Make the namespace, so that cables can be laid into it; the number of changes."""
        space = self.namespace(router.id)
        if not space.create():
            return 0
        space.visit(_first_settings)
        return 1

    def plug(self, links: Links, router: RouterState, networks: dict[str, NetworkState]) -> None:
        """Lay the router's cables from the fabric's side; `links` are the fabric's."""
        space = self.namespace(router.id)
        for leg in legs(router):
            network = networks[leg.network_id]
            plug = names.router_plug(leg.port_id)
            links.cable(plug, _inner(router, leg), space, mac=leg.mac, mtu=network.mtu)
            links.settle(plug, mtu=network.mtu, master=names.bridge(network.id), up=router.up)

    def settle(self, router: RouterState, networks: dict[str, NetworkState], exit_hop: str | None) -> int:
        """Bring the inside to its state; `exit_hop` replaces the gateway's next hop where packets leave another way."""
        changes = self.namespace(router.id).visit(lambda: self._settle_inside(router, networks, exit_hop))
        self._metadata_listener(router)
        return changes

    def remove(self, space: Namespace) -> None:
        """Take a router's namespace away with everything in it."""
        self._metadata.forget(space.name)
        space.delete()

    def _settle_inside(self, router: RouterState, networks: dict[str, NetworkState], exit_hop: str | None) -> int:
        changes = int(nft.replace("inet", nat.TABLE, nat.filter_table(router)))
        changes += nft.replace("ip", nat.TABLE, nat.nat_table(router))
        with Links() as links:
            links.settle("lo")
            for leg in legs(router):
                device = _inner(router, leg)
                links.settle(device, mtu=networks[leg.network_id].mtu)
                added = links.addresses(device, _addresses(router, leg))
                links.announce(device, added)
            links.routes(_routes(router, exit_hop))
            return changes + links.changes

    def _metadata_listener(self, router: RouterState) -> None:
        space = self.namespace(router.id)
        served = [(leg.network_id, cidr) for leg in router.legs for cidr in leg.addresses if ":" not in cidr]
        if not served or not router.up:
            self._metadata.forget(space.name)
        elif self._metadata.listening(space.name):
            self._metadata.tell(space.name, served)
        else:
            where = ("0.0.0.0", nat.METADATA_PORT)  # noqa: S104 -- the namespace's filter lets only redirected requests in
            space.visit(lambda: self._metadata.listen(space.name, where, served))


def plugs(router: RouterState) -> set[str]:
    """The devices of the fabric's namespace that belong to the router."""
    return {names.router_plug(leg.port_id) for leg in legs(router)}


def legs(router: RouterState) -> list[LegState]:
    return [*router.legs, *([router.gateway.leg] if router.gateway is not None else [])]


def _inner(router: RouterState, leg: LegState) -> str:
    is_gateway = router.gateway is not None and router.gateway.leg.port_id == leg.port_id
    return names.outer_leg(leg.port_id) if is_gateway else names.inner_leg(leg.port_id)


def _addresses(router: RouterState, leg: LegState) -> list[str]:
    if router.gateway is None or router.gateway.leg.port_id != leg.port_id:
        return leg.addresses
    return [*leg.addresses, *(f"{item.address}/32" for item in router.floating)]


def _routes(router: RouterState, exit_hop: str | None) -> dict[str, tuple[str, str]]:
    """CIDR to next hop and device; a route whose next hop no leg reaches is left out."""
    wanted: dict[str, tuple[str, str]] = {}
    if router.gateway is not None:
        wanted |= _default_routes(router.gateway, exit_hop)
    for route in router.routes:
        for leg in legs(router):
            if any(_covers(text, route.nexthop) for text in leg.addresses):
                network = ipaddress.ip_network(route.destination, strict=False)
                wanted[str(network)] = (route.nexthop, _inner(router, leg))
                break
    return wanted


def _default_routes(gateway: GatewayState, exit_hop: str | None) -> dict[str, tuple[str, str]]:
    """One for each IP version that has a next hop."""
    device = names.outer_leg(gateway.leg.port_id)
    told = gateway.nexthops or ([gateway.nexthop] if gateway.nexthop is not None else [])
    hops = {"::/0" if ":" in hop else "0.0.0.0/0": hop for hop in told}
    if exit_hop is not None and any(":" not in text for text in gateway.leg.addresses):
        hops["0.0.0.0/0"] = exit_hop
    return {target: (hop, device) for target, hop in hops.items()}


def _covers(interface: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_interface(interface).network


def _first_settings() -> None:
    sysctl("net/ipv4/ip_forward", "1")
    sysctl("net/ipv6/conf/all/forwarding", "1")
    for which in ("all", "default"):
        sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
        sysctl(f"net/ipv4/conf/{which}/arp_ignore", "1")
        sysctl(f"net/ipv4/conf/{which}/arp_announce", "2")
        sysctl(f"net/ipv4/conf/{which}/send_redirects", "0")
        sysctl(f"net/ipv6/conf/{which}/accept_ra", "0")
