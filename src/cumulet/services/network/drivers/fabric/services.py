# SPDX-License-Identifier: Apache-2.0
"""A network's own services: a namespace with one leg on the bridge, where DHCP and metadata answer."""

from __future__ import annotations

from cumulet.services.network.drivers.fabric import dhcp, names
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.metadata import MetadataServer
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import NetworkState, PortState, ServiceState

_EVERYWHERE = "0.0.0.0/0"


class Services:
    """Brings service namespaces to their state; works on the engine's thread only."""

    def __init__(
        self, mark: str, responder: dhcp.Responder, metadata: MetadataServer, resolvers: tuple[str, ...]
    ) -> None:
        self._mark = mark
        self._resolvers = resolvers
        self._dhcp = responder
        self._metadata = metadata

    def namespace(self, network_id: str) -> Namespace:
        return Namespace(names.service_namespace(self._mark, network_id))

    def prepare(self, network: NetworkState) -> int:
        """Make the namespace, so that a cable can be laid into it; the number of changes."""
        space = self.namespace(network.id)
        if not space.create():
            return 0
        space.visit(_first_settings)
        return 1

    def plug(self, links: Links, network: NetworkState, service: ServiceState) -> None:
        """Lay the cable from the fabric's side; `links` are the fabric's."""
        plug = names.service_plug(network.id)
        links.cable(plug, names.SERVICE_LEG, self.namespace(network.id), mac=service.mac, mtu=network.mtu)
        links.settle(plug, mtu=network.mtu, master=names.bridge(network.id))

    def settle(self, network: NetworkState, service: ServiceState) -> int:
        """Bring addresses and listeners to their state."""
        return self.namespace(network.id).visit(lambda: self._settle_inside(network, service))

    def tell(self, network: NetworkState, ports: list[PortState]) -> None:
        """Let DHCP answer for these ports from now on."""
        table = dhcp.table(network, ports, self._resolvers)
        if table is not None:
            self._dhcp.tell(network.id, table)
        else:
            self._dhcp.forget(network.id)

    def remove(self, space: Namespace, network_id: str | None) -> None:
        """Take a service namespace away; `network_id` None where only the namespace is known."""
        if network_id is not None:
            self._dhcp.forget(network_id)
        self._metadata.forget(space.name)
        space.delete()

    def _settle_inside(self, network: NetworkState, service: ServiceState) -> int:
        space = self.namespace(network.id)
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


def _first_settings() -> None:
    for which in ("all", "default"):
        sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
        sysctl(f"net/ipv4/conf/{which}/arp_ignore", "1")
        sysctl(f"net/ipv6/conf/{which}/accept_ra", "0")
