# SPDX-License-Identifier: Apache-2.0
"""Networks that span hosts: a vxlan device for each, which is told where everything is and never learns or asks."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager

from pyroute2.netlink.exceptions import NetlinkError

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Forward, Links, Neighbour
from cumulet.services.network.drivers.fabric.namespace import Namespace, in_thread
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import HostState, Layer, NetworkState, PortState

EVERYONE = "00:00:00:00:00:00"  # the entry whose targets get broadcasts and what has no entry of its own
_ABSENT = (errno.ENOENT, errno.ESRCH, errno.ENODEV)

Guard = Callable[[str], AbstractContextManager[None]]


class Tunnels(Stage):
    """Brings tunnels and their tables to their state.

    What was set is remembered, for reading thousands of entries back takes longer than changing one of them.
    """

    prefixes = ("vx-",)

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._endpoint = ground.options.endpoint
        self._port = ground.options.tunnel_port
        self._made: dict[str, tuple[int, str, int]] = {}
        self._forwards: set[Forward] = set()
        self._neighbours: set[Neighbour] = set()
        self._is_known = False

    def wanted(self, state: HostState) -> set[str]:
        return {names.tunnel(network.id) for network in spanning(state)}

    def prepare(self, run: Run) -> None:
        """Make the devices that are missing, from the host's namespace into the fabric's."""
        wanted = spanning(run.state)
        if not wanted:
            return
        home = self._ground.home
        present = home.visit(lambda: self._check({names.tunnel(one.id): self._shape(one) for one in wanted}))
        missing = [network for network in wanted if names.tunnel(network.id) not in present]
        if missing:
            run.changes += in_thread(lambda: self._make(home, missing, run.guarded), "tunnels")

    def plug(self, links: Links, run: Run) -> None:
        """Join the devices to their bridges and fill the tables."""
        wanted = [one for one in spanning(run.state) if names.tunnel(one.id) in links.devices]
        if not run.known or not self._is_known:
            self._forwards, self._neighbours = links.forwarding(), links.neighbours()
            self._is_known = True
        self._forwards = {entry for entry in self._forwards if entry.device in links.devices}
        self._neighbours = {entry for entry in self._neighbours if entry.device in links.devices}
        for network in wanted:
            with run.guarded(network.id):
                _plug(links, network)
        keys = {one.id for one in wanted}
        self._forward(links, set(self._entries(run.state, keys)), run.guarded)
        self._neighbour(links, set(self._answers(run.state, keys)), run.guarded)

    def turned(self, run: Run, routers: set[str]) -> None:
        """Send to the routers where they are now."""

        def work() -> None:
            with Links() as links:
                self.plug(links, run)

        self._ground.home.visit(work)

    def look(self, port: PortState, state: HostState, links: Links) -> Iterable[Layer]:
        if port.network_id not in {network.id for network in spanning(state)}:
            return
        device = links.devices.get(names.tunnel(port.network_id))
        far = [remote for remote in state.remotes if remote.network_id == port.network_id]
        known = {entry.mac for entry in self._forwards if device is not None and entry.device == device.name}
        away = [remote for remote in far if self._ground.roles.at(remote)]
        sound = device is not None and device.up and all(remote.mac in known for remote in away)
        hosts = len({remote.endpoint for remote in far})
        yield Layer(name="tunnel", sound=sound, words=f"to {len(far)} ports on {hosts} other hosts")

    def _shape(self, network: NetworkState) -> tuple[int, str, int]:
        return (network.segment, self._endpoint, self._port)

    def _check(self, wanted: dict[str, tuple[int, str, int]]) -> set[str]:
        """Which of the devices are there; one that was made otherwise, by an agent with another address, is removed."""
        present = {name for _, name in socket.if_nameindex()} & wanted.keys()
        if all(self._made.get(name) == wanted[name] for name in present):
            return present
        with Links() as links:
            for name in sorted(present):
                shape = links.devices[name].tunnel
                if shape != wanted[name]:
                    links.remove(name)
                    present.discard(name)
                else:
                    self._made[name] = wanted[name]
        return present

    def _make(self, home: Namespace, missing: list[NetworkState], guarded: Guard) -> int:
        with Links() as links:
            for network in missing:
                with guarded(network.id):
                    self._make_one(links, home, network)
            return links.changes

    def _make_one(self, links: Links, home: Namespace, network: NetworkState) -> None:
        number, own, port = self._shape(network)
        if not own:
            raise OSError("this host has no address for tunnels: set network.tunnel_address")
        name = names.tunnel(network.id)
        try:
            links.tunnel(name, home, number=number, own=own, port=port, mtu=network.mtu)
        except NetlinkError as error:
            raise OSError(f"no tunnel {number} from {own} at UDP port {port}: {error}") from error
        self._made[name] = (number, own, port)
        self._forwards = {entry for entry in self._forwards if entry.device != name}

    def _forward(self, links: Links, wanted: set[Forward], guarded: Guard) -> None:
        """New entries first, so that a port that moves is never nowhere."""
        moved = {(entry.device, entry.mac) for entry in wanted if entry.target is not None and entry.mac != EVERYONE}
        for entry in sorted(wanted - self._forwards, key=str):
            with guarded(entry.device), self._noticed():
                links.forward("append" if entry.mac == EVERYONE else "replace", entry)
        for entry in sorted(self._forwards - wanted, key=str):
            if entry.target is None or (entry.device, entry.mac) not in moved:
                with guarded(entry.device), self._noticed():
                    links.forward("del", entry)
        self._forwards = wanted

    def _neighbour(self, links: Links, wanted: set[Neighbour], guarded: Guard) -> None:
        kept = {(entry.device, entry.address) for entry in wanted}
        for entry in sorted(wanted - self._neighbours):
            with guarded(entry.device), self._noticed():
                links.neighbour("replace", entry)
        for entry in sorted(self._neighbours - wanted):
            if (entry.device, entry.address) not in kept:
                with guarded(entry.device), self._noticed():
                    links.neighbour("del", entry)
        self._neighbours = wanted

    def _entries(self, state: HostState, networks: set[str]) -> Iterable[Forward]:
        """Everybody is reached on all hosts; what is on several of them where it is now, unless that is here."""
        for remote in state.remotes:
            if remote.network_id in networks:
                device = names.tunnel(remote.network_id)
                for place in self._ground.roles.hears(remote):
                    yield Forward(device, EVERYONE, place)
                if place := self._ground.roles.at(remote):
                    yield Forward(device, remote.mac, place)
                    yield Forward(device, remote.mac, None)

    def _answers(self, state: HostState, networks: set[str]) -> Iterable[Neighbour]:
        for remote in state.remotes:
            if remote.network_id in networks and self._ground.roles.at(remote):
                for address in remote.addresses:
                    if ":" not in address:
                        yield Neighbour(names.bridge(remote.network_id), address, remote.mac)

    @contextlib.contextmanager
    def _noticed(self) -> Iterator[None]:
        """After trouble all is read anew; that something to be removed is gone already is none."""
        try:
            yield
        except NetlinkError as error:
            self._is_known = False
            if error.code not in _ABSENT:
                raise


def spanning(state: HostState) -> list[NetworkState]:
    """The networks of the state that other hosts have ports on."""
    shared = {remote.network_id for remote in state.remotes}
    return [network for network in state.networks if network.id in shared and network.segment]


def _plug(links: Links, network: NetworkState) -> None:
    """Join the tunnel to its bridge; it goes up last, so that one that is up is known to learn nothing."""
    device, bridge = names.tunnel(network.id), names.bridge(network.id)
    if not links.devices[device].up:
        links.settle(device, mtu=network.mtu, master=bridge, up=False)
        links.tunnel_port(device)
    links.settle(device, mtu=network.mtu, master=bridge)
