# SPDX-License-Identifier: Apache-2.0
"""The kernel fabric as a whole: brings one host from what it is to what it should be."""

from __future__ import annotations

import contextlib
import logging
import secrets
import socket
import threading
import time
from collections.abc import Callable, Collection, Container, Iterable
from functools import partial
from typing import Any

import msgspec
from pyroute2.netlink.exceptions import NetlinkError

from cumulet.kernel.errors import NotFound, NotReady
from cumulet.services.network.drivers import layers
from cumulet.services.network.drivers.base import Metadata
from cumulet.services.network.drivers.fabric import filters, meters, modules, names, nft, packet_logs, taps, trunks
from cumulet.services.network.drivers.fabric.connections import Connections
from cumulet.services.network.drivers.fabric.distributed import Distributed
from cumulet.services.network.drivers.fabric.ears import Ears
from cumulet.services.network.drivers.fabric.ha import SharedRouters
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.local_ips import LocalIps
from cumulet.services.network.drivers.fabric.metadata import MetadataServer
from cumulet.services.network.drivers.fabric.namespace import Namespace, with_prefix
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.drivers.fabric.outside import Outside
from cumulet.services.network.drivers.fabric.packet_logs import PacketLogs
from cumulet.services.network.drivers.fabric.probe import probe
from cumulet.services.network.drivers.fabric.provider import Provider
from cumulet.services.network.drivers.fabric.resolver import Resolver
from cumulet.services.network.drivers.fabric.roles import Roles
from cumulet.services.network.drivers.fabric.routers import Routers
from cumulet.services.network.drivers.fabric.rulesets import Keeper
from cumulet.services.network.drivers.fabric.services import Services
from cumulet.services.network.drivers.fabric.shapers import Shapers
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.drivers.fabric.tunnels import Tunnels
from cumulet.services.network.types import KINDS, Applied, Capabilities, HostState, Layer, PortState, RouterState
from cumulet.services.network.types.connections import Connection
from cumulet.services.network.types.meters import MeterReading

LOG = logging.getLogger(__name__)

# What an apply does beside bridges and rules, in this order; a feature's module adds its own.
STAGES: tuple[Callable[[Ground], Stage], ...] = (
    SharedRouters,
    Tunnels,
    Provider,
    Services,
    Routers,
    Distributed,
    trunks.Trunks,
    taps.Taps,
    Shapers,
    PacketLogs,
    LocalIps,
    meters.Meters,
    Outside,
)

_NEEDED = ("namespaces", "bridge_filter", "bridge_netfilter", "nat", "tap")
PATIENCE = 10.0  # seconds that open_tap waits for a port to become part of the state


