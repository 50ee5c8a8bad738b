# SPDX-License-Identifier: Apache-2.0
"""Networks that are, or are a VLAN of, a network of the outside world: the host's device that leads there."""

from __future__ import annotations

from collections.abc import Iterable

from pyroute2.netlink.exceptions import NetlinkError

from cumulet.services.network.drivers.fabric import external, names, nft
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.drivers.fabric.tags import Tagged, Tags
from cumulet.services.network.types import HostState, Layer, NetworkState, PortState

TABLE = "cumulet_provider"
_FILTER = """
set plain { type ifname; %s }
set own { type ifname . ether_addr; %s }
chain comes { type filter hook prerouting priority -310;
iifname @plain ether type 8021q drop
}
chain goes { type filter hook forward priority -10;
oifname @plain ether type 8021q drop
oifname . ether saddr @own drop
}
"""


class Provider(Stage):
    """Joins devices to the bridges of flat networks, and their VLANs to those of others.

    A flat network is what has no tag on the wire: frames with one neither come nor go. What services say that every
    host has stays on this one.
    """

    prefixes = ("vl-", "vs-")

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._devices = dict(ground.options.devices)
        self._tags = Tags(ground.capabilities.tags)
        self._hearing: set[int] = set()
        self._filter = ""

    def wanted(self, state: HostState) -> set[str]:
        tagged = [network for network in state.networks if network.vlan is not None]
        return {name(network.id) for network in tagged for name in (names.vlan, names.vlan_stub)}

    def prepare(self, run: Run) -> None:
        """Take in the devices that are missing, from the host's namespace."""
        for network in run.state.networks:
            device = self._device(network)
            if device is not None and run.is_new(network):
                with run.guarded(network.id):
                    run.changes += external.take(self._ground.home, device)

    def plug(self, links: Links, run: Run) -> None:
        self._settle_filter(run)
        carried: dict[str, list[NetworkState]] = {}
        for network in run.state.networks:
            with run.guarded(network.id):
                if network.vlan is not None and network.vlan.physical not in self._devices:
                    raise OSError(f"no device of this host leads to physical network {network.vlan.physical}")
                if network.physical not in (None, self._ground.options.physical, *self._devices):
                    raise OSError(f"no device of this host leads to physical network {network.physical}")
                device = self._device(network)
                if device is not None and device in links.devices:
                    carried.setdefault(device, []).append(network)
        for device, networks in sorted(carried.items()):
            self._join(links, run, device, networks)
        self._tags.keep(links, set(carried))

    def look(self, port: PortState, state: HostState, links: Links) -> Iterable[Layer]:
        network = next(one for one in state.networks if one.id == port.network_id)
        name = self._device(network)
        if name is None:
            return
        device, plug = links.devices.get(name), name
        if network.vlan is not None:
            plug = names.vlan(network.id)
        there, bridge = links.devices.get(plug), links.devices.get(names.bridge(network.id))
        sound = device is not None and device.up and there is not None and there.up
        sound = sound and bridge is not None and there is not None and there.master == bridge.index
        words = name if network.vlan is None else f"{name}, tag {network.vlan.number}"
        yield Layer(name="provider link", sound=sound, words=words)

    def close(self) -> None:
        self._tags.close()

    def remove(self) -> None:
        if self._ground.home.exists():
            external.give_back(self._ground.home, self._devices.values())

    def _device(self, network: NetworkState) -> str | None:
        """The host's device for the network; None where there is none, or it needs none."""
        physical = network.vlan.physical if network.vlan is not None else network.physical
        return self._devices.get(physical) if physical is not None else None

    def _join(self, links: Links, run: Run, device: str, networks: list[NetworkState]) -> None:
        tagged, mtu = [], max(network.mtu for network in networks)
        for network in networks:
            with run.guarded(network.id):
                if network.vlan is None:
                    links.settle(device, mtu=mtu, master=names.bridge(network.id))
                else:
                    stub = names.vlan_stub(network.id)
                    tagged.append(Tagged(network.vlan.number, names.vlan(network.id), stub, network.mtu))
        with run.guarded(networks[0].id):
            links.settle(device, mtu=mtu)
            if tagged and links.devices[device].index not in self._hearing:
                links.hear_all(device)
                self._hearing.add(links.devices[device].index)
        try:
            self._tags.settle(links, device, tagged, thorough=not run.known)
        except (OSError, NetlinkError) as error:
            for network in networks:
                if network.vlan is not None:
                    run.failed.setdefault(network.id, f"no VLANs at {device}: {error}")
            return
        for network in networks:
            if network.vlan is not None:
                with run.guarded(network.id):
                    links.settle(names.vlan(network.id), mtu=network.mtu, master=names.bridge(network.id))

    def _settle_filter(self, run: Run) -> None:
        """Called in the fabric's namespace."""
        plain, own = [], []
        for network in run.state.networks:
            device = self._device(network)
            if device is None:
                continue
            if network.vlan is None:
                plain.append(f'"{device}"')
            if network.service is not None:
                plug = device if network.vlan is None else names.vlan(network.id)
                own.append(f'"{plug}" . {network.service.mac}')
        filled = (f"elements = {{ {', '.join(sorted(each))} }};" if each else "" for each in (plain, own))
        wanted = _FILTER % tuple(filled) if plain or own else ""
        if wanted == self._filter and run.known:
            return
        if wanted:
            run.changes += nft.replace("bridge", TABLE, wanted, thorough=not run.known)
        else:
            run.changes += nft.remove("bridge", TABLE)
        self._filter = wanted
