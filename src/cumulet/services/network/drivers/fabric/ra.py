# SPDX-License-Identifier: Apache-2.0
"""Router advertisements (RFC 4861, 4191, 8106): which prefixes are on a link, and how guests come by addresses."""

from __future__ import annotations

import ipaddress
import random
import socket
import struct
import sys
import time

import msgspec

from cumulet.services.network.drivers.fabric import dhcp
from cumulet.services.network.drivers.fabric.ears import Ears
from cumulet.services.network.drivers.fabric.filters import link_local
from cumulet.services.network.types import LegState, NetworkState, SubnetState

LEAST_MTU = 1280  # bytes that a link must carry to have IPv6
SHORTEST, LONGEST = 30.0, 100.0  # seconds between two advertisements that nobody asked for
FIRST, FIRST_PAUSE = 3, 16.0  # so many of them come sooner after each other
BUSY = 3.0  # seconds between two advertisements to all
AGAIN = 1.0  # seconds until what could not be sent is sent again
LIFETIME = int(3 * LONGEST)
VALID, PREFERRED = 86400, 14400  # seconds of a prefix
MOST_SERVERS = 3
_SOLICITATION, _ADVERTISEMENT = 133, 134
_MANAGED, _OTHER, _ON_LINK, _AUTONOMOUS = 0x80, 0x40, 0x80, 0x40
_AUTOMATIC = ("slaac", "dhcpv6-stateless")
_SO_BINDTODEVICE, _ICMP6_FILTER = 25, 1
_ALL_NODES, _ALL_ROUTERS = "ff02::1", "ff02::2"
_UNSPECIFIED = "::"
_SERVICE = "ra"


class Prefix(msgspec.Struct, kw_only=True, frozen=True):
    """A range that is on the link; `autonomous` where guests make addresses of it themselves."""

    cidr: str
    autonomous: bool


class Advert(msgspec.Struct, kw_only=True, frozen=True):
    """What one leg says. `managed`: addresses come from DHCPv6; `other`: only the rest does; `mtu` in bytes.

    `dns` are servers, `routes` CIDRs that the router leads to.
    """

    mac: str
    mtu: int
    managed: bool = False
    other: bool = False
    prefixes: list[Prefix] = []
    dns: list[str] = []
    routes: list[str] = []


def advert(leg: LegState, network: NetworkState) -> Advert | None:
    """What the leg is to say to the network; None where it has no IPv6 there."""
    own = {text.split("/")[0] for text in leg.addresses if ":" in text}
    if not own or network.mtu < LEAST_MTU:
        return None
    subnets = [subnet for subnet in network.subnets if subnet.version == 6 and _holds(subnet, own)]
    modes = {subnet.ra_mode for subnet in subnets}
    servers = [server for subnet in subnets if subnet.ra_mode == "slaac" for server in dhcp.name_servers(subnet)]
    routes = [route.destination for subnet in subnets for route in subnet.routes if route.nexthop in own]
    return Advert(
        mac=leg.mac,
        mtu=network.mtu,
        managed="dhcpv6-stateful" in modes,
        other="dhcpv6-stateless" in modes,
        prefixes=[
            Prefix(cidr=subnet.cidr, autonomous=subnet.ra_mode in _AUTOMATIC)
            for subnet in subnets
            if subnet.ra_mode is not None
        ],
        dns=list(dict.fromkeys(servers))[:MOST_SERVERS],
        routes=[route for route in dict.fromkeys(routes) if route != "::/0"],
    )


def message(said: Advert, gone: list[Prefix] | None = None) -> bytes:
    """The advertisement as ICMPv6, its checksum left to the kernel; `gone` are prefixes that were said before."""
    flags = (_MANAGED if said.managed else 0) | (_OTHER if said.other else 0)
    body = struct.pack("!BBHBBHII", _ADVERTISEMENT, 0, 0, 64, flags, LIFETIME, 0, 0)
    body += b"\x01\x01" + bytes.fromhex(said.mac.replace(":", ""))
    body += struct.pack("!BBHI", 5, 1, 0, said.mtu)
    body += b"".join(_prefix(one, VALID, PREFERRED) for one in said.prefixes)
    body += b"".join(_prefix(one, 0, 0) for one in gone or [])
    if said.dns:
        servers = b"".join(ipaddress.IPv6Address(server).packed for server in said.dns)
        body += struct.pack("!BBHI", 25, 1 + 2 * len(said.dns), 0, LIFETIME) + servers
    return body + b"".join(_route(cidr) for cidr in said.routes)


def _holds(subnet: SubnetState, addresses: set[str]) -> bool:
    network = ipaddress.ip_network(subnet.cidr)
    return any(ipaddress.ip_address(address) in network for address in addresses)