class KernelFabric:
    """The Fabric of `drivers.base` on the Linux kernel's own parts. Needs root in the agent's user namespace.

    LIMITATIONS: tunnels run over IPv4, are not encrypted, and believe what other hosts send.
    """

    def __init__(self, options: FabricOptions, metadata: Metadata) -> None:
        self._options = options
        self._home = Namespace(names.fabric(options.mark))
        self._changed = threading.Condition(threading.RLock())
        self._state = HostState()
        self._last = Applied(generation=0)
        self._metadata = MetadataServer(metadata)
        self._ears = Ears()
        self._roles = Roles(options, self._home, self._turn)
        self._tell: Callable[[], None] = lambda: None
        self._resolver = Resolver(options.resolvers)
        modules.ensure()
        self.capabilities: Capabilities = probe(egress=options.egress, mark=options.mark)
        ground = Ground(
            options=options,
            home=self._home,
            metadata=self._metadata,
            ears=self._ears,
            resolver=self._resolver,
            capabilities=self.capabilities,
            roles=self._roles,
        )
        self._connections = Connections(ground)
        self._stages = [*(make(ground) for make in STAGES), self._connections]
        self._filters = filters.BridgeTable(options.host_services, (options.packet_log_rate, options.packet_log_burst))
        self._rules = Keeper("bridge", filters.TABLE)

    def apply(self, state: HostState) -> Applied:
        """See `Fabric.apply`; what this engine has made once is believed to stand."""
        with self._changed:
            return self._make(state, self._known())

    def repair(self) -> Applied:
        """See `Fabric.repair`."""
        with self._changed:
            return self._make(self._state, {})

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        """See `HostPorts.open_tap`; waits up to PATIENCE for a port whose binding is still on its way."""
        end = time.monotonic() + PATIENCE
        with self._changed:
            while (port := self._port(port_id)) is None:
                if not self._changed.wait(end - time.monotonic()):
                    raise NotFound(f"port {port_id} is not bound to this host")
            if port.network_id in self._last.failed:
                raise NotReady(self._last.failed[port.network_id])
            if port.trunk is not None:
                raise NotFound(f"port {port_id} is a subport: its guest has tagged frames of port {port.trunk.parent}")
            network = next(network for network in self._state.networks if network.id == port.network_id)
            ready = partial(self._prepare_tap, port)
            return self._home.visit(lambda: taps.plug_tap(port, network, multi_queue=multi_queue, prepare=ready))

    def close_tap(self, port_id: str) -> None:
        """See `HostPorts.close_tap`."""
        with self._changed:
            if self._home.exists():
                self._home.visit(lambda: taps.unplug_tap(port_id))

    def report(self) -> Applied:
        """See `Fabric.report`."""
        with self._changed:
            return msgspec.structs.replace(self._last, ports=_standing(self._state, self._found()))

    def active(self) -> list[str]:
        """See `Fabric.active`."""
        return self._roles.active()

    def on_turn(self, tell: Callable[[], None]) -> None:
        """See `Fabric.on_turn`."""
        self._tell = tell

    def look(self, port_id: str) -> list[Layer]:
        """See `Fabric.look`."""
        with self._changed:
            port = self._port(port_id)
            if port is None or not self._home.exists():
                return layers.told(self._state, port)
            return [*layers.told(self._state, port), *self._home.visit(lambda: self._look(port))]

    def meters(self, routers: Iterable[RouterState]) -> list[MeterReading]:
        """See `Fabric.meters`."""
        return meters.read(self._options.mark, routers)

    def connections(self, port_ids: Collection[str]) -> list[Connection]:
        """See `Fabric.connections`."""
        with self._changed:
            state = self._state
        return self._connections.of(state, port_ids)

    def adopt(self, offered: Collection[Connection]) -> int:
        """See `Fabric.adopt`."""
        with self._changed:
            return self._connections.adopt(self._state, offered)

    def stop(self) -> None:
        """See `Fabric.stop`."""
        self._roles.close()
        self._ears.close()
        self._resolver.close()
        self._metadata.close()
        for stage in self._stages:
            stage.close()

    def shutdown(self) -> None:
        """See `Fabric.shutdown`."""
        with self._changed:
            self.stop()
            for stage in self._stages:
                stage.remove()
            if self._home.exists():
                self._home.visit(self._remove_devices)
            for space in with_prefix(names.fabric(self._options.mark)):
                space.delete()
            self._state, self._last = HostState(), Applied(generation=0)

    def _make(self, state: HostState, known: dict[str, Any]) -> Applied:
        self._require_kernel()
        run = Run(state, self._state, known)
        run.changes += self._make_home()
        for stage in self._stages:
            stage.prepare(run)
        self._home.visit(lambda: self._settle_bridges(run))
        for stage in self._stages:
            self._drop_orphans(stage, run)
        for stage in self._stages:
            stage.settle(run)
        self._state = state
        self._last = Applied(generation=state.generation, changes=run.changes, ports=run.standing, failed=run.failed)
        self._changed.notify_all()
        return self._last

    def _turn(self, routers: set[str]) -> None:
        """Routers that hosts share came here, or are elsewhere than before."""
        with self._changed:
            if self._home.exists():
                run = Run(self._state, self._state, self._known())
                for stage in self._stages:
                    stage.turned(run, routers)
                for key, reason in run.failed.items():
                    LOG.error("network object %s could not follow a router: %s", key, reason)
        self._tell()

    def _prepare_tap(self, port: PortState) -> None:
        for stage in self._stages:
            stage.opened(port, self._state, self._last.failed)

    def _look(self, port: PortState) -> list[Layer]:
        with Links() as links:
            bridge = links.devices.get(names.bridge(port.network_id))
            sound = bridge is not None and bridge.up
            found = [Layer(name="bridge", sound=sound, words=names.bridge(port.network_id))]
            found.append(_rules(port))
            for stage in self._stages:
                found += stage.look(port, self._state, links)
            return found

    def _known(self) -> dict[str, Any]:
        """What stands as it should, by id."""
        known = (item for kind in KINDS for item in getattr(self._state, kind.name))
        return {item.id: item for item in known if item.id not in self._last.failed}

    def _require_kernel(self) -> None:
        able = self.capabilities
        lacking = [name for name in _NEEDED if not getattr(able, name)]
        if lacking:
            raise NotReady("; ".join(able.missing.get(name, name) for name in lacking))

    def _port(self, port_id: str) -> PortState | None:
        return next((port for port in self._state.ports if port.id == port_id), None)

    def _make_home(self) -> int:
        if not self._home.create():
            return 0
        self._home.visit(_first_settings)
        return 1

    def _drop_orphans(self, stage: Stage, run: Run) -> None:
        """The stage's namespaces that are no more; their cables went with the bridges' pass."""
        keep = stage.spaces(run.state)
        for space in with_prefix(f"{self._home.name}-{stage.letter}") if stage.letter else []:
            if space.name not in keep:
                stage.drop(space, run)
                run.changes += 1

    def _settle_bridges(self, run: Run) -> None:
        """In the fabric: bridges, then the rules, then what is plugged into the bridges."""
        with Links() as links:
            for network in run.state.networks:
                with run.guarded(network.id):
                    device = names.bridge(network.id)
                    links.bridge(device, network.mtu, _zone(links, device))
            wanted = {names.bridge(network.id) for network in run.state.networks}
            wanted = wanted.union(*(stage.wanted(run.state) for stage in self._stages))
            for device in sorted(self._own(links) - wanted):
                links.remove(device)
            run.changes += self._load_rules(links, run)
            for stage in self._stages:
                stage.plug(links, run)
            run.standing = _standing(run.state, links.devices)
            run.changes += links.changes

    def _load_rules(self, links: Links, run: Run) -> int:
        zones = {
            device.name: device.number for device in links.devices.values() if device.name.startswith(names.BRIDGE)
        }
        thorough = not run.known
        changes = int(nft.replace("inet", filters.TABLE, filters.classify(zones), thorough=thorough))
        wanted = packet_logs.without(run.state) if "packet_logs" in self.capabilities.missing else run.state
        try:
            changes += self._rules.settle(self._filters.of(wanted), thorough=thorough)
        except nft.RulesRefused:
            sound, refused = filters.without_refused(wanted)
            run.failed |= refused
            changes += self._rules.settle(self._filters.of(sound), thorough=thorough)
        return changes

    def _own(self, links: Links) -> set[str]:
        """The devices that are the fabric's; the kernel puts some of its own into every namespace."""
        prefixes = (names.BRIDGE, *(prefix for stage in self._stages for prefix in stage.prefixes))
        return {name for name in links.devices if name.startswith(prefixes)}

    def _remove_devices(self) -> None:
        with Links() as links:
            for device in sorted(self._own(links)):
                with contextlib.suppress(NetlinkError):
                    links.remove(device)

    def _found(self) -> set[str]:
        """Names of the fabric's devices."""
        if not self._home.exists():
            return set()
        return self._home.visit(lambda: {name for _, name in socket.if_nameindex()})


