# SPDX-License-Identifier: Apache-2.0
"""DHCP for IPv4 (RFC 2131, 2132, 3442): every answer follows from the desired state, nothing is remembered."""

from __future__ import annotations

import ipaddress
import selectors
import socket
import struct
import threading

import msgspec

from cumulet.services.network.types import NetworkState, PortState, Route, SubnetState

LEASE_SECONDS = 86400
METADATA = "169.254.169.254"
_MAGIC = b"\x63\x82\x53\x63"
_DISCOVER, _OFFER, _REQUEST, _DECLINE, _ACK, _NAK, _RELEASE, _INFORM = 1, 2, 3, 4, 5, 6, 7, 8
_SO_BINDTODEVICE = 25


class Offer(msgspec.Struct, kw_only=True, frozen=True):
    """All that one client is told; `name` may be empty."""

    address: str
    prefix: int
    gateway: str | None
    dns: list[str]
    routes: list[Route]
    mtu: int
    name: str


class Table(msgspec.Struct, kw_only=True, frozen=True):
    """A network's answers: `server` is the responder's own address, `offers` go by MAC in lower case."""

    server: str
    offers: dict[str, Offer]


def table(network: NetworkState, ports: list[PortState], resolvers: tuple[str, ...] = ()) -> Table | None:
    """The answers for the network's `ports`; None where it has no IPv4 subnet with DHCP.

    `resolvers` are told on subnets that name no DNS servers of their own.
    """
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
            gateway=subnet.gateway,
            dns=[server for server in subnet.dns or resolvers if ":" not in server],
            routes=_routes(subnet, str(near.ip)),
            mtu=network.mtu,
            name=port.name,
        )
    return Table(server=str(own[0].ip), offers=offers)


def _routes(subnet: SubnetState, server: str) -> list[Route]:
    """The subnet's own routes, the way to metadata, and the default one: a client that reads these ignores option 3."""
    routes = [Route(destination=f"{METADATA}/32", nexthop=server), *subnet.routes]
    if subnet.gateway is not None:
        routes.append(Route(destination="0.0.0.0/0", nexthop=subnet.gateway))
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
    head = struct.pack("!BBBBIHH", 2, 1, 6, 0, struct.unpack("!I", message[4:8])[0], 0, 0x8000)
    head += message[12:16] + given + server + bytes(4) + message[28:44] + bytes(192) + _MAGIC
    body = _option(53, bytes([reply])) + _option(54, server)
    if reply != _NAK:
        body += _lease(kind) + _settings(offer)
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


def _settings(offer: Offer) -> bytes:
    mask = ipaddress.ip_network(f"0.0.0.0/{offer.prefix}").netmask.packed
    body = _option(1, mask)
    if offer.gateway is not None:
        body += _option(3, socket.inet_aton(offer.gateway))
    if offer.dns:
        body += _option(6, b"".join(socket.inet_aton(server) for server in offer.dns[:8]))
    body += _option(26, struct.pack("!H", offer.mtu))
    if offer.name:
        body += _option(12, offer.name.encode()[:63])
    routes = encode_routes(offer.routes)
    while routes:
        body += _option(121, routes[:255])
        routes = routes[255:]
    return body


def _option(code: int, value: bytes) -> bytes:
    return bytes([code, len(value)]) + value


def _destination(message: bytes) -> str:
    """A client that has its address already hears only what is sent to it (RFC 2131, 4.1)."""
    own = message[12:16]
    return socket.inet_ntoa(own) if own != bytes(4) else "255.255.255.255"


class Responder:
    """One thread that answers on any number of networks: a socket keeps the namespace in which it was made."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[str, socket.socket] = {}
        self._tables: dict[str, Table] = {}
        self._lock = threading.Lock()
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, name="dhcp", daemon=True)
        self._thread.start()

    def listening(self, network_id: str) -> bool:
        return network_id in self._sockets

    def listen(self, network_id: str, device: str) -> None:
        """Answer on `device` of the calling thread's namespace from now on."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, _SO_BINDTODEVICE, device.encode())
        sock.bind(("0.0.0.0", 67))  # noqa: S104 -- bound to one device of a private namespace
        sock.setblocking(False)
        with self._lock:
            self._sockets[network_id] = sock
            self._selector.register(sock, selectors.EVENT_READ, network_id)

    def tell(self, network_id: str, answers: Table) -> None:
        """Replace what is answered on the network."""
        self._tables[network_id] = answers

    def forget(self, network_id: str) -> None:
        """Stop answering there; nothing happens where nothing listened."""
        with self._lock:
            self._tables.pop(network_id, None)
            sock = self._sockets.pop(network_id, None)
            if sock is not None:
                self._selector.unregister(sock)
                sock.close()

    def close(self) -> None:
        for network_id in list(self._sockets):
            self.forget(network_id)
        self._waker.close()
        self._thread.join(2)
        self._selector.close()
        self._wake.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    return
                self._take(key.fileobj, key.data)

    def _take(self, sock: object, network_id: str) -> None:
        assert isinstance(sock, socket.socket)
        try:
            message = sock.recv(2048)
            answers = self._tables.get(network_id)
            reply = answer(message, answers) if answers is not None else None
            if reply is not None:
                sock.sendto(reply, (_destination(message), 68))
        except OSError:
            return  # the network went away, or the client will ask again
