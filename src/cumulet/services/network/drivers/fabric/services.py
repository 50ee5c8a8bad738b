# SPDX-License-Identifier: Apache-2.0
"""A network's own services: a namespace with one leg on the bridge, where DHCP and metadata answer."""

from __future__ import annotations

from functools import partial

from cumulet.services.network.drivers.fabric import dhcp, names
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import HostState, NetworkState, PortState, ServiceState

_EVERYWHERE = "0.0.0.0/0"


class Services(Stage):
    """Brings service namespaces to their state."""

    prefixes = ("sv-",)
    letter = "d"

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._mark = ground.options.mark
        self._resolvers = ground.options.resolvers
        self._dhcp = dhcp.Responder()
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
        self._metadata.forget(space.name)
        space.delete()

    def settle(self, run: Run) -> None:
        """Addresses and listeners where they may have changed, answers everywhere."""
        for network, service in _served(run.state):
            ports = [port for port in run.state.ports if port.network_id == network.id]
            with run.guarded(network.id):
                if run.is_new(network):
                    run.changes += self._namespace(network.id).visit(partial(self._settle_inside, network, service))
                self._tell(network, ports)

    def stop(self) -> None:
        self._dhcp.close()

    def _namespace(self, network_id: str) -> Namespace:
        return Namespace(names.service_namespace(self._mark, network_id))

    def _tell(self, network: NetworkState, ports: list[PortState]) -> None:
        """Let DHCP answer for these ports from now on."""
        table = dhcp.table(network, ports, self._resolvers)
        if table is not None:
            self._dhcp.tell(network.id, table)
        else:
            self._dhcp.forget(network.id)

    def _settle_inside(self, network: NetworkState, service: ServiceState) -> int:
        space = self._namespace(network.id)
        with Links() as links:
            links.settle("lo")
            links.settle(names.SERVICE_LEG, mtu=network.mtu)
            links.addresses(names.SERVICE_LEG, [*service.addresses, f"{dhcp.METADATA}/32"])
            changes = links.changes
        if not self._dhcp.listening(network.id) and any(one.dhcp and one.version == 4 for one in network.subnets):
            self._dhcp.listen(network.id, names.SERVICE_LEG)
        if not self._metadata.listening(space.name):
            self._metadata.listen(space.name, (dhcp.METADATA, 80), [(network.id, _EVERYWHERE)])
        return changes


def _served(state: HostState) -> list[tuple[NetworkState, ServiceState]]:
    """The networks whose services are answered on this host."""
    return [(network, network.service) for network in state.networks if network.service is not None]


def _first_settings() -> None:
    for which in ("all", "default"):
        sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
        sysctl(f"net/ipv4/conf/{which}/arp_ignore", "1")
        sysctl(f"net/ipv6/conf/{which}/accept_ra", "0")