def _standing(state: HostState, devices: Container[str]) -> list[str]:
    """Ids of the bound ports that are up and whose device exists: it never does so off its bridge."""
    return sorted(port.id for port in state.ports if port.up and trunks.is_whole(port, devices))


def _rules(port: PortState) -> Layer:
    """Called in the fabric's namespace."""
    if not port.security:
        return Layer(name="rules", sound=True, words="port security is off: nothing is filtered")
    sound = {f"f-{port.id}", f"t-{port.id}"} <= nft.chains("bridge", filters.TABLE)
    return Layer(name="rules", sound=sound, words="loaded" if sound else "not loaded: nothing passes")


def _zone(links: Links, device: str) -> int:
    """The bridge's connection-tracking zone: the one that it has, else any that no bridge has.

    A number that another network had a moment ago may still have its connections, so it is not the next to be given.
    """
    if device in links.devices:
        return links.devices[device].number
    taken = {one.number for one in links.devices.values() if one.name.startswith(names.BRIDGE)}
    while (number := secrets.randbelow(65535) + 1) in taken:
        pass
    return number


def _first_settings() -> None:
    """Bridged packets pass connection tracking in this namespace only; the host's own switch is not touched."""
    sysctl("net/bridge/bridge-nf-call-iptables", "1")
    sysctl("net/bridge/bridge-nf-call-ip6tables", "1")
    sysctl("net/bridge/bridge-nf-call-arptables", "0")
    for which in ("all", "default"):
        sysctl(f"net/ipv6/conf/{which}/disable_ipv6", "1")
        sysctl(f"net/ipv4/conf/{which}/rp_filter", "0")
