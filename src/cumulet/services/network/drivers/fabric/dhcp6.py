# SPDX-License-Identifier: Apache-2.0
"""DHCP for IPv6 (RFC 8415), with and without addresses: every answer follows from the desired state."""

from __future__ import annotations

import ctypes
import ipaddress
import socket
import struct
from collections.abc import Iterable

import msgspec

from cumulet.services.network.drivers.fabric import dhcp, dhcp_options
from cumulet.services.network.drivers.fabric.ears import Ears
from cumulet.services.network.types import DhcpOption, NetworkState, PortState, SubnetState

LEASE_SECONDS = dhcp.LEASE_SECONDS
_SOLICIT, _ADVERTISE, _REQUEST, _CONFIRM, _RENEW, _REBIND, _REPLY, _RELEASE, _DECLINE = range(1, 10)
_INFORMATION = 11
_CLIENT, _SERVER, _IA_NA, _IA_TA, _ADDRESS, _WANTED, _PREFERENCE = range(1, 8)
_STATUS, _RAPID, _USER_CLASS, _DNS, _REFRESH, _IA_PD = 13, 14, 15, 23, 32, 25
_SUCCESS, _NO_ADDRESSES, _NOT_ON_LINK, _NO_PREFIX = 0, 2, 4, 6
_TO_THIS_SERVER = (_REQUEST, _RENEW, _RELEASE, _DECLINE)
_TO_ANY_SERVER = (_SOLICIT, _CONFIRM, _REBIND)
_SERVED = ("dhcpv6-stateful", "dhcpv6-stateless")
_SO_BINDTODEVICE, _SO_ATTACH_FILTER = 25, 26
_ETH_P_IPV6 = 0x86DD
_HEAD = 40 + 8  # bytes of the IPv6 and UDP headers
_SERVICE = "dhcp6"
# Classic BPF on a packet that begins with its IPv6 header: UDP (6: next header) to port 547 (42), else nothing.
_FILTER = (
    (0x30, 0, 0, 6),
    (0x15, 0, 3, 17),
    (0x28, 0, 0, 42),
    (0x15, 0, 1, 547),
    (0x06, 0, 0, 0xFFFF),
    (0x06, 0, 0, 0),
)


class Offer(msgspec.Struct, kw_only=True, frozen=True):
    """All that one client is told. Without `addresses` it has its own, and is told the rest when it asks for that."""

    addresses: list[str] = []
    dns: list[str] = []
    options: list[DhcpOption] = []


class Table(msgspec.Struct, kw_only=True, frozen=True):
    """A network's answers: `server` is the responder's MAC, by which clients know it; `offers` go by MAC."""

    server: str
    offers: dict[str, Offer]


def is_served(subnet: SubnetState) -> bool:
    """Whether DHCPv6 answers on the subnet: where it says so, or says nothing at all of how addresses come about."""
    if subnet.version != 6 or not subnet.dhcp:
        return False
    return subnet.address_mode in _SERVED or (subnet.address_mode is None and subnet.ra_mode is None)


def table(network: NetworkState, ports: Iterable[PortState]) -> Table | None:
    """The answers for the network's `ports`; None where it has no subnet with DHCPv6."""
    subnets = {subnet.id: subnet for subnet in network.subnets if is_served(subnet)}
    if network.service is None or not subnets:
        return None
    offers = {}
    for port in ports:
        held = [item for item in port.addresses if item.subnet_id in subnets]
        if not held:
            continue
        given = [item.address for item in held if subnets[item.subnet_id].address_mode != "dhcpv6-stateless"]
        servers = [server for item in held for server in _servers(network, subnets[item.subnet_id], item.address)]
        offers[port.mac] = Offer(addresses=given, dns=list(dict.fromkeys(servers)), options=port.options)
    return Table(server=network.service.mac, offers=offers)


