# SPDX-License-Identifier: Apache-2.0
"""DHCP for IPv4 (RFC 2131, 2132, 3442): every answer follows from the desired state, nothing is remembered."""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Iterable

import msgspec

from cumulet.services.network.drivers.fabric import dhcp_options
from cumulet.services.network.drivers.fabric.ears import Ears
from cumulet.services.network.types import DhcpOption, NetworkState, PortState, Route, SubnetState

LEASE_SECONDS = 86400
METADATA = "169.254.169.254"
_EVERYWHERE = "0.0.0.0/0"
_MAGIC = b"\x63\x82\x53\x63"
_DISCOVER, _OFFER, _REQUEST, _DECLINE, _ACK, _NAK, _RELEASE, _INFORM = 1, 2, 3, 4, 5, 6, 7, 8
_SO_BINDTODEVICE = 25
_SERVICE = "dhcp"
_IPXE = 175  # an option that only iPXE sends
NO_DNS = ("0.0.0.0", "::")  # noqa: S104 -- as a subnet's only DNS server: guests are to be told of none


class Offer(msgspec.Struct, kw_only=True, frozen=True):
    """All that one client is told; `name` may be empty. `options` are the port's own, and go before all else."""

    address: str
    prefix: int
    gateway: str | None
    dns: list[str]
    routes: list[Route]
    mtu: int
    name: str
    options: list[DhcpOption] = []


class Table(msgspec.Struct, kw_only=True, frozen=True):
    """A network's answers: `server` is the responder's own address, `offers` go by MAC in lower case."""

    server: str
    offers: dict[str, Offer]


def table(network: NetworkState, ports: list[PortState]) -> Table | None:
    """The answers for the network's `ports`; None where it has no IPv4 subnet with DHCP."""
    if network.service is None:
        return None
    own = [ipaddress.ip_interface(text) for text in network.service.addresses if ":" not in text]
    subnets = {subnet.id: subnet for subnet in network.subnets if subnet.dhcp and subnet.version == 4}
    if not own or not subnets:
        return None
    offers = {}
    for port in ports:
        address = next((item for item in port.addresses if item.subnet_id in subnets), None)
        if address is None:
            continue
        subnet = subnets[address.subnet_id]
        near = next((one for one in own if ipaddress.ip_address(address.address) in one.network), own[0])
        offers[port.mac] = Offer(
            address=address.address,
            prefix=address.prefix,
            gateway=_gateway(subnet),
            dns=[server for server in name_servers(subnet, [str(near.ip)]) if ":" not in server],
            routes=_routes(subnet, str(near.ip)),
            mtu=network.mtu,
            name=port.name,
            options=port.options,
        )
    return Table(server=str(own[0].ip), offers=offers)


def name_servers(subnet: SubnetState, own: Iterable[str] = ()) -> list[str]:
    """The DNS servers that the subnet's guests are told of: those that it names, else the network's `own`."""
    return [] if subnet.dns and set(subnet.dns) <= set(NO_DNS) else [*(subnet.dns or own)]


def _gateway(subnet: SubnetState) -> str | None:
    """A subnet without a gateway may have a route that is one."""
    default = (route.nexthop for route in subnet.routes if route.destination == _EVERYWHERE)
    return subnet.gateway or next(default, None)


def _routes(subnet: SubnetState, server: str) -> list[Route]:
    """The subnet's own routes, the way to metadata, and the default one: a client that reads these ignores option 3."""
    own = [route for route in subnet.routes if route.destination != _EVERYWHERE]
    routes = [Route(destination=f"{METADATA}/32", nexthop=server), *own]
    gateway = _gateway(subnet)
    if gateway is not None:
        routes.append(Route(destination=_EVERYWHERE, nexthop=gateway))
    return routes


