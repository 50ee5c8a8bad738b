# SPDX-License-Identifier: Apache-2.0
"""Routers: a namespace each, a cable to every bridge, NAT, and floating addresses that are announced."""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Iterable
from functools import partial

from cumulet.services.network.drivers import layers
from cumulet.services.network.drivers.fabric import distributed, egress, gateways, names, nat, nft, ra, routing, watched
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.liveness import Liveness
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.routing import Hop
from cumulet.services.network.drivers.fabric.short_links import carried
from cumulet.services.network.drivers.fabric.stages import TROUBLE, Ground, Run, Stage
from cumulet.services.network.types import (
    FloatingState,
    ForwardState,
    GatewayState,
    HostState,
    Layer,
    LegState,
    NetworkState,
    PortState,
    RouterState,
)

LOG = logging.getLogger(__name__)


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
        self._several: set[str] = set()  # routers that have had several gateways
        self._liveness = Liveness(self._reroute)
        self._lock = threading.Lock()  # for the insides of namespaces: what next hops do is followed between applies
        self._fresh: set[str] = set()  # routers whose namespace is new, and has no legs yet
        self._leading: dict[str, tuple[RouterState, dict[str, str]]] = {}  # what stands, with its exits

    def wanted(self, state: HostState) -> set[str]:
        return {names.router_plug(leg.port_id) for router in state.routers for leg in legs(router)}

    def spaces(self, state: HostState) -> set[str]:
        return {self._namespace(router.id).name for router in state.routers}

    def prepare(self, run: Run) -> None:
        here = {router.id for router in run.state.routers}
        self._fresh &= here
        with self._lock:
            self._leading = {key: led for key, led in self._leading.items() if key in here}
        self._liveness.keep({router.id for router in run.state.routers if self._watched(router)})
        for router in run.state.routers:
            with run.guarded(router.id):
                space = self._namespace(router.id)
                if space.create():
                    self._forget(space)
                    self._liveness.end(router.id)
                    space.visit(_first_settings)
                    self._fresh.add(router.id)
                    run.changes += 1

    def plug(self, links: Links, run: Run) -> None:
        for router in run.state.routers:
            with run.guarded(router.id):
                for leg in legs(router) if router.id in self._fresh else ():
                    links.remove(names.router_plug(leg.port_id))  # it leads to a namespace that somebody removed
                self._plug(links, router, run.networks)
                self._fresh.discard(router.id)

    def drop(self, space: Namespace, run: Run) -> None:
        self._forget(space)
        space.delete()

    def _forget(self, space: Namespace) -> None:
        """Close what hears in the namespace: as long as it does, the namespace lives, whoever removed its name."""
        self._metadata.forget(space.name)
        self._advertiser.keep(space.name, set())

    def settle(self, run: Run) -> None:
        """Between two thorough passes only where something is to be changed."""
        for router in run.state.routers:
            with run.guarded(router.id):
                if run.is_new(router) or any(run.is_new(run.networks[leg.network_id]) for leg in legs(router)):
                    fitting = carried(router, run.networks)
                    inside = partial(self._settle_inside, fitting, run, self._exits(fitting, run.networks))
                    with self._lock:
                        run.changes += self._namespace(router.id).visit(inside)
                    self._metadata_listener(fitting)

    def turned(self, run: Run, routers: set[str]) -> None:
        """Tell the neighbours of those that came here; next hops are watched where a router is."""
        for router in run.state.routers:
            if router.id in routers and router.up and self._ground.roles.is_active(router.id):
                with run.guarded(router.id):
                    self._namespace(router.id).visit(partial(_announce, carried(router, run.networks)))
            if router.id in routers and router.bfd:
                with run.guarded(router.id):
                    self._follow(router.id)

    def close(self) -> None:
        self._liveness.close()

    def look(self, port: PortState, state: HostState, links: Links) -> Iterable[Layer]:
        for router in state.routers:
            for leg in (leg for leg in legs(router) if leg.network_id == port.network_id):
                plug = links.devices.get(names.router_plug(leg.port_id))
                sound = router.up and plug is not None and plug.up and self._namespace(router.id).exists()
                state_word = "" if router.up else ", switched off"
                state_word += "" if self._ground.roles.is_active(router.id) else ", standing by"
                yield Layer(name="router", sound=sound, words=f"{router.id} at {' '.join(leg.addresses)}{state_word}")
                yield from layers.next_hops(self._liveness.heard(router.id))

    def _namespace(self, router_id: str) -> Namespace:
        return Namespace(names.router_namespace(self._mark, router_id))

    def _exits(self, router: RouterState, networks: dict[str, NetworkState]) -> dict[str, str]:
        """What replaces the next hops of gateways, by port, where packets leave another way."""
        physical = self._ground.options.physical
        outer = [
            way.leg for way in router.gateways if self._exit_hop and networks[way.leg.network_id].physical == physical
        ]
        return {leg.port_id: str(self._exit_hop) for leg in outer}

    def _plug(self, links: Links, router: RouterState, networks: dict[str, NetworkState]) -> None:
        space = self._namespace(router.id)
        for leg in legs(router):
            network = networks[leg.network_id]
            plug = names.router_plug(leg.port_id)
            links.cable(plug, _inner(router, leg), space, mac=leg.mac, mtu=network.mtu)
            links.settle(plug, mtu=network.mtu, master=names.bridge(network.id), up=router.up)

    def _settle_inside(self, router: RouterState, run: Run, exits: dict[str, str]) -> int:
        networks = run.networks
        changes = int(nft.replace("inet", nat.TABLE, nat.filter_table(router, self._helpers), thorough=True))
        changes += nft.replace("ip", nat.TABLE, nat.nat_table(router), thorough=True)
        with Links() as links:
            links.settle("lo")
            for leg in legs(router):
                device = _inner(router, leg)
                links.settle(device, mtu=networks[leg.network_id].mtu)
                links.announce(device, links.addresses(device, _addresses(router, leg)))
            if router.gateway is not None:
                links.answer_for(names.outer_leg(router.gateway.leg.port_id), router.proxied or [])
            self._lead(links, router, exits, thorough=not run.known)
            self._leading[router.id] = router, exits
            changes += links.changes
        self._advertise(router, networks)
        return changes

    def _watched(self, router: RouterState) -> list[watched.Watched]:
        """The next hops that are to be watched here by now."""
        return watched.of(router) if router.up and self._ground.roles.is_active(router.id) else []

    def _reroute(self, routers: set[str]) -> None:
        """Follow what became of next hops; in the thread that `Liveness` has for that."""
        for key in sorted(routers):
            try:
                self._follow(key)
            except (*TROUBLE, KeyError) as error:  # a device that goes in this moment; the next apply sees to it
                LOG.error("router %s could not follow its next hops: %s", key, error)

    def _follow(self, router_id: str) -> None:
        with self._lock:
            if router_id in self._leading:
                self._namespace(router_id).visit(partial(self._lead_again, *self._leading[router_id]))

    def _lead_again(self, router: RouterState, exits: dict[str, str]) -> None:
        with Links() as links:
            self._lead(links, router, exits, thorough=False)

    def _lead(self, links: Links, router: RouterState, exits: dict[str, str], *, thorough: bool) -> None:
        """The routes, without those that lead to next hops that are silent."""
        tables = (routing.MAIN, *gateways.marks(router).values())
        self._liveness.settle(router.id, self._watched(router), lambda: links.hops(tables))
        silent = self._liveness.silent(router.id)
        links.roads(_routes(router, exits, silent))
        self._choose(links, router, exits, silent, thorough=thorough)

    def _choose(
        self, links: Links, router: RouterState, exits: dict[str, str], silent: Collection[Hop], *, thorough: bool
    ) -> None:
        """Let connections keep their gateway, where there are several, or were."""
        edge = distributed.roads(router, _by_target(router.gateways, exits))
        marks = gateways.marks(router) or {mark: table for mark, (table, _) in edge.items()}
        if marks or router.id in self._several or thorough:
            links.choose(marks, distributed.OUTWARD if distributed.OUTWARD in marks.values() and edge else None)
            for way in router.gateways if marks and not edge else ():
                links.roads(_by_target([way], exits, silent), gateways.table(router, way))
            for table, hops in edge.values():
                links.roads(hops, table)
            if edge and router.gateway is not None:
                outer = names.outer_leg(router.gateway.leg.port_id)
                links.near(outer, distributed.outside(router), distributed.OUTWARD)
            (self._several.add if marks else self._several.discard)(router.id)

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