def _servers(network: NetworkState, subnet: SubnetState, address: str) -> list[str]:
    """What the guest at the address is told of DNS: the subnet's servers, else the network's own legs on the subnet."""
    assert network.service is not None
    legs = [] if subnet.dns else [ipaddress.ip_interface(text) for text in network.service.addresses]
    own = (str(leg.ip) for leg in legs if ipaddress.ip_address(address) in leg.network)
    return dhcp.name_servers(subnet, own)


def answer(message: bytes, mac: str, answers: Table) -> bytes | None:
    """The reply to a client's `message` from `mac`; None where there is nothing to say (a stranger, or no request)."""
    offer = answers.offers.get(mac)
    if offer is None or len(message) < 4:
        return None
    kind, options = message[0], parse_options(message[4:])
    found = dict(reversed(options))
    own = server_id(answers.server)
    if not _is_for_us(kind, found, own):
        return None
    reply = _REPLY if kind != _SOLICIT or _RAPID in found else _ADVERTISE
    body = _option(_SERVER, own)
    if _CLIENT in found:
        body = _option(_CLIENT, found[_CLIENT]) + body
    if kind == _CONFIRM:
        asked = [address for code, value in options if code == _IA_NA for address in _asked(value)]
        if not asked:
            return None
        return _message(reply, message, body + _confirmed(asked, offer))
    if kind in (_RELEASE, _DECLINE):
        return _message(reply, message, body + _status(_SUCCESS, "it stays the port's own"))
    if reply == _ADVERTISE:
        body += _option(_PREFERENCE, b"\xff")
    elif kind == _SOLICIT:
        body += _option(_RAPID, b"")
    if kind != _INFORMATION:
        body += _associations(options, offer)
    return _message(reply, message, body + _settings(offer, found, kind))


def parse_options(data: bytes) -> list[tuple[int, bytes]]:
    """The options of a message in order; a truncated one ends the list."""
    options = []
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack("!HH", data[at : at + 4])
        if at + 4 + length > len(data):
            break
        options.append((code, data[at + 4 : at + 4 + length]))
        at += 4 + length
    return options


def server_id(mac: str) -> bytes:
    """The server's DUID, of its link-layer address: the same on each host of a network."""
    return struct.pack("!HH", 3, 1) + bytes.fromhex(mac.replace(":", ""))


def _is_for_us(kind: int, found: dict[int, bytes], own: bytes) -> bool:
    """RFC 8415, 16: which identifiers each kind of message must have, and must not."""
    if kind == _INFORMATION:
        return found.get(_SERVER, own) == own and not found.keys() & {_IA_NA, _IA_TA, _IA_PD}
    if _CLIENT not in found:
        return False
    if kind in _TO_THIS_SERVER:
        return found.get(_SERVER) == own
    return kind in _TO_ANY_SERVER and _SERVER not in found


def _message(kind: int, asked: bytes, body: bytes) -> bytes:
    return bytes([kind]) + asked[1:4] + body


def _confirmed(asked: list[str], offer: Offer) -> bytes:
    if set(asked) <= set(offer.addresses):
        return _status(_SUCCESS, "all of them")
    return _status(_NOT_ON_LINK, "not all of them are the port's")


def _associations(options: list[tuple[int, bytes]], offer: Offer) -> bytes:
    """All addresses go into the first association that asks for some; there is but one set of them."""
    body = b""
    left = list(offer.addresses)
    for code, value in options:
        if code == _IA_NA and len(value) >= 12:
            body += _option(_IA_NA, value[:4] + _times(left) + _addresses(left, _asked(value), offer))
            left = []
        elif code == _IA_TA and len(value) >= 4:
            body += _option(_IA_TA, value[:4] + _status(_NO_ADDRESSES, "no temporary addresses"))
        elif code == _IA_PD and len(value) >= 12:
            body += _option(_IA_PD, value[:4] + bytes(8) + _status(_NO_PREFIX, "no prefixes to delegate"))
    return body