def answer(message: bytes, answers: Table) -> bytes | None:
    """The reply to a client's `message`, or None where there is nothing to say (a stranger, or no request at all)."""
    if len(message) < 241 or message[0] != 1 or message[236:240] != _MAGIC:
        return None
    mac = message[28:34].hex(":")
    offer = answers.offers.get(mac)
    options = parse_options(message[240:])
    kind = (options.get(53) or b"\0")[0]
    if offer is None or kind not in (_DISCOVER, _REQUEST, _INFORM):
        return None
    server = socket.inet_aton(answers.server)
    if kind == _REQUEST and options.get(54, server) != server:
        return None
    wanted = socket.inet_aton(offer.address)
    asked = options.get(50) or (message[12:16] if message[12:16] != bytes(4) else wanted)
    reply = {_DISCOVER: _OFFER, _REQUEST: _ACK, _INFORM: _ACK}[kind]
    if kind == _REQUEST and asked != wanted:
        reply = _NAK
    given = bytes(4) if reply == _NAK or kind == _INFORM else wanted
    told = _settings(offer, {"ipxe"} if _IPXE in options else set()) if reply != _NAK else {}
    head = struct.pack("!BBBBIHH", 2, 1, 6, 0, struct.unpack("!I", message[4:8])[0], 0, 0x8000)
    head += message[12:16] + given + told.pop(dhcp_options.SIADDR, server) + bytes(4) + message[28:44]
    # Boot programs that read no options look for the server and the file of these in the head.
    head += told.get(66, b"")[:63].ljust(64, b"\0") + told.get(67, b"")[:127].ljust(128, b"\0") + _MAGIC
    body = _option(53, bytes([reply])) + _option(54, server)
    if reply != _NAK:
        body += _lease(kind)
    for code, value in told.items():
        for at in range(0, len(value), 255):
            body += _option(code, value[at : at + 255])
    return (head + body + b"\xff").ljust(300, b"\0")


def parse_options(data: bytes) -> dict[int, bytes]:
    """The options of a message by number; a truncated one ends the list."""
    options: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        length = data[at + 1]
        options[data[at]] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return options


def encode_routes(routes: list[Route]) -> bytes:
    """Classless static routes (RFC 3442); IPv6 ones have no place in it and are left out."""
    coded = b""
    for route in routes:
        network = ipaddress.ip_network(route.destination, strict=False)
        if network.version == 4 and ":" not in route.nexthop:
            coded += bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]
            coded += socket.inet_aton(route.nexthop)
    return coded


def _lease(kind: int) -> bytes:
    return b"" if kind == _INFORM else _option(51, struct.pack("!I", LEASE_SECONDS))


def _settings(offer: Offer, tags: set[str]) -> dict[int, bytes]:
    """The options by number, the port's own in place of others; one that is empty is not sent."""
    told = {1: ipaddress.ip_network(f"0.0.0.0/{offer.prefix}").netmask.packed}
    if offer.gateway is not None:
        told[3] = socket.inet_aton(offer.gateway)
    if offer.dns:
        told[6] = b"".join(socket.inet_aton(server) for server in offer.dns[:8])
    told[26] = struct.pack("!H", offer.mtu)
    if offer.name:
        told[12] = offer.name.encode()[:63]
    told[121] = encode_routes(offer.routes)
    told |= dhcp_options.encode(offer.options, 4, tags)
    return {code: value for code, value in told.items() if value}


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


def _destination(message: bytes) -> str:
    """A client that has its address already hears only what is sent to it (RFC 2131, 4.1)."""
    own = message[12:16]
    return socket.inet_ntoa(own) if own != bytes(4) else "255.255.255.255"


class Responder:
    """Answers on any number of networks, on the thread of `ears`."""

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._tables: dict[str, Table] = {}

    def listening(self, network_id: str) -> bool:
        return (_SERVICE, network_id) in self._ears

    def listen(self, network_id: str, device: str) -> None:
        """Answer on `device` of the calling thread's namespace from now on."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, device.encode())
        sock.bind(("0.0.0.0", 67))  # noqa: S104 -- bound to one device of a private namespace
        self._ears.hear((_SERVICE, network_id), sock, lambda sock: self._take(sock, network_id))

    def tell(self, network_id: str, answers: Table) -> None:
        """Replace what is answered on the network."""
        self._tables[network_id] = answers

    def forget(self, network_id: str) -> None:
        """Stop answering there; nothing happens where nothing listened."""
        self._tables.pop(network_id, None)
        self._ears.forget((_SERVICE, network_id))

    def _take(self, sock: socket.socket, network_id: str) -> None:
        message = sock.recv(2048)
        answers = self._tables.get(network_id)
        reply = answer(message, answers) if answers is not None else None
        if reply is not None:
            sock.sendto(reply, (_destination(message), 68))