def _announce(router: RouterState) -> None:
    with Links() as links:
        for leg in legs(router):
            if _inner(router, leg) in links.devices:
                links.announce(_inner(router, leg), _addresses(router, leg))


def legs(router: RouterState) -> list[LegState]:
    return router.every_leg


def _inner(router: RouterState, leg: LegState) -> str:
    if any(snat.port_id == leg.port_id for snat in distributed.snat_legs(router)):
        return names.snat_leg(leg.port_id)
    is_gateway = any(way.leg.port_id == leg.port_id for way in router.gateways)
    return names.outer_leg(leg.port_id) if is_gateway else names.inner_leg(leg.port_id)


def _addresses(router: RouterState, leg: LegState) -> list[str]:
    if any(snat.port_id == leg.port_id for snat in distributed.snat_legs(router)):
        return [f"{text.split('/')[0]}/{128 if ':' in text else 32}" for text in leg.addresses]
    every: list[FloatingState | ForwardState] = [*router.floating, *router.forwards]
    external = [item for item in every if _belongs(router, item, leg)]
    return [*leg.addresses, *(f"{address}/32" for address in sorted({item.address for item in external}))]


def _belongs(router: RouterState, item: FloatingState | ForwardState, leg: LegState) -> bool:
    way = router.gateway_of(item)
    return way is not None and way.leg.port_id == leg.port_id