def _times(given: list[str]) -> bytes:
    """When to renew, and when to ask anybody."""
    return struct.pack("!II", LEASE_SECONDS // 2, LEASE_SECONDS * 4 // 5) if given else bytes(8)


def _addresses(given: list[str], asked: list[str], offer: Offer) -> bytes:
    """Those that are given, and, with no time left, those that the client has but should not."""
    wrong = [address for address in asked if address not in offer.addresses and address != "::"]
    body = b"".join(_address(address, LEASE_SECONDS) for address in given)
    body += b"".join(_address(address, 0) for address in wrong[:16])
    return body if given else body + _status(_NO_ADDRESSES, "the port has no address to give")


def _address(address: str, seconds: int) -> bytes:
    return _option(_ADDRESS, ipaddress.IPv6Address(address).packed + struct.pack("!II", seconds, seconds))


def _asked(association: bytes) -> list[str]:
    """The addresses in a client's association."""
    inner = parse_options(association[12:])
    return [str(ipaddress.IPv6Address(value[:16])) for code, value in inner if code == _ADDRESS and len(value) >= 24]


def _settings(offer: Offer, found: dict[int, bytes], kind: int) -> bytes:
    """What the client wants to know, or all there is where it does not say."""
    told: dict[int, bytes] = {}
    if offer.dns:
        told[_DNS] = b"".join(socket.inet_pton(socket.AF_INET6, server) for server in offer.dns)
    if kind == _INFORMATION:
        told[_REFRESH] = struct.pack("!I", LEASE_SECONDS)
    tags = {"ipxe6", "ipxe"} if b"iPXE" in found.get(_USER_CLASS, b"") else set()
    told |= dhcp_options.encode(offer.options, 6, tags)
    wanted = found.get(_WANTED)
    if wanted is not None:
        named = {int.from_bytes(wanted[at : at + 2], "big") for at in range(0, len(wanted) - 1, 2)}
        told = {code: value for code, value in told.items() if code in named}
    return b"".join(_option(code, value) for code, value in told.items() if value)


def _status(code: int, words: str) -> bytes:
    return _option(_STATUS, struct.pack("!H", code) + words.encode())


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


class Responder:
    """Answers on any number of networks, on the thread of `ears`.

    It hears below IP, where a sender's MAC is seen: an identifier in the message is whatever the guest says.
    """

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._tables: dict[str, Table] = {}

    def listening(self, network_id: str) -> bool:
        return (_SERVICE, network_id) in self._ears

    def listen(self, network_id: str, device: str) -> None:
        """Answer on `device` of the calling thread's namespace from now on."""
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        mouth = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        try:
            _attach_filter(ear)
            ear.bind((device, _ETH_P_IPV6))
            mouth.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, device.encode())
            mouth.bind(("::", 547))
        except OSError:
            ear.close()
            mouth.close()
            raise
        self._ears.hear((_SERVICE, network_id), ear, lambda ear: self._take(ear, mouth, network_id))
        # What is sent to the port itself is read below; here it is only kept from being refused.
        self._ears.hear((_SERVICE, network_id, "mouth"), mouth, _discard)

    def tell(self, network_id: str, answers: Table) -> None:
        """Replace what is answered on the network."""
        self._tables[network_id] = answers

    def forget(self, network_id: str) -> None:
        """Stop answering there; nothing happens where nothing listened."""
        self._tables.pop(network_id, None)
        self._ears.forget((_SERVICE, network_id))
        self._ears.forget((_SERVICE, network_id, "mouth"))

    def _take(self, ear: socket.socket, mouth: socket.socket, network_id: str) -> None:
        packet, sender = ear.recvfrom(2048)
        answers = self._tables.get(network_id)
        if answers is None or len(packet) < _HEAD or len(sender[4]) != 6:
            return
        length = struct.unpack("!H", packet[44:46])[0]
        reply = answer(packet[_HEAD : 40 + length], sender[4].hex(":"), answers)
        if reply is not None:
            mouth.sendto(reply, (socket.inet_ntop(socket.AF_INET6, packet[8:24]), 546))


def _discard(sock: socket.socket) -> None:
    sock.recv(1)


def _attach_filter(sock: socket.socket) -> None:
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in _FILTER)
    kept = ctypes.create_string_buffer(program, len(program))
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_FILTER), ctypes.addressof(kept)))
