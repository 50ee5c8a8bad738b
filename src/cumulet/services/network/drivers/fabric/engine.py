# SPDX-License-Identifier: Apache-2.0
"""The kernel fabric as a whole: brings one host from what it is to what it should be."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
from pyroute2.netlink.exceptions import NetlinkError

from cumulet.kernel.errors import NotFound, NotReady
from cumulet.kernel.run import CommandFailed
from cumulet.services.network.drivers.base import Metadata
from cumulet.services.network.drivers.fabric import dhcp, external, filters, modules, names, nft, routers, taps
from cumulet.services.network.drivers.fabric.egress import Egress
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.metadata import MetadataServer
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread, with_prefix
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.drivers.fabric.probe import probe
from cumulet.services.network.drivers.fabric.services import Services
from cumulet.services.network.drivers.fabric.tunnels import Tunnels, spanning
from cumulet.services.network.types import Applied, Capabilities, HostState, NetworkState, PortState, RouterState

THOROUGH = 60.0  # seconds after which an apply looks again at what it has no reason to change
PATIENCE = 10.0  # seconds that open_tap waits for a port to become part of the state
_PREFIXES = ("tap", "sv-", "rt-", "brq", "vx-", names.HOST_PEER, Egress.PLUG)
_TROUBLE = (OSError, NetlinkError, nft.RulesRefused, CommandFailed)


class KernelFabric:
    """The Fabric of `drivers.base` on the Linux kernel's own parts. Needs root in the agent's user namespace.

    LIMITATIONS: forged IPv6 neighbour advertisements of a port's own MAC are not stopped. Tunnels run over IPv4, are
    not encrypted, and believe what other hosts send. A removed rule does not end connections that it once allowed (nor
    does it in Neutron).
    """

    def __init__(self, options: FabricOptions, metadata: Metadata) -> None:
        self._options = options
        self._home = Namespace(names.fabric(options.mark))
        self._changed = threading.Condition(threading.RLock())
        self._state = HostState()
        self._last = Applied(generation=0)
        self._thorough_at = 0.0
        self._dhcp = dhcp.Responder()
        self._metadata = MetadataServer(metadata)
        self._routers = routers.Routers(options.mark, self._metadata)
        self._services = Services(options.mark, self._dhcp, self._metadata, options.resolvers)
        self._tunnels = Tunnels(options.endpoint, options.tunnel_port)
        modules.ensure()
        self.capabilities: Capabilities = probe(egress=options.egress)
        self._egress = Egress(options.mark, wanted=self.capabilities.egress)

    def apply(self, state: HostState) -> Applied:
        """See `Fabric.apply`."""
        with self._changed:
            self._require_kernel()
            run = _Run(state, self._known())
            run.changes += self._ground()
            run.changes += self._tunnels.lay(self._home, state, run.guarded)
            self._home.visit(lambda: self._settle_bridges(run))
            self._drop_orphans(run)
            self._settle_insides(run)
            self._settle_host(run)
            self._state = state
            self._last = Applied(
                generation=state.generation, changes=run.changes, ports=self._standing(), failed=run.failed
            )
            self._changed.notify_all()
            return self._last

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        """See `HostPorts.open_tap`; waits up to PATIENCE for a port whose binding is still on its way."""
        end = time.monotonic() + PATIENCE
        with self._changed:
            while (port := self._port(port_id)) is None:
                if not self._changed.wait(end - time.monotonic()):
                    raise NotFound(f"port {port_id} is not bound to this host")
            if port.network_id in self._last.failed:
                raise NotReady(self._last.failed[port.network_id])
            network = next(network for network in self._state.networks if network.id == port.network_id)
            return self._home.visit(lambda: _plug(port, network, multi_queue=multi_queue))

    def close_tap(self, port_id: str) -> None:
        """See `HostPorts.close_tap`."""
        with self._changed:
            if self._home.exists():
                self._home.visit(lambda: _unplug(port_id))

    def report(self) -> Applied:
        """See `Fabric.report`."""
        with self._changed:
            return msgspec.structs.replace(self._last, ports=self._standing())

    def stop(self) -> None:
        """See `Fabric.stop`."""
        self._dhcp.close()
        self._metadata.close()

    def shutdown(self) -> None:
        """See `Fabric.shutdown`."""
        with self._changed:
            self.stop()
            self._egress.remove()
            if self._home.exists():
                external.give_back(self._home, self._options.external_device)
                self._home.visit(_remove_devices)
            for space in with_prefix(names.fabric(self._options.mark)):
                space.delete()
            in_thread(lambda: _remove_cable(names.host_cable(self._options.mark)), "cable")
            self._state, self._last = HostState(), Applied(generation=0)

    def _known(self) -> dict[str, Any]:
        """What stands as it should, by id: nothing when it is time to look at everything again."""
        now = time.monotonic()
        if now < self._thorough_at:
            state, failed = self._state, self._last.failed
            known: list[NetworkState | RouterState] = [*state.networks, *state.routers]
            return {item.id: item for item in known if item.id not in failed}
        self._thorough_at = now + THOROUGH
        return {}

    def _require_kernel(self) -> None:
        able = self.capabilities
        if not (able.namespaces and able.bridge_filter and able.bridge_netfilter and able.nat and able.tap):
            raise NotReady("; ".join(self.capabilities.missing.values()))

    def _port(self, port_id: str) -> PortState | None:
        return next((port for port in self._state.ports if port.id == port_id), None)

    def _ground(self) -> int:
        if not self._home.create():
            return 0
        self._home.visit(_first_settings)
        return 1

    def _drop_orphans(self, run: _Run) -> None:
        """Namespaces of routers and networks that are no more; their cables went with the bridges' pass."""
        keep = {self._routers.namespace(router.id).name for router in run.state.routers}
        keep |= {self._services.namespace(network.id).name for network in run.state.networks if network.service}
        gone = {self._services.namespace(network.id).name: network.id for network in self._state.networks}
        prefix = names.fabric(self._options.mark) + "-"
        for space in with_prefix(prefix):
            if space.name in keep:
                continue
            if space.name.startswith(prefix + "d"):
                self._services.remove(space, gone.get(space.name))
                run.changes += 1
            elif space.name.startswith(prefix + "r"):
                self._routers.remove(space)
                run.changes += 1

    def _settle_bridges(self, run: _Run) -> None:
        """In the fabric: bridges, then the rules, then what is plugged into the bridges."""
        with Links() as links:
            for network in run.state.networks:
                with run.guarded(network.id):
                    device = names.bridge(network.id)
                    links.bridge(device, network.mtu, _zone(links, device))
            for device in sorted(_own(links) - _wanted_devices(run.state)):
                links.remove(device)
            run.changes += self._load_rules(links, run)
            self._tunnels.settle(links, run.state, run.guarded, thorough=not run.known)
            for network in run.state.networks:
                if network.service is not None:
                    with run.guarded(network.id):
                        run.changes += self._services.prepare(network)
                        self._services.plug(links, network, network.service)
            for router in run.state.routers:
                with run.guarded(router.id):
                    run.changes += self._routers.prepare(router)
                    self._routers.plug(links, router, run.networks)
            for port in run.state.ports:
                if names.tap(port.id) in links.devices:
                    with run.guarded(port.id):
                        network = run.networks[port.network_id]
                        _settle_tap(links, port, network)
            run.changes += links.changes

    def _load_rules(self, links: Links, run: _Run) -> int:
        zones = {device.name: device.number for device in links.devices.values() if device.name.startswith("brq")}
        changes = int(nft.replace("inet", filters.TABLE, filters.classify(zones)))
        services = self._options.host_services
        try:
            changes += nft.replace("bridge", filters.TABLE, filters.bridge_table(run.state, services))
        except nft.RulesRefused:
            sound, refused = filters.without_refused(run.state)
            run.failed |= refused
            changes += nft.replace("bridge", filters.TABLE, filters.bridge_table(sound, services))
        return changes

    def _settle_insides(self, run: _Run) -> None:
        """Inside the namespaces; between two thorough passes only where something is to be changed."""
        hop = self._egress.hop
        for network in run.state.networks:
            if network.service is not None:
                ports = [port for port in run.state.ports if port.network_id == network.id]
                with run.guarded(network.id):
                    if run.is_new(network):
                        run.changes += self._services.settle(network, network.service)
                    self._services.tell(network, ports)
        for router in run.state.routers:
            gateway = router.gateway
            outside = run.networks[gateway.leg.network_id].physical if gateway is not None else None
            with run.guarded(router.id):
                if run.is_new(router) or any(run.is_new(run.networks[leg.network_id]) for leg in routers.legs(router)):
                    run.changes += self._routers.settle(
                        router, run.networks, hop if outside == self._options.physical else None
                    )

    def _settle_host(self, run: _Run) -> None:
        """The cable to the host, and the way to the outside world, where the physical network is in use."""
        physical = next((one for one in run.state.networks if one.physical == self._options.physical), None)
        cable = names.host_cable(self._options.mark)
        if physical is not None and not run.is_new(physical):
            with run.guarded(physical.id):
                run.changes += self._egress.keep()
            return
        if physical is None or not self._options.host_address:
            run.changes += in_thread(lambda: _remove_cable(cable), "cable")
        else:
            with run.guarded(physical.id):
                run.changes += in_thread(lambda: self._settle_cable(cable, physical.mtu), "cable")
                run.changes += self._home.visit(lambda: _join_cable(physical))
        if physical is not None and self._options.external_device:
            with run.guarded(physical.id):
                run.changes += external.join(self._home, self._options.external_device, physical)
        if physical is not None:
            with run.guarded(physical.id):
                run.changes += self._egress.settle(self._home, physical, self._options.host_address)

    def _settle_cable(self, cable: str, mtu: int) -> int:
        with Links() as links:
            links.cable(cable, names.HOST_PEER, self._home, mtu=mtu)
            sysctl(f"net/ipv6/conf/{cable}/disable_ipv6", "1")
            links.settle(cable, mtu=mtu)
            links.addresses(cable, [self._options.host_address])
            return links.changes

    def _standing(self) -> list[str]:
        """Ids of the bound ports that are up and whose device exists: it never does so off its bridge."""
        if not self._home.exists():
            return []
        wanted = {names.tap(port.id): port.id for port in self._state.ports if port.up}

        def look() -> list[str]:
            return [wanted[name] for _, name in socket.if_nameindex() if name in wanted]

        return sorted(self._home.visit(look))