def _prefix(prefix: Prefix, valid: int, preferred: int) -> bytes:
    network = ipaddress.IPv6Network(prefix.cidr)
    flags = _ON_LINK | (_AUTONOMOUS if prefix.autonomous else 0)
    head = struct.pack("!BBBBIII", 3, 4, network.prefixlen, flags, valid, preferred, 0)
    return head + network.network_address.packed


def _route(cidr: str) -> bytes:
    network = ipaddress.IPv6Network(cidr, strict=False)
    size = 0 if network.prefixlen == 0 else 1 if network.prefixlen <= 64 else 2
    head = struct.pack("!BBBBI", 24, 1 + size, network.prefixlen, 0, LIFETIME)
    return head + network.network_address.packed[: 8 * size]


class Advertiser:
    """Speaks for the legs of any number of routers, on the thread of `ears`; `key` is a namespace and a leg."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._legs: dict[tuple[str, str], _Leg] = {}

    def listening(self, key: tuple[str, str]) -> bool:
        return key in self._legs

    def listen(self, key: tuple[str, str], device: str) -> None:
        """Hear guests that ask on `device` of the calling thread's namespace; `tell` says what they are told."""
        sock = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        try:
            self._legs[key] = leg = _Leg(self._ears, (_SERVICE, *key), sock, device)
        except OSError:
            sock.close()
            raise
        self._ears.hear((_SERVICE, *key), sock, leg.take)

    def tell(self, key: tuple[str, str], said: Advert) -> None:
        """Say this from now on, and at once where it is something new."""
        self._legs[key].tell(said)

    def keep(self, space: str, legs: set[str]) -> None:
        """Be silent on all legs of the namespace but these."""
        for key in [key for key in self._legs if key[0] == space and key[1] not in legs]:
            del self._legs[key]
            self._ears.forget((_SERVICE, *key))


class _Leg:
    """One socket; all but `tell` is called on the thread of the ears."""

    def __init__(self, ears: Ears, key: tuple[str, str, str], sock: socket.socket, device: str) -> None:
        self._ears, self._key, self._sock = ears, key, sock
        self._said: Advert | None = None
        self._gone: list[Prefix] = []
        self._early = 0
        self._last = -BUSY
        self._index = socket.if_nametoindex(device)
        wanted = bytearray(b"\xff" * 32)
        wanted[_SOLICITATION // 8] ^= 1 << _SOLICITATION % 8
        _set(sock, socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("8I", *struct.unpack("<8I", wanted)))
        _set(sock, socket.SOL_SOCKET, _SO_BINDTODEVICE, device.encode())
        for option in (socket.IPV6_MULTICAST_HOPS, socket.IPV6_UNICAST_HOPS):
            _set(sock, socket.IPPROTO_IPV6, option, 255)
        _set(sock, socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP, 0)
        _set(sock, socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        group = socket.inet_pton(socket.AF_INET6, _ALL_ROUTERS) + struct.pack("@I", self._index)
        _set(sock, socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)

    def tell(self, said: Advert) -> None:
        if said != self._said:
            before = self._said.prefixes if self._said is not None else []
            known = {one.cidr for one in said.prefixes}
            self._gone = [one for one in before if one.cidr not in known]
            self._said, self._early = said, FIRST
            self._ears.remind(self._key, 0, self._to_all)

    def take(self, sock: socket.socket) -> None:
        """Answer a guest; one without an address yet is told with all others."""
        data, extra, _, sender = sock.recvmsg(1500, 64)
        hops = [int.from_bytes(value, sys.byteorder) for _, kind, value in extra if kind == socket.IPV6_HOPLIMIT]
        if self._said is None or data[:1] != bytes([_SOLICITATION]) or hops != [255]:
            return
        address = sender[0].partition("%")[0]
        if address != _UNSPECIFIED:
            self._send(address)
        else:
            self._ears.remind(self._key, max(0.0, self._last + BUSY - time.monotonic()), self._to_all)

    def _to_all(self) -> None:
        pause = random.uniform(SHORTEST, LONGEST)  # noqa: S311 -- no secret: it keeps routers out of step
        try:
            self._send(_ALL_NODES)
        except OSError:
            self._ears.remind(self._key, AGAIN, self._to_all)
            return
        self._last = time.monotonic()
        self._early = max(0, self._early - 1)
        if not self._early:
            self._gone = []
        self._ears.remind(self._key, min(pause, FIRST_PAUSE) if self._early else pause, self._to_all)

    def _send(self, address: str) -> None:
        """From the link-local address, as guests demand; raises OSError while the device does not have it."""
        if self._said is not None:
            own = socket.inet_pton(socket.AF_INET6, link_local(self._said.mac)) + struct.pack("@I", self._index)
            source = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, own)
            self._sock.sendmsg([message(self._said, self._gone)], [source], 0, (address, 0, 0, self._index))


def _set(sock: socket.socket, level: int, option: int, value: int | bytes) -> None:
    sock.setsockopt(level, option, value)
