# SPDX-License-Identifier: Apache-2.0
"""Devices, addresses and routes of the calling thread's namespace, each brought to what is wanted and counted."""

from __future__ import annotations

import errno
import ipaddress
import os
import secrets
import socket
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from cumulet.services.network.drivers.fabric import bpf, devices, proxies, routing
from cumulet.services.network.drivers.fabric.devices import Device
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.routing import Hop, Roads

_SELF, _MASTER = 0x02, 0x04
_NO_ARP, _PERMANENT = 0x40, 0x80
_PROMISCUOUS = 0x100


class Forward(NamedTuple):
    """Frames for `mac` go to the host `target` (the tunnel's entry), or, None, to the tunnel (the bridge's entry)."""

    device: str
    mac: str
    target: str | None


class Neighbour(NamedTuple):
    """A neighbour that is known without asking; where `device` is a bridge, it answers for it."""

    device: str
    address: str
    mac: str


class Links:
    """The namespace's devices, read once at entry; every method that changes something adds to `changes`.

    Where `names` are given, it knows of no others.
    """

    def __init__(self, *names: str) -> None:
        self._names = names or None
        self._route = IPRoute()
        self.changes = 0
        self.devices: dict[str, Device] = {}

    def __enter__(self) -> Links:
        self.refresh()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._route.close()

    def refresh(self) -> None:
        """Read the devices anew."""
        found = devices.read_all() if self._names is None else filter(None, map(devices.read, self._names))
        self.devices = {device.name: device for device in found}

    def bridge(self, name: str, mtu: int, number: int) -> None:
        """A bridge without multicast snooping and without address."""
        if name not in self.devices:
            # A MAC that follows those of the ports would take the bridge's neighbours along at each change.
            mac = "02:" + secrets.token_bytes(5).hex(":")
            self._change(
                "add", ifname=name, kind="bridge", br_mcast_snooping=0, br_forward_delay=0, mtu=mtu, address=mac
            )
            self._found(name)
            self._change("set", index=self.devices[name].index, group=number)
            self.devices[name].number = number
        self.settle(name, mtu=mtu)

    def cable(self, name: str, inner: str, inside: Namespace, *, mac: str | None = None, mtu: int = 1500) -> None:
        """A veth pair whose other end `inner` lies in the namespace `inside`; left alone where `name` exists."""
        if name in self.devices:
            return
        peer: dict[str, Any] = {"ifname": inner, "mtu": mtu, "net_ns_fd": inside.name}
        if mac is not None:
            peer["address"] = mac
        self._change("add", ifname=name, kind="veth", mtu=mtu, peer=peer)
        self._found(name)

    def pair(self, name: str, other: str, mtu: int) -> None:
        """Two devices of which each gets what the other sends; made anew where either is missing."""
        if name in self.devices and other in self.devices:
            return
        for present in (name, other):
            self.remove(present)
        self._change("add", ifname=name, kind="veth", mtu=mtu, peer={"ifname": other, "mtu": mtu})
        self._found(name)
        self._found(other)

    def vlan(self, name: str, carrier: str, tag: int) -> None:
        """A device that has the carrier's frames of the tag (IEEE 802.1Q); made anew where it has others."""
        index = self.devices[carrier].index
        if name in self.devices:
            found = self._route.get_links(self.devices[name].index)[0]
            about = found.get_attr("IFLA_LINKINFO", default=None)
            data = about.get_attr("IFLA_INFO_DATA") if about is not None else None
            if found.get_attr("IFLA_LINK") == index and data and data.get_attr("IFLA_VLAN_ID") == tag:
                return
            self.remove(name)
        self._change("add", ifname=name, kind="vlan", link=index, vlan_id=tag)
        self._found(name)

    def hear_all(self, name: str, *, every: bool = True) -> None:
        """Have the device take in frames for every address, as a bridge's port does, or for its own again."""
        flags = _PROMISCUOUS if every else 0
        self._route.link("set", index=self.devices[name].index, flags=flags, mask=_PROMISCUOUS)

    def program(self, name: str) -> str | None:
        """The name of the packet program that runs at the device."""
        return bpf.attached(self._route, self.devices[name].index)

    def run_program(self, name: str, program: bytes, label: str) -> None:
        """Run a packet program, under the name `label`, for all that comes in at the device; see `bpf.attach`."""
        bpf.attach(self._route, self.devices[name].index, program, label)
        self.changes += 1

    def end_program(self, name: str) -> None:
        """Run none there."""
        bpf.detach(self._route, self.devices[name].index)
        self.changes += 1

    def tunnel(self, name: str, inside: Namespace, *, number: int, own: str, port: int, mtu: int) -> None:
        """A vxlan device in the namespace `inside`, whose packets leave from and arrive in the calling thread's.

        The kernel leaves the tunnel's socket where the device was made, so nothing of it is seen here but a UDP port.
        """
        self._change(
            "add", ifname=name, kind="vxlan", vxlan_id=number, vxlan_local=own, vxlan_port=port, vxlan_learning=False,
            mtu=mtu, net_ns_fd=inside.name,
        )  # fmt: skip

    def tunnel_port(self, name: str) -> None:
        """Have the bridge learn nothing from the tunnel, and answer in place of the neighbours behind it."""
        self._route.link("set", index=self.devices[name].index, kind="bridge_slave", learning=0, neigh_suppress=1)

    def settle(self, name: str, *, mtu: int | None = None, master: str | None = None, up: bool = True) -> None:
        """Bring a device's MTU, bridge and state to what is given."""
        device = self.devices[name]
        wanted: dict[str, Any] = {}
        if mtu is not None and device.mtu != mtu:
            wanted["mtu"] = mtu
        if master is not None and device.master != self.devices[master].index:
            wanted["master"] = self.devices[master].index
        if device.up != up:
            wanted["state"] = "up" if up else "down"
        if wanted:
            self._change("set", index=device.index, **wanted)
            self._found(name)

    def remove(self, name: str) -> None:
        """Delete a device and, for a cable, its other end; nothing happens where there is none."""
        device = self.devices.pop(name, None)
        if device is None:
            return
        try:
            self._change("del", index=device.index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:  # else its other end's namespace went in this moment and took it along
                raise

    def give(self, name: str, space: Namespace | int) -> None:
        """Move a device into another namespace, named or by an open descriptor of it; it goes down on the way."""
        target = space.name if isinstance(space, Namespace) else space
        self._change("set", index=self.devices.pop(name).index, net_ns_fd=target)

    def addresses(self, name: str, wanted: list[str]) -> list[str]:
        """Make `wanted` (with prefix) the device's addresses, link-local IPv6 aside; the ones that were added."""
        index = self.devices[name].index
        present = {
            f"{ipaddress.ip_address(item.get_attr('IFA_LOCAL') or item.get_attr('IFA_ADDRESS'))}/{item['prefixlen']}"
            for item in self._route.get_addr(index=index)
        }
        for text in sorted(present - set(wanted)):
            if not ipaddress.ip_interface(text).ip.is_link_local or "." in text:
                self._address("del", index, text)
        added = [text for text in wanted if text not in present]
        for text in added:
            self._address("add", index, text)
        return added

    def routes(self, wanted: Mapping[str, Hop]) -> None:
        """Make `wanted` the IPv4 and IPv6 routes by gateway: CIDR (`0.0.0.0/0` too) to next hop and device name."""
        self.roads({target: frozenset([hop]) for target, hop in wanted.items()})

    def roads(self, wanted: Roads, table: int = routing.MAIN) -> None:
        """The same for routes that may have several next hops, in any table."""
        self.changes += routing.settle(self._route, self.devices, wanted, table)

    def hops(self, tables: Iterable[int]) -> set[Hop]:
        """The next hops, with their devices, that these tables' routes have."""
        return {
            hop
            for table in tables
            for found in routing.read(self._route, self.devices, table).values()
            for hop in found
        }

    def near(self, name: str, wanted: Iterable[str], table: int) -> None:
        """Say in a table what is reached over the device without a gateway (CIDRs)."""
        self.changes += routing.near(self._route, self.devices[name], set(wanted), table)

    def choose(self, marks: Mapping[int, int], own: int | None = None) -> None:
        """Let packets of each mark find their default route in a table of their own, and the namespace's in `own`."""
        self.changes += routing.choose(self._route, marks, own)

    def on_link(self, name: str, destination: str) -> None:
        """Say that `destination` (CIDR) is reached directly over the device."""
        self._route.route("replace", dst=destination, oif=self.devices[name].index, scope="link")

    def forwarding(self) -> set[Forward]:
        """All entries of tunnels' forwarding tables, and the static ones of the bridges that lead to tunnels."""
        tunnels = {device.index: name for name, device in self.devices.items() if device.tunnel is not None}
        found = set()
        for item in self._route.fdb("dump"):
            device = tunnels.get(item["ifindex"])
            if device is None:
                continue
            target = item.get_attr("NDA_DST")
            if target is not None:
                found.add(Forward(device, item.get_attr("NDA_LLADDR"), target))
            elif item.get_attr("NDA_MASTER") is not None and item["state"] & _NO_ARP:
                found.add(Forward(device, item.get_attr("NDA_LLADDR"), None))
        return found

    def forward(self, verb: str, entry: Forward) -> None:
        """`append` (one target more), `replace` or `del` an entry."""
        words: dict[str, Any] = {"ifindex": self.devices[entry.device].index, "lladdr": entry.mac}
        if entry.target is None:
            # "Permanent" would mean an address of the bridge itself: its frames would vanish.
            self._route.fdb(verb, flags=_MASTER, state=_NO_ARP, **words)
        else:
            self._route.fdb(verb, flags=_SELF, state=_PERMANENT, dst=entry.target, **words)
        self.changes += 1

    def neighbours(self, *, every: bool = False) -> set[Neighbour]:
        """The permanent IPv4 neighbours, or `every` one, IPv6 too."""
        known = {device.index: name for name, device in self.devices.items()}
        return {
            Neighbour(known[item["ifindex"]], item.get_attr("NDA_DST"), item.get_attr("NDA_LLADDR"))
            for family in ((socket.AF_INET, socket.AF_INET6) if every else (socket.AF_INET,))
            for item in self._route.get_neighbours(family=family)
            if item["state"] & _PERMANENT and item["ifindex"] in known
        }

    def neighbour(self, verb: str, entry: Neighbour) -> None:
        """`replace` or `del` an entry."""
        index = self.devices[entry.device].index
        words: dict[str, Any] = {"lladdr": entry.mac, "state": _PERMANENT} if verb != "del" else {}
        family = socket.AF_INET6 if ":" in entry.address else socket.AF_INET
        self._route.neigh(verb, family=family, ifindex=index, dst=entry.address, **words)
        self.changes += 1

    def answer_for(self, name: str, wanted: Iterable[str]) -> None:
        """Answer the device's neighbours for these IPv6 addresses of others, and for none else (RFC 4389)."""
        index, named = self.devices[name].index, set(wanted)
        present = proxies.read(index)
        for verb, listed in (("del", present - named), ("add", named - present)):
            for address in sorted(listed):
                self._route.neigh(verb, family=socket.AF_INET6, dst=address, ifindex=index, flags=proxies.FLAG)
                self.changes += 1
        if named:
            sysctl(f"net/ipv6/conf/{name}/proxy_ndp", "1")

    def announce(self, name: str, addresses: Iterable[str]) -> None:
        """Tell the neighbours whose each address is now (RFC 5227: gratuitous ARP, RFC 4861: unsolicited answers)."""
        device = self.devices[name]
        mac = bytes.fromhex(device.mac.replace(":", ""))
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as wire:
            wire.bind((name, 0))
            for text in addresses:
                own = ipaddress.ip_interface(text).ip
                wire.send(_gratuitous_arp(mac, own.packed) if own.version == 4 else _unsolicited(mac, own.packed))

    def _address(self, verb: str, index: int, text: str) -> None:
        address, prefix = text.split("/")
        extra: dict[str, Any] = {"flags": 0x02} if ":" in address and verb == "add" else {}  # IFA_F_NODAD
        self._route.addr(verb, index=index, address=address, prefixlen=int(prefix), **extra)
        self.changes += 1

    def _change(self, verb: str, **words: Any) -> None:
        self._route.link(verb, **words)
        self.changes += 1

    def _found(self, name: str) -> None:
        found = devices.read(name)
        if found is None:
            raise OSError(errno.ENODEV, f"{name} is gone")
        self.devices[name] = found


def sysctl(path: str, value: str) -> None:
    """Set a switch (`net/ipv4/ip_forward`) of the calling thread's namespace; one that the kernel lacks is skipped."""
    target = Path("/proc/sys") / path
    try:
        handle = os.open(target, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        os.write(handle, value.encode())
    finally:
        os.close(handle)


def supports_ipv6() -> bool:
    """Whether the kernel has IPv6 at all."""
    return Path("/proc/sys/net/ipv6").exists()


def _gratuitous_arp(mac: bytes, own: bytes) -> bytes:
    header = b"\xff" * 6 + mac + struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
    return header + mac + own + bytes(6) + own + bytes(18)


def _unsolicited(mac: bytes, own: bytes) -> bytes:
    """A neighbour advertisement to all nodes, of a router, that replaces what they know."""
    everyone = ipaddress.IPv6Address("ff02::1").packed
    body = struct.pack("!BBHI", 136, 0, 0, 0xA0000000) + own + b"\x02\x01" + mac
    words = struct.unpack(f"!{(40 + len(body)) // 2}H", own + everyone + struct.pack("!II", len(body), 58) + body)
    total = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    body = body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]
    header = b"\x33\x33" + everyone[-4:] + mac + struct.pack("!H", 0x86DD)
    return header + struct.pack("!IHBB", 6 << 28, len(body), 58, 255) + own + everyone + body
