# SPDX-License-Identifier: Apache-2.0
"""Routers: a namespace each, a cable to every bridge, NAT, and floating addresses that are announced."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import partial

from cumulet.services.network.drivers.fabric import egress, names, nat, nft, ra
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import (
    GatewayState,
    HostState,
    Layer,
    LegState,
    NetworkState,
    PortState,
    RouterState,
)


class Routers(Stage):
    """Brings router namespaces to their state."""

    prefixes = ("rt-",)
    letter = "r"

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._mark = ground.options.mark
        self._metadata = ground.metadata
        self._advertiser = ra.Advertiser(ground.ears)
        self._helpers = ground.capabilities.helpers
        self._exit_hop = egress.HOP if ground.capabilities.egress else None

    def wanted(self, state: HostState) -> set[str]:
        return {names.router_plug(leg.port_id) for router in state.routers for leg in legs(router)}

    def spaces(self, state: HostState) -> set[str]:
        return {self._namespace(router.id).name for router in state.routers}

    def prepare(self, run: Run) -> None:
        for router in run.state.routers:
            with run.guarded(router.id):
                space = self._namespace(router.id)
                if space.create():
                    space.visit(_first_settings)
                    run.changes += 1

    def plug(self, links: Links, run: Run) -> None:
        for router in run.state.routers:
            with run.guarded(router.id):
                self._plug(links, router, run.networks)

    def drop(self, space: Namespace, run: Run) -> None:
        self._metadata.forget(space.name)
        self._advertiser.keep(space.name, set())
        space.delete()

    def settle(self, run: Run) -> None:
        """Between two thorough passes only where something is to be changed."""
        for router in run.state.routers:
            with run.guarded(router.id):
                if run.is_new(router) or any(run.is_new(run.networks[leg.network_id]) for leg in legs(router)):
                    inside = partial(self._settle_inside, router, run.networks, self._hop_of(router, run.networks))
                    run.changes += self._namespace(router.id).visit(inside)
                    self._metadata_listener(router)

    def look(self, port: PortState, state: HostState, links: Links) -> Iterable[Layer]:
        for router in state.routers:
            for leg in (leg for leg in legs(router) if leg.network_id == port.network_id):
                plug = links.devices.get(names.router_plug(leg.port_id))
                sound = router.up and plug is not None and plug.up and self._namespace(router.id).exists()
                state_word = "" if router.up else ", switched off"
                yield Layer(name="router", sound=sound, words=f"{router.id} at {' '.join(leg.addresses)}{state_word}")

    def _namespace(self, router_id: str) -> Namespace:
        return Namespace(names.router_namespace(self._mark, router_id))

    def _hop_of(self, router: RouterState, networks: dict[str, NetworkState]) -> str | None:
        """What replaces the gateway's next hop where packets leave another way."""
        gateway = router.gateway
        outside = networks[gateway.leg.network_id].physical if gateway is not None else None
        return self._exit_hop if outside == self._ground.options.physical else None

    def _plug(self, links: Links, router: RouterState, networks: dict[str, NetworkState]) -> None:
        space = self._namespace(router.id)
        for leg in legs(router):
            network = networks[leg.network_id]
            plug = names.router_plug(leg.port_id)
            links.cable(plug, _inner(router, leg), space, mac=leg.mac, mtu=network.mtu)
            links.settle(plug, mtu=network.mtu, master=names.bridge(network.id), up=router.up)

    def _settle_inside(self, router: RouterState, networks: dict[str, NetworkState], exit_hop: str | None) -> int:
        changes = int(nft.replace("inet", nat.TABLE, nat.filter_table(router, self._helpers), thorough=True))
        changes += nft.replace("ip", nat.TABLE, nat.nat_table(router), thorough=True)
        with Links() as links:
            links.settle("lo")
            for leg in legs(router):
                device = _inner(router, leg)
                links.settle(device, mtu=networks[leg.network_id].mtu)
                has_ipv6 = networks[leg.network_id].mtu >= ra.LEAST_MTU
                added = links.addresses(device, [one for one in _addresses(router, leg) if has_ipv6 or ":" not in one])
                links.announce(device, added)
            if router.gateway is not None:
                links.answer_for(names.outer_leg(router.gateway.leg.port_id), router.proxied or [])
            links.routes(_routes(router, exit_hop))
            changes += links.changes
        self._advertise(router, networks)
        return changes

    def _advertise(self, router: RouterState, networks: dict[str, NetworkState]) -> None:
        space = self._namespace(router.id).name
        found = {leg.port_id: ra.advert(leg, networks[leg.network_id]) for leg in router.legs if router.up}
        adverts = {port_id: said for port_id, said in found.items() if said is not None}
        self._advertiser.keep(space, set(adverts))
        for port_id, said in adverts.items():
            if not self._advertiser.listening((space, port_id)):
                self._advertiser.listen((space, port_id), names.inner_leg(port_id))
            self._advertiser.tell((space, port_id), said)

    def _metadata_listener(self, router: RouterState) -> None:
        space = self._namespace(router.id)
        served = [(leg.network_id, cidr) for leg in router.legs for cidr in leg.addresses if ":" not in cidr]
        if not served or not router.up:
            self._metadata.forget(space.name)
        elif self._metadata.listening(space.name):
            self._metadata.tell(space.name, served)
        else:
            where = ("0.0.0.0", nat.METADATA_PORT)  # noqa: S104 -- the namespace's filter lets only redirected requests in
            space.visit(lambda: self._metadata.listen(space.name, where, served))


def legs(router: RouterState) -> list[LegState]:
    return [*router.legs, *([router.gateway.leg] if router.gateway is not None else [])]


def _inner(router: RouterState, leg: LegState) -> str:
    is_gateway = router.gateway is not None and router.gateway.leg.port_id == leg.port_id
    return names.outer_leg(leg.port_id) if is_gateway else names.inner_leg(leg.port_id)


def _addresses(router: RouterState, leg: LegState) -> list[str]:
    if router.gateway is None or router.gateway.leg.port_id != leg.port_id:
        return leg.addresses
    more = {item.address for item in router.floating} | {item.address for item in router.forwards}
    return [*leg.addresses, *(f"{address}/32" for address in sorted(more))]


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
        sysctl(f"net/ipv6/conf/{which}/disable_ipv6", "0")
        sysctl(f"net/ipv6/conf/{which}/accept_ra", "0")
        # A router that moves is on two hosts for a moment, with the same addresses: neither is to step back for good.
        sysctl(f"net/ipv6/conf/{which}/accept_dad", "0")