class _Run:
    """One apply: the state, what it cost, and what went wrong with whom."""

    def __init__(self, state: HostState, known: dict[str, Any]) -> None:
        self.state = state
        self.known = known
        self.networks: dict[str, NetworkState] = {network.id: network for network in state.networks}
        self.changes = 0
        self.failed: dict[str, str] = {}

    def is_new(self, item: NetworkState | RouterState) -> bool:
        """Whether the item is not known to stand exactly so."""
        return bool(self.known.get(item.id) != item)

    @contextlib.contextmanager
    def guarded(self, key: str) -> Iterator[None]:
        """Trouble with one object is written down and does not stop the others."""
        try:
            yield
        except _TROUBLE as error:
            self.failed[key] = str(error)
        except KeyError as error:
            self.failed[key] = f"{error} is missing from the state or the kernel"


def _zone(links: Links, device: str) -> int:
    """The bridge's connection-tracking zone: the one that it has, else the lowest that no bridge has."""
    if device in links.devices:
        return links.devices[device].number
    taken = {one.number for one in links.devices.values() if one.name.startswith("brq")}
    return next(number for number in range(1, 65536) if number not in taken)


def _own(links: Links) -> set[str]:
    """The devices that are the fabric's; the kernel puts some of its own into every namespace."""
    return {name for name in links.devices if name.startswith(_PREFIXES)}