def _routes(router: RouterState, exits: dict[str, str], silent: Collection[Hop] = ()) -> dict[str, frozenset[Hop]]:
    """A route whose next hop no leg reaches is left out. What somebody routes replaces a default route."""
    found: dict[str, set[Hop]] = defaultdict(set)
    for route in router.routes:
        for leg in legs(router):
            if any(_covers(text, route.nexthop) for text in leg.addresses):
                network = ipaddress.ip_network(route.destination, strict=False)
                found[str(network)].add((route.nexthop, _inner(router, leg)))
                break
    return {**_defaults(router, exits, silent), **{target: frozenset(hops) for target, hops in found.items()}}


def _defaults(router: RouterState, exits: dict[str, str], silent: Collection[Hop]) -> dict[str, frozenset[Hop]]:
    """All gateways' together, or the first one's, in whose place the next one comes where that is silent."""
    if distributed.is_edge(router):
        return {}
    if router.ecmp:
        return _by_target(router.gateways, exits, silent)
    found: dict[str, frozenset[Hop]] = {}
    wanted = _by_target(router.gateways[:1], exits).keys()
    for way in router.gateways if router.bfd else router.gateways[:1]:
        found = {**_by_target([way], exits, silent), **found}
    return {target: hops for target, hops in found.items() if target in wanted}


def _by_target(
    ways: Iterable[GatewayState], exits: dict[str, str], silent: Collection[Hop] = ()
) -> dict[str, frozenset[Hop]]:
    """The default routes of these gateways together, without those whose next hops are silent."""
    found: dict[str, set[Hop]] = defaultdict(set)
    for way in ways:
        device = names.outer_leg(way.leg.port_id)
        mute = {address for address, at in silent if at == device}
        for target, hop in _default_hops(way, exits.get(way.leg.port_id), mute).items():
            found[target].add((hop, device))
    return {target: frozenset(hops) for target, hops in found.items()}


def _default_hops(gateway: GatewayState, exit_hop: str | None, mute: Collection[str]) -> dict[str, str]:
    """One for each IP version that has a next hop."""
    hops = {"::/0" if ":" in hop else "0.0.0.0/0": hop for hop in gateway.hops}
    hops = {target: hop for target, hop in hops.items() if hop not in mute}
    is_mute = any(":" not in hop for hop in mute)
    if exit_hop is not None and not is_mute and any(":" not in text for text in gateway.leg.addresses):
        hops["0.0.0.0/0"] = exit_hop
    return hops


def _covers(interface: str, address: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_interface(interface).network


def _first_settings() -> None:
    sysctl("net/ipv4/ip_forward", "1")
    sysctl("net/ipv6/conf/all/forwarding", "1")
    for family in ("ipv4", "ipv6"):  # of several routes, connections between the same two take different ones
        sysctl(f"net/{family}/fib_multipath_hash_policy", "1")
    for which in ("all", "default"):
        sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
        sysctl(f"net/ipv4/conf/{which}/arp_ignore", "1")
        sysctl(f"net/ipv4/conf/{which}/arp_announce", "2")
        sysctl(f"net/ipv4/conf/{which}/send_redirects", "0")
        sysctl(f"net/ipv6/conf/{which}/disable_ipv6", "0")
        sysctl(f"net/ipv6/conf/{which}/accept_ra", "0")
        # A router that moves is on two hosts for a moment, with the same addresses: neither is to step back for good.
        sysctl(f"net/ipv6/conf/{which}/accept_dad", "0")
