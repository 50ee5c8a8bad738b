# SPDX-License-Identifier: Apache-2.0
"""The complete network engine in memory: no root, no devices, and an answer to what would pass."""

from __future__ import annotations

import os
import threading
import time

import msgspec

from cumulet.kernel.errors import NotFound
from cumulet.kernel.link.host import Journal
from cumulet.services.network.contract import PASSWORD_LIMIT, MetadataAnswer, MetadataQuery
from cumulet.services.network.drivers import layers
from cumulet.services.network.drivers.base import Metadata
from cumulet.services.network.drivers.fabric import dhcp, dhcp6, ra
from cumulet.services.network.types import KINDS, Applied, Capabilities, HostState, Layer, PortState, reach
from cumulet.services.network.types.qos import PARAMETERS

PATIENCE = 10.0  # seconds that open_tap waits for a port to become part of the state


class FakeUnderlay:
    """The wire between fake hosts: their fabrics by endpoint."""

    def __init__(self) -> None:
        self.fabrics: dict[str, FakeFabric] = {}

    def states(self) -> dict[str, HostState]:
        """What stands on each host."""
        return {endpoint: fabric.standing() for endpoint, fabric in self.fabrics.items()}


class FakeFabric:
    """The Fabric of `drivers.base`; a new object begins with nothing but the devices that `journal` remembers.

    Fabrics on the same `underlay`, each at an `endpoint` of its own, reach each other by their tunnels.
    """

    def __init__(
        self,
        metadata: Metadata,
        journal: Journal | None = None,
        endpoint: str = "",
        underlay: FakeUnderlay | None = None,
    ) -> None:
        self.capabilities = Capabilities(driver="fake", vxlan=True, egress=True, qos_rules=list(PARAMETERS))
        self._metadata = metadata
        self._changed = threading.Condition(threading.RLock())
        self._state = HostState()
        self._journal = journal
        self._taps: set[str] = set() if journal is None else set(journal.items())
        self._underlay = underlay or FakeUnderlay()
        self._underlay.fabrics[endpoint] = self

    def apply(self, state: HostState) -> Applied:
        """See `Fabric.apply`."""
        with self._changed:
            changes = _differences(self._state, state)
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
            while self._port(port_id) is None:
                if not self._changed.wait(end - time.monotonic()):
                    raise NotFound(f"port {port_id} is not bound to this host")
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
                there = port_id in self._taps
                found.append(
                    Layer(name="device", sound=there, words="open" if there else "no hypervisor has opened it")
                )
            return found

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
            ready = packet.port is None or packet.port in self._taps
            return ready and reach.reaches(self._state, packet, self._underlay.states())

    def standing(self) -> HostState:
        """The state, with the ports whose devices are open."""
        ports = [port for port in self._state.ports if port.id in self._taps]
        return msgspec.structs.replace(self._state, ports=ports)

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

    def _port(self, port_id: str) -> PortState | None:
        return next((port for port in self._state.ports if port.id == port_id), None)

    def _applied(self, changes: int) -> Applied:
        standing = sorted(port.id for port in self._state.ports if port.id in self._taps and port.up)
        return Applied(generation=self._state.generation, changes=changes, ports=standing)


def _differences(old: HostState, new: HostState) -> int:
    count = 0
    for kind in KINDS:
        before = {item.id: item for item in getattr(old, kind.name)}
        after = {item.id: item for item in getattr(new, kind.name)}
        count += sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
    return count