def _wanted_devices(state: HostState) -> set[str]:
    wanted = {names.bridge(network.id) for network in state.networks}
    wanted |= {names.service_plug(network.id) for network in state.networks if network.service is not None}
    wanted |= {names.tap(port.id) for port in state.ports}
    wanted |= {names.tunnel(network.id) for network in spanning(state)}
    wanted |= {Egress.PLUG, names.HOST_PEER} if any(network.physical for network in state.networks) else set()
    for router in state.routers:
        wanted |= routers.plugs(router)
    return wanted


def _plug(port: PortState, network: NetworkState, *, multi_queue: bool) -> int:
    handle = taps.open_tap(names.tap(port.id), multi_queue=multi_queue)
    try:
        with Links() as links:
            _settle_tap(links, port, network)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _settle_tap(links: Links, port: PortState, network: NetworkState) -> None:
    links.settle(names.tap(port.id), mtu=network.mtu, master=names.bridge(network.id), up=port.up)


def _unplug(port_id: str) -> None:
    with Links() as links:
        links.remove(names.tap(port_id))


def _join_cable(network: NetworkState) -> int:
    with Links() as links:
        links.settle(names.HOST_PEER, mtu=network.mtu, master=names.bridge(network.id))
        return links.changes


def _remove_cable(cable: str) -> int:
    if cable not in {name for _, name in socket.if_nameindex()}:
        return 0
    with Links() as links:
        links.remove(cable)
        return links.changes


def _remove_devices() -> None:
    with Links() as links:
        for device in sorted(_own(links)):
            with contextlib.suppress(NetlinkError):
                links.remove(device)


def _first_settings() -> None:
    """Bridged packets pass connection tracking in this namespace only; the host's own switch is not touched."""
    sysctl("net/bridge/bridge-nf-call-iptables", "1")
    sysctl("net/bridge/bridge-nf-call-ip6tables", "1")
    sysctl("net/bridge/bridge-nf-call-arptables", "0")
    for which in ("all", "default"):
        sysctl(f"net/ipv6/conf/{which}/disable_ipv6", "1")
        sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
