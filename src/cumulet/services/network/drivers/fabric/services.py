# SPDX-License-Identifier: Apache-2.0
"""A network's own services: a namespace with one leg on the bridge, where DHCP and metadata answer."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from functools import partial

from cumulet.services.network.drivers.fabric import dhcp, dhcp6, dns, names
from cumulet.services.network.drivers.fabric.filters import link_local
from cumulet.services.network.drivers.fabric.links import Links, supports_ipv6, sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.ra import LEAST_MTU
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import HostState, Layer, NetworkState, PortState, ServiceState

METADATA6 = "fe80::a9fe:a9fe"
_EVERYWHERE, _EVERYWHERE6 = "0.0.0.0/0", "::/0"


class Services(Stage):
    """Brings service namespaces to their state."""

    prefixes = ("sv-",)
    letter = "d"

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._mark = ground.options.mark
        self._resolver = ground.resolver
        self._dhcp = dhcp.Responder(ground.ears)
        self._dhcp6 = dhcp6.Responder(ground.ears)
        self._metadata = ground.metadata

    def wanted(self, state: HostState) -> set[str]:
        return {names.service_plug(network.id) for network, _ in _served(state)}

    def spaces(self, state: HostState) -> set[str]:
        return {self._namespace(network.id).name for network, _ in _served(state)}

    def prepare(self, run: Run) -> None:
        for network, _ in _served(run.state):
            with run.guarded(network.id):
                space = self._namespace(network.id)
                if space.create():
                    space.visit(_first_settings)
                    run.changes += 1

    def plug(self, links: Links, run: Run) -> None:
        for network, service in _served(run.state):
            with run.guarded(network.id):
                plug, space = names.service_plug(network.id), self._namespace(network.id)
                links.cable(plug, names.SERVICE_LEG, space, mac=service.mac, mtu=network.mtu)
                links.settle(plug, mtu=network.mtu, master=names.bridge(network.id))

    def drop(self, space: Namespace, run: Run) -> None:
        for network in run.before.networks:
            if self._namespace(network.id).name == space.name:
                self._dhcp.forget(network.id)
                self._dhcp6.forget(network.id)
                self._resolver.forget(network.id)
        self._metadata.forget(space.name)
        self._metadata.forget(_sixth(space))
        space.delete()

    def settle(self, run: Run) -> None:
        """Addresses and listeners where they may have changed, answers everywhere."""
        for network, service in _served(run.state):
            ports = [port for port in run.state.ports if port.network_id == network.id]
            with run.guarded(network.id):
                if run.is_new(network):
                    run.changes += self._namespace(network.id).visit(partial(self._settle_inside, network, service))
                self._tell(network, ports)
                self._resolver.tell(network.id, partial(dns.zone, network, run.state))

    def look(self, port: PortState, state: HostState, links: Links) -> Iterable[Layer]:
        if port.network_id in {network.id for network, _ in _served(state)}:
            plug = links.devices.get(names.service_plug(port.network_id))
            sound = plug is not None and plug.up and self._namespace(port.network_id).exists()
            yield Layer(name="services", sound=sound, words="DHCP and metadata of the network")

    def _namespace(self, network_id: str) -> Namespace:
        return Namespace(names.service_namespace(self._mark, network_id))

    def _tell(self, network: NetworkState, ports: list[PortState]) -> None:
        """Let DHCP answer for these ports from now on, and metadata know them by their link-local addresses."""
        table = dhcp.table(network, ports)
        if table is not None:
            self._dhcp.tell(network.id, table)
        else:
            self._dhcp.forget(network.id)
        table6 = dhcp6.table(network, ports)
        if table6 is not None:
            self._dhcp6.tell(network.id, table6)
        else:
            self._dhcp6.forget(network.id)
        guests = {link_local(port.mac): port.addresses[0].address for port in ports if port.addresses}
        self._metadata.name_guests(_sixth(self._namespace(network.id)), guests)

    def _settle_inside(self, network: NetworkState, service: ServiceState) -> int:
        space = self._namespace(network.id)
        has_ipv6 = network.mtu >= LEAST_MTU and supports_ipv6()
        with Links() as links:
            links.settle("lo")
            links.settle(names.SERVICE_LEG, mtu=network.mtu)
            told = [text for text in service.addresses if has_ipv6 or ":" not in text]
            metadata = [f"{dhcp.METADATA}/32", *([f"{METADATA6}/128"] if has_ipv6 else [])]
            links.addresses(names.SERVICE_LEG, [*told, *metadata])
            changes = links.changes
        if not self._dhcp.listening(network.id) and any(one.dhcp and one.version == 4 for one in network.subnets):
            self._dhcp.listen(network.id, names.SERVICE_LEG)
        if has_ipv6 and not self._dhcp6.listening(network.id) and any(map(dhcp6.is_served, network.subnets)):
            self._dhcp6.listen(network.id, names.SERVICE_LEG)
        self._resolver.listen(network.id, [text.split("/")[0] for text in told])
        if not self._metadata.listening(space.name):
            self._metadata.listen(space.name, (dhcp.METADATA, 80), [(network.id, _EVERYWHERE)])
        if has_ipv6 and not self._metadata.listening(_sixth(space)):
            index = socket.if_nametoindex(names.SERVICE_LEG)
            # A guest that has addresses of both versions is known by the first of them.
            everywhere = [(network.id, _EVERYWHERE6), (network.id, _EVERYWHERE)]
            self._metadata.listen(_sixth(space), (METADATA6, 80, 0, index), everywhere)
        return changes


def _sixth(space: Namespace) -> str:
    """The name of the namespace's listener on IPv6."""
    return f"{space.name}/6"


def _served(state: HostState) -> list[tuple[NetworkState, ServiceState]]:
    """The networks whose services are answered on this host."""
    return [(network, network.service) for network in state.networks if network.service is not None]


def _first_settings() -> None:
    for which in ("all", "default"):
        sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
        sysctl(f"net/ipv4/conf/{which}/arp_ignore", "1")
        sysctl(f"net/ipv6/conf/{which}/disable_ipv6", "0")
        sysctl(f"net/ipv6/conf/{which}/accept_ra", "0")
        # Each host has a service with the same MAC, none of which hears of the others: nothing is to be looked for.
        sysctl(f"net/ipv6/conf/{which}/accept_dad", "0")
