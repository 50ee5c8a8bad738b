# SPDX-License-Identifier: Apache-2.0
"""The complete network engine in memory: no root, no devices, and an answer to what would pass."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterable

import msgspec

from cumulet.kernel import ids
from cumulet.kernel.errors import NotFound
from cumulet.kernel.link.host import Journal
from cumulet.services.network.contract import PASSWORD_LIMIT, MetadataAnswer, MetadataQuery
from cumulet.services.network.drivers import layers
from cumulet.services.network.drivers.base import Metadata
from cumulet.services.network.drivers.fabric import dhcp, dhcp6, dns, ra
from cumulet.services.network.types import (
    KINDS,
    VLAN,
    Applied,
    Capabilities,
    HostState,
    Layer,
    PortState,
    RouterState,
    connections,
    ended,
    reach,
)
from cumulet.services.network.types.connections import Connection, Judge
from cumulet.services.network.types.meters import MeterReading
from cumulet.services.network.types.qos import PARAMETERS

PATIENCE = 10.0  # seconds that open_tap waits for a port to become part of the state


class FakeUnderlay:
    """The wire between fake hosts: their fabrics by endpoint."""

    def __init__(self) -> None:
        self.fabrics: dict[str, FakeFabric] = {}
        self.leaders: dict[str, str] = {}

    def leader(self, router_id: str) -> str:
        """The endpoint of the host that forwards for a shared router: the one that did, as long as it is there."""
        ranks = {
            router.ha.rank: endpoint
            for endpoint, fabric in self.fabrics.items()
            for router in fabric.state.routers
            if router.id == router_id and router.ha is not None
        }
        if self.leaders.get(router_id) not in ranks.values() and ranks:
            self.leaders[router_id] = ranks[min(ranks)]
        return self.leaders.get(router_id, "")

    def states(self) -> dict[str, HostState]:
        """What stands on each host."""
        return {endpoint: fabric.standing() for endpoint, fabric in self.fabrics.items()}


class FakeFabric:
    """The Fabric of `drivers.base`; a new object begins with nothing but the devices that `journal` remembers.

    Fabrics on the same `underlay`, each at an `endpoint` of its own, reach each other by their tunnels, and agree which
    of them forwards for a router that they share; one without does so where the control plane thinks that it does.
    """

    def __init__(
        self,
        metadata: Metadata,
        journal: Journal | None = None,
        endpoint: str = "",
        underlay: FakeUnderlay | None = None,
    ) -> None:
        self.capabilities = Capabilities(
            driver="fake",
            vxlan=True,
            egress=True,
            ha=True,
            qos_rules=list(PARAMETERS),
            network_types=[VLAN],
            tags="8021q",
            distributed=True,
        )
        self._metadata = metadata
        self._changed = threading.Condition(threading.RLock())
        self._state = HostState()
        self._journal = journal
        self._born = ids.new_uuid()
        self._counted: dict[tuple[str, str], tuple[int, int]] = {}  # packets and bytes by router and label
        self._taps: set[str] = set() if journal is None else set(journal.items())
        self._tracked: set[Connection] = set()
        self._ended = ended.Ended()
        self._silent: set[tuple[str, str]] = set()  # routers and next hops
        self._left: dict[str, set[Connection]] = {}
        self._endpoint, self._is_alone = endpoint, underlay is None
        self._underlay = underlay or FakeUnderlay()
        self._underlay.fabrics[endpoint] = self

    def apply(self, state: HostState) -> Applied:
        """See `Fabric.apply`."""
        with self._changed:
            changes = _differences(self._state, state)
            self._end_connections(state)
            self._state = state
            for gone in self._taps - {port.id for port in state.ports}:
                self._put_tap(gone, there=False)
            self._changed.notify_all()
            return self._applied(changes)

    def repair(self) -> Applied:
        """See `Fabric.repair`; nobody else can touch what is in memory."""
        return self.apply(self._state)

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        """See `HostPorts.open_tap`; the descriptor swallows what is written and has nothing to read."""
        end = time.monotonic() + PATIENCE
        with self._changed:
            while (port := self._port(port_id)) is None:
                if not self._changed.wait(end - time.monotonic()):
                    raise NotFound(f"port {port_id} is not bound to this host")
            if port.trunk is not None:
                raise NotFound(f"port {port_id} is a subport: its guest has tagged frames of port {port.trunk.parent}")
            self._put_tap(port_id, there=True)
            return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def close_tap(self, port_id: str) -> None:
        """See `HostPorts.close_tap`."""
        with self._changed:
            self._put_tap(port_id, there=False)

    def report(self) -> Applied:
        """See `Fabric.report`."""
        with self._changed:
            return self._applied(0)

    def look(self, port_id: str) -> list[Layer]:
        """See `Fabric.look`."""
        with self._changed:
            port = self._port(port_id)
            found = layers.told(self._state, port)
            if port is not None:
                there = self._stands(port)
                found += layers.of_trunk(port, there=there)
                found.append(
                    Layer(name="device", sound=there, words="open" if there else "no hypervisor has opened it")
                )
                near = [one for one in self._routers() if any(leg.network_id == port.network_id for leg in one.legs)]
                for router in near:
                    hops = [hop for way in router.gateways for hop in way.hops] if router.bfd else []
                    found += layers.next_hops({hop: hop not in router.silent for hop in hops})
            return found

    def meters(self, routers: Iterable[RouterState]) -> list[MeterReading]:
        """See `Fabric.meters`."""
        with self._changed:
            standing = {router.id for router in self._state.routers}
            return [
                MeterReading(
                    router_id=router.id,
                    label_id=meter.id,
                    project_id=meter.project_id,
                    born=self._born,
                    packets=(counted := self._counted.get((router.id, meter.id), (0, 0)))[0],
                    bytes=counted[1],
                )
                for router in routers
                if router.id in standing
                for meter in router.meters
            ]

    def forward(self, router_id: str, direction: str, source: str, destination: str, size: int) -> None:
        """Let a packet of `size` bytes pass the router's gateway, for its counters to see."""
        with self._changed:
            router = next(router for router in self._state.routers if router.id == router_id)
            for meter in router.meters:
                if meter.counts(direction, source, destination):
                    packets, total = self._counted.get((router_id, meter.id), (0, 0))
                    self._counted[router_id, meter.id] = (packets + 1, total + size)

    def silence(self, router_id: str, next_hop: str, *, heard: bool = False) -> None:
        """Let BFD hear the router's next hop no longer, or (`heard`) again; all others it hears."""
        with self._changed:
            (self._silent.discard if heard else self._silent.add)((router_id, next_hop))

    def connections(self, port_ids: Collection[str]) -> list[Connection]:
        """See `Fabric.connections`."""
        with self._changed:
            here = [one for port in self._state.ports if port.id in port_ids for one in self._of(port)]
            return [*here, *(one for key in port_ids for one in self._left.get(key, ()))]

    def adopt(self, offered: Collection[Connection]) -> int:
        """See `Fabric.adopt`."""
        with self._changed:
            found = connections.welcome(self._state, offered)
            self._tracked.update(found)
            return len(found)

    def stop(self) -> None:
        """See `Fabric.stop`."""

    def shutdown(self) -> None:
        """See `Fabric.shutdown`."""
        with self._changed:
            self._state = HostState()
            for port_id in list(self._taps):
                self._put_tap(port_id, there=False)

    def passes(self, packet: reach.Packet) -> bool:
        """Whether the packet would arrive, its sender's and its receiver's devices being open."""
        with self._changed:
            port = self._port(packet.port) if packet.port is not None else None
            ready = packet.port is None or (port is not None and self._stands(port))
            state = msgspec.structs.replace(self._state, routers=self._routers())
            return ready and reach.reaches(state, packet, self._underlay.states())

    def leads(self, packet: reach.Packet) -> tuple[str, int | None] | None:
        """See `reach.leads`; a router ends the connections to an address that leads elsewhere, and says so."""
        with self._changed:
            return reach.leads(self._routers(), packet)

    @property
    def state(self) -> HostState:
        """What was asked for."""
        return self._state

    def begin(self, packet: reach.Packet) -> Connection | None:
        """Let a port of the host begin a connection on its network; None where the packet would not arrive."""
        if packet.port is None or not self.passes(packet):
            return None
        port = next(port for port in self._state.ports if port.id == packet.port)
        begun = Connection(
            network_id=port.network_id,
            protocol=packet.protocol,
            source=packet.source or port.addresses[0].address,
            destination=packet.destination,
            destination_port=packet.low or 0,
        )
        for fabric in self._underlay.fabrics.values():
            if fabric.is_end_of(begun):
                fabric.track(begun)
        return begun

    def goes_on(self, begun: Connection) -> bool:
        """Whether the hosts of both ends know the connection."""
        return all(fabric.tracks(begun) for fabric in self._underlay.fabrics.values() if fabric.is_end_of(begun))

    def is_end_of(self, one: Connection) -> bool:
        """Whether a port of this host is at either end."""
        judge = Judge(self._state)
        return any(judge.holders(one.network_id, end) for end in one.ends)

    def track(self, one: Connection) -> None:
        """Remember the connection."""
        self._tracked.add(one)

    def tracks(self, one: Connection) -> bool:
        """Whether the connection is known here."""
        return one in self._tracked

    def standing(self) -> HostState:
        """The state, with the ports whose devices are open, and routers as they are."""
        ports = [port for port in self._state.ports if self._stands(port)]
        return msgspec.structs.replace(self._state, ports=ports, routers=self._routers())

    def active(self) -> list[str]:
        """See `Fabric.active`."""
        with self._changed:
            return sorted(router.id for router in self._routers() if router.ha is not None and router.ha.active)

    def on_turn(self, tell: Callable[[], None]) -> None:
        """See `Fabric.on_turn`; nothing turns here between two applies."""

    def _routers(self) -> list[RouterState]:
        """The routers, with the truth of those that hosts share, and of next hops."""
        told = [
            msgspec.structs.replace(router, silent=sorted(hop for key, hop in self._silent if key == router.id))
            if router.bfd
            else router
            for router in self._state.routers
        ]
        if self._is_alone:
            return told
        return [
            router
            if router.ha is None
            else msgspec.structs.replace(
                router,
                ha=msgspec.structs.replace(router.ha, active=self._underlay.leader(router.id) == self._endpoint),
            )
            for router in told
        ]

    def lease(self, port_id: str) -> dhcp.Offer | None:
        """What DHCP would tell the port."""
        with self._changed:
            port = self._port(port_id)
            if port is None:
                return None
            network = next(one for one in self._state.networks if one.id == port.network_id)
            table = dhcp.table(network, [port])
            return table.offers.get(port.mac) if table is not None else None

    def lease6(self, port_id: str) -> dhcp6.Offer | None:
        """What DHCPv6 would tell the port."""
        with self._changed:
            port = self._port(port_id)
            if port is None:
                return None
            table = dhcp6.table(next(one for one in self._state.networks if one.id == port.network_id), [port])
            return table.offers.get(port.mac) if table is not None else None

    def resolve(self, port_id: str, name: str, kind: str) -> tuple[str, list[str]] | None:
        """What the port's guest would hear of the network's names: a code, and addresses or names.

        None where nothing answers, or others would be asked.
        """
        with self._changed:
            port = self._port(port_id)
            network = next((one for one in self._state.networks if port and one.id == port.network_id), None)
            if network is None or network.service is None:
                return None
            question = dns.read(dns.ask(name, kind).to_wire())
            return dns.in_words(dns.answer(question, dns.zone(network, self._state)))

    def adverts(self, port_id: str) -> list[ra.Advert]:
        """What the routers of this host say to the port's network."""
        with self._changed:
            port = self._port(port_id)
            network = next((one for one in self._state.networks if port and one.id == port.network_id), None)
            if network is None:
                return []
            routers = [router for router in self._state.routers if router.up]
            legs = [leg for router in routers for leg in router.legs if leg.network_id == network.id]
            return [said for said in (ra.advert(leg, network) for leg in legs) if said is not None]

    def fetch(self, port_id: str, path: str) -> MetadataAnswer | None:
        """What the port's guest would read at 169.254.169.254; None where no network service or router listens."""
        with self._changed:
            port = self._port(port_id)
            if port is None or not self._serves_metadata(port):
                return None
            query = MetadataQuery(network_id=port.network_id, address=port.addresses[0].address, path=path)
        return self._metadata(query)

    def post(self, port_id: str, path: str, body: str) -> MetadataAnswer | None:
        """What the port's guest would hear of posting `body` at 169.254.169.254."""
        with self._changed:
            port = self._port(port_id)
            if port is None or not self._serves_metadata(port):
                return None
            address = port.addresses[0].address
        if not path.endswith("/password"):
            return MetadataAnswer(status=404)
        if len(body.encode()) > PASSWORD_LIMIT:
            return MetadataAnswer(status=400)
        return self._metadata(MetadataQuery(network_id=port.network_id, address=address, path=path, posted=body))

    def _end_connections(self, state: HostState) -> None:
        here = {port.id for port in state.ports}
        self._left = {port.id: self._of(port) for port in self._state.ports if port.id not in here}
        if not (self._tracked or self._ended):
            return
        networks = {network.id for network in state.networks}
        self._tracked = {one for one in self._tracked if one.network_id in networks}
        judge, former, now = Judge(state), Judge(self._state), time.monotonic()
        for network_id, suspected in connections.suspects(self._state, state).items():
            ending = list(connections.condemned(judge, network_id, suspected, self._tracked))
            self._ended.keep(ending, former, judge, now)
            self._tracked.difference_update(ending)
        self._ended.forget((port.id for port in self._state.ports if port.id not in here), now)
        favoured = connections.favoured(self._state, state)
        again = ended.resumed(self._ended.all(), judge, favoured, now)
        self._tracked.update(again)
        self._ended.drop(again)

    def _of(self, port: PortState) -> set[Connection]:
        own = {one.address for one in port.addresses}
        return {one for one in self._tracked if one.network_id == port.network_id and not own.isdisjoint(one.ends)}

    def _serves_metadata(self, port: PortState) -> bool:
        network = next(one for one in self._state.networks if one.id == port.network_id)
        routed = any(leg.network_id == port.network_id for router in self._state.routers for leg in router.legs)
        return bool(port.addresses) and (network.service is not None or routed)

    def _put_tap(self, port_id: str, *, there: bool) -> None:
        if there:
            self._taps.add(port_id)
        else:
            self._taps.discard(port_id)
        if self._journal is not None:
            if there:
                self._journal.put(port_id, {})
            else:
                self._journal.delete(port_id)

    def _stands(self, port: PortState) -> bool:
        """Whether the port's device is open, or that of the port in whose trunk it is."""
        return (port.id if port.trunk is None else port.trunk.parent) in self._taps

    def _port(self, port_id: str) -> PortState | None:
        return next((port for port in self._state.ports if port.id == port_id), None)

    def _applied(self, changes: int) -> Applied:
        standing = sorted(port.id for port in self._state.ports if port.up and self._stands(port))
        return Applied(generation=self._state.generation, changes=changes, ports=standing)


def _differences(old: HostState, new: HostState) -> int:
    count = 0
    for kind in KINDS:
        before = {item.id: item for item in getattr(old, kind.name)}
        after = {item.id: item for item in getattr(new, kind.name)}
        count += sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
    return count
