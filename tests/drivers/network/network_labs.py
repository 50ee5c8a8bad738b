# SPDX-License-Identifier: Apache-2.0
"""Two places to try a network engine in: the fake one, and the kernel's with guests in namespaces of their own."""

from __future__ import annotations

import array
import contextlib
import fcntl
import http.client
import ipaddress
import os
import secrets
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from dns import query
from dns.exception import Timeout

from cumulet.services.network.contract import MetadataAnswer, MetadataQuery
from cumulet.services.network.drivers.base import Fabric
from cumulet.services.network.drivers.fabric import dhcp, dns
from cumulet.services.network.drivers.fabric.engine import KernelFabric
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.namespace import FOLDER, Namespace
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.drivers.fabric.taps import open_tap
from cumulet.services.network.drivers.fake import FakeFabric, FakeUnderlay
from cumulet.services.network.types import Applied, HostState, PortState, reach

T = TypeVar("T")
HOST_ADDRESS = "198.18.4.1/24"
LISTENING = (22, 8080)
BRIEF = 0.35  # seconds for what shall not come, which is asked for once
TRIES = 5  # pings, for each of which there is so much time
LONG = 1.2  # seconds for a connection: a packet that gets lost is sent again after one
_IP_MTU_DISCOVER, _ALWAYS = 10, 2
_OUTGOING = 0x5411  # SIOCOUTQ


def metadata(query: MetadataQuery) -> MetadataAnswer:
    """Tells the guest what was asked, so that a test sees who the engine thought was asking."""
    if query.posted is not None:
        return MetadataAnswer(status=200, body=f"{query.network_id} {query.address} {query.posted}".encode())
    if "missing" in query.path:
        return MetadataAnswer(status=404)
    return MetadataAnswer(status=200, body=f"{query.network_id} {query.address} {query.path}".encode())


class Lab(Protocol):
    """Guests on ports of an engine under test. `port` None stands for the host, outside."""

    fabric: Fabric

    def apply(self, state: HostState) -> Applied: ...
    def boot(self, port_id: str) -> None: ...
    def ping(
        self, port: str | None, address: str, source: str | None = None, mac: str | None = None, tries: int = TRIES
    ) -> bool: ...
    def tcp(self, port: str | None, address: str, number: int, patience: float = LONG) -> bool: ...
    def hold(self, port: str | None, address: str, number: int) -> Held: ...
    def resolve(self, port: str, name: str, kind: str = "A") -> tuple[str, list[str]] | None: ...
    def lease(self, port: str) -> dict[str, Any] | None: ...
    def fetch(self, port: str, path: str) -> tuple[int, str] | None: ...
    def post(self, port: str, path: str, body: str) -> tuple[int, str] | None: ...
    def leftovers(self) -> list[str]: ...
    def close(self) -> None: ...


class Held(Protocol):
    """A standing TCP connection."""

    def goes_on(self) -> bool:
        """Whether what is sent arrives, within a second and a half."""

    def ends(self) -> bool:
        """Whether it is soon the case that nothing arrives."""

    def is_told(self) -> bool:
        """Whether who began it soon hears that it is over."""


class FakeHeld:
    """One of the fake's; where a router is on its way, there is one while its first packet would arrive."""

    def __init__(self, lab: FakeLab, packet: reach.Packet) -> None:
        self._lab = lab
        self._packet = packet
        self._begun = lab.fabric.begin(packet)
        self._led = lab.fabric.leads(packet)
        assert lab.fabric.passes(packet)

    def goes_on(self) -> bool:
        if self._begun is None or self._led is not None:
            return self._lab.fabric.passes(self._packet) and self._is_led_as_ever()
        return self._lab.fabric.goes_on(self._begun)

    def ends(self) -> bool:
        return not self.goes_on()

    def is_told(self) -> bool:
        return not self._is_led_as_ever()

    def _is_led_as_ever(self) -> bool:
        return self._lab.fabric.leads(self._packet) == self._led


class FabricHeld:
    """One of a real kernel."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream

    def goes_on(self) -> bool:
        try:
            self.stream.send(b"still here")
        except OSError:
            return False
        return eventually(lambda: unacknowledged(self.stream) == 0, 1.5)

    def ends(self) -> bool:
        def is_silent() -> bool:
            try:
                self.stream.send(b"anybody there")
            except OSError:
                return True
            return not eventually(lambda: unacknowledged(self.stream) == 0, 0.4)

        return eventually(is_silent)

    def is_told(self) -> bool:
        def is_reset() -> bool:
            try:
                self.stream.send(b"anybody there")
            except ConnectionError:
                return True
            return False

        return eventually(is_reset)


class FakeLab:
    """The engine in memory; packets are asked about."""

    def __init__(self, endpoint: str = "", underlay: FakeUnderlay | None = None) -> None:
        self.fabric = FakeFabric(metadata, endpoint=endpoint, underlay=underlay)

    def apply(self, state: HostState) -> Applied:
        return self.fabric.apply(state)

    def boot(self, port_id: str) -> None:
        os.close(self.fabric.open_tap(port_id))

    def ping(
        self, port: str | None, address: str, source: str | None = None, mac: str | None = None, tries: int = TRIES
    ) -> bool:
        outside = HOST_ADDRESS.split("/")[0] if port is None else None
        return self.fabric.passes(
            reach.Packet(port=port, destination=address, source=source or outside, mac=mac, protocol=1, low=8, high=0)
        )

    def tcp(self, port: str | None, address: str, number: int, patience: float = LONG) -> bool:
        outside = HOST_ADDRESS.split("/")[0] if port is None else None
        return self.fabric.passes(
            reach.Packet(port=port, destination=address, source=outside, protocol=6, low=number, high=number)
        )

    def hold(self, port: str | None, address: str, number: int) -> FakeHeld:
        outside = HOST_ADDRESS.split("/")[0] if port is None else None
        return FakeHeld(
            self, reach.Packet(port=port, destination=address, source=outside, protocol=6, low=number, high=number)
        )

    def resolve(self, port: str, name: str, kind: str = "A") -> tuple[str, list[str]] | None:
        return self.fabric.resolve(port, name, kind)

    def lease(self, port: str) -> dict[str, Any] | None:
        offer = self.fabric.lease(port)
        if offer is None:
            return None
        return {
            "address": offer.address, "prefix": offer.prefix, "gateway": offer.gateway, "mtu": offer.mtu,
            "dns": offer.dns, "name": offer.name, "routes": dhcp.encode_routes(offer.routes),
        }  # fmt: skip

    def fetch(self, port: str, path: str) -> tuple[int, str] | None:
        answer = self.fabric.fetch(port, path)
        return (answer.status, answer.body.decode()) if answer is not None else None

    def post(self, port: str, path: str, body: str) -> tuple[int, str] | None:
        answer = self.fabric.post(port, path, body)
        return (answer.status, answer.body.decode()) if answer is not None else None

    def leftovers(self) -> list[str]:
        return []

    def close(self) -> None:
        self.fabric.shutdown()


class FabricLab:
    """The kernel fabric, with a namespace that stands for the host and one for each guest."""

    def __init__(
        self,
        endpoint: str = "",
        devices: Mapping[str, str] | None = None,
        *,
        egress: bool = False,
        resolvers: tuple[str, ...] = (),
    ) -> None:
        self.endpoint = endpoint
        self.devices = dict(devices or {})
        self.egress = egress
        self.resolvers = resolvers
        self.mark = secrets.token_hex(3)
        self.host = Namespace(f"lab-{self.mark}-host")
        self.host.create()
        self.guests: dict[str, Guest] = {}
        self.held: list[socket.socket] = []
        self.state = HostState()
        self.fabric = self.host.visit(self._engine)

    def _engine(self) -> KernelFabric:
        options = FabricOptions(
            mark=self.mark,
            host_address="" if "public" in self.devices else HOST_ADDRESS,
            egress=self.egress,
            endpoint=self.endpoint,
            devices=self.devices,
            resolvers=self.resolvers,
        )
        return KernelFabric(options, metadata)

    def restart(self) -> None:
        """A new engine on what the old one left standing."""
        self.fabric.stop()
        self.fabric = self.host.visit(self._engine)

    def apply(self, state: HostState) -> Applied:
        self.state = state
        return self.host.visit(lambda: self.fabric.apply(state))

    def boot(self, port_id: str) -> None:
        port = next(port for port in self.state.ports if port.id == port_id)
        subnets = next((n.subnets for n in self.state.networks if n.id == port.network_id), [])
        gateways = [subnet.gateway for subnet in subnets if subnet.gateway is not None]
        self.guests[port_id] = Guest(f"lab-{self.mark}-{port_id[:8]}", port, gateways, self.fabric.open_tap(port_id))

    def ping(
        self, port: str | None, address: str, source: str | None = None, mac: str | None = None, tries: int = TRIES
    ) -> bool:
        if port is None:
            return self.host.visit(lambda: ping(address, tries=tries))
        guest = self.guests[port]
        with guest.pretending(source, mac):
            return guest.space.visit(lambda: ping(address, source, tries=tries))

    def tcp(self, port: str | None, address: str, number: int, patience: float = LONG) -> bool:
        space = self.host if port is None else self.guests[port].space
        return space.visit(lambda: connects(address, number, patience=patience))

    def hold(self, port: str | None, address: str, number: int) -> FabricHeld:
        space = self.host if port is None else self.guests[port].space
        self.held.append(space.visit(lambda: socket.create_connection((address, number), 2)))
        return FabricHeld(self.held[-1])

    def resolve(self, port: str, name: str, kind: str = "A") -> tuple[str, list[str]] | None:
        guest = self.guests[port]
        network = next(one for one in self.state.networks if one.id == guest.port.network_id)
        server = network.service.addresses[0].split("/")[0]
        return guest.space.visit(lambda: ask_dns(server, name, kind))

    def lease(self, port: str) -> dict[str, Any] | None:
        guest = self.guests[port]
        return guest.space.visit(lambda: ask_dhcp(guest.port.mac))

    def fetch(self, port: str, path: str) -> tuple[int, str] | None:
        return self.guests[port].space.visit(lambda: get("169.254.169.254", path))

    def post(self, port: str, path: str, body: str) -> tuple[int, str] | None:
        return self.guests[port].space.visit(lambda: get("169.254.169.254", path, body))

    def leftovers(self) -> list[str]:
        """What the engine left of itself: namespaces and the cable."""
        spaces = [path.name for path in FOLDER.glob(f"cumulet-{self.mark}*")]
        with_cable = self.host.visit(lambda: [name for _, name in socket.if_nameindex() if name.startswith("cml")])
        return spaces + with_cable

    def close(self) -> None:
        for stream in self.held:
            stream.close()
        for guest in self.guests.values():
            guest.close()
        self.host.visit(self.fabric.shutdown)
        left = self.leftovers()
        self.host.delete()
        assert left == []


class Guest:
    """A namespace in place of a virtual machine: its `eth0` is joined to the descriptor of the port's tap."""

    def __init__(self, name: str, port: PortState, gateways: list[str], handle: int) -> None:
        self.port = port
        self.space = Namespace(name)
        self.space.create()
        self.outer = handle
        self._inner = self.space.visit(lambda: self._configure(gateways))
        self._start()
        self._listeners = self.space.visit(lambda: [listen(number) for number in LISTENING])
        self._said: list[socket.socket] = []

    def _configure(self, gateways: list[str]) -> int:
        handle = open_tap("eth0")
        if any(":" in one.address for one in self.port.addresses):
            sysctl("net/ipv6/conf/eth0/accept_dad", "0")
            sysctl("net/ipv6/conf/eth0/accept_ra", "0")
        else:
            sysctl("net/ipv6/conf/all/disable_ipv6", "1")
        with Links() as links:
            links._route.link("set", index=links.devices["eth0"].index, address=self.port.mac, mtu=1450, state="up")
            links.settle("lo")
            links.addresses("eth0", [f"{one.address}/{one.prefix}" for one in self.port.addresses])
            if self.port.addresses:
                links.routes({"::/0" if ":" in hop else "0.0.0.0/0": (hop, "eth0") for hop in gateways})
        return handle

    @contextlib.contextmanager
    def pretending(self, source: str | None, mac: str | None):
        """Have a further address, or another MAC, for a while."""
        self.space.visit(lambda: self._dress(source, mac))
        try:
            yield
        finally:
            self.space.visit(lambda: self._dress(None, self.port.mac if mac else None))

    def _dress(self, source: str | None, mac: str | None) -> None:
        with Links() as links:
            own = [f"{one.address}/{one.prefix}" for one in self.port.addresses]
            links.addresses("eth0", own + ([f"{source}/24"] if source else []))
            if mac is not None:
                links._route.link("set", index=links.devices["eth0"].index, address=mac)

    def _carry(self) -> None:
        with selectors.DefaultSelector() as selector:
            for handle in (self.outer, self._inner, self._stop):
                selector.register(handle, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._stop:
                        return
                    with contextlib.suppress(OSError):
                        os.write(self._inner if key.fd == self.outer else self.outer, os.read(key.fd, 65536))

    def resume_on(self, handle: int) -> None:
        """Go on at the port's tap of another host, as a guest that has been migrated; the old tap is let go of."""
        self._pause()
        os.close(self.outer)
        self.outer = handle
        self._start()

    def speak(self, number: int) -> None:
        """Let the listener of this number say something to the first who came."""
        accepted, _ = self._listeners[LISTENING.index(number)].accept()
        self._said.append(accepted)
        accepted.send(b"anybody there")

    def _start(self) -> None:
        self._stop, self._stopper = socket.socketpair()
        self._pump = threading.Thread(target=self._carry, name=self.space.name, daemon=True)
        self._pump.start()

    def _pause(self) -> None:
        self._stopper.close()
        self._pump.join(2)
        self._stop.close()

    def close(self) -> None:
        self._pause()
        for sock in (*self._listeners, *self._said):
            sock.close()
        os.close(self._inner)
        os.close(self.outer)
        self.space.delete()


def ping(
    address: str,
    source: str | None = None,
    *,
    tries: int = TRIES,
    patience: float = BRIEF,
    payload: int = 0,
    whole: bool = False,
) -> bool:
    """Send up to `tries` echo requests; whether one is answered within `patience` seconds.

    `payload` bytes follow the header; `whole` forbids to cut the packet on its way.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        if source:
            sock.bind((source, 0))
        if whole:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _ALWAYS)
        number = secrets.randbelow(65536)
        for sequence in range(tries):
            body = struct.pack("!BBHHH", 8, 0, 0, number, sequence)
            total = sum(struct.unpack("!4H", body))
            check = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            with contextlib.suppress(OSError):
                sock.sendto(body[:2] + struct.pack("!H", check) + body[4:] + bytes(payload), (address, 0))
            end = time.monotonic() + patience
            while (left := end - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    data, _ = sock.recvfrom(2048)
                except OSError:
                    break
                if data[20] == 0 and struct.unpack("!H", data[24:26])[0] == number:
                    return True
    return False


def ping6(address: str, *, tries: int = TRIES, patience: float = BRIEF) -> bool:
    """As `ping`, over IPv6; the kernel fills the checksum in."""
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
        number = secrets.randbelow(65536)
        for sequence in range(tries):
            with contextlib.suppress(OSError):
                sock.sendto(struct.pack("!BBHHH", 128, 0, 0, number, sequence), (address, 0))
            end = time.monotonic() + patience
            while (left := end - time.monotonic()) > 0:
                sock.settimeout(left)
                try:
                    data = sock.recv(2048)
                except OSError:
                    break
                if data[0] == 129 and struct.unpack("!H", data[4:6])[0] == number:
                    return True
    return False


def connects(address: str, number: int, *, patience: float = LONG) -> bool:
    try:
        socket.create_connection((address, number), patience).close()
    except OSError:
        return False
    return True


def listen(number: int) -> socket.socket:
    return socket.create_server(("0.0.0.0", number), backlog=16)


def get(address: str, path: str, body: str | None = None, patience: float = 3) -> tuple[int, str] | None:
    """Get the path, or post `body` there; None where nothing comes within `patience` seconds."""
    connection = http.client.HTTPConnection(address, 80, timeout=patience)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return None
    finally:
        connection.close()


def ask_dhcp(mac: str, device: str = "eth0", tries: int = 3) -> dict[str, Any] | None:
    """Discover and request like a client, each so often; what the acknowledgement says."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, 25, device.encode())
        sock.bind(("0.0.0.0", 68))
        sock.settimeout(1)
        offer = _exchange(sock, mac, b"\x35\x01\x01", tries)
        if offer is None:
            return None
        wanted = offer[16:20]
        server = dhcp.parse_options(offer[240:])[54]
        reply = _exchange(sock, mac, b"\x35\x01\x03\x32\x04" + wanted + b"\x36\x04" + server, tries)
    if reply is None or dhcp.parse_options(reply[240:])[53] != b"\x05":
        return None
    options = dhcp.parse_options(reply[240:])
    return {
        "address": socket.inet_ntoa(reply[16:20]),
        "prefix": ipaddress.ip_network(f"0.0.0.0/{socket.inet_ntoa(options[1])}").prefixlen,
        "gateway": socket.inet_ntoa(options[3]) if 3 in options else None,
        "mtu": struct.unpack("!H", options[26])[0],
        "dns": [socket.inet_ntoa(options[6][at : at + 4]) for at in range(0, len(options.get(6, b"")), 4)],
        "name": options.get(12, b"").decode(),
        "routes": options[121],
    }


def ask_dns(server: str, name: str, kind: str, *, tcp: bool = False) -> tuple[str, list[str]] | None:
    """The code and the values of a server's answer; None where it says nothing within a second."""
    question = dns.ask(name, kind)
    try:
        said = (query.tcp if tcp else query.udp)(question, server, 1)
    except (OSError, EOFError, Timeout):
        return None
    return dns.in_words(said)


def _exchange(sock: socket.socket, mac: str, options: bytes, tries: int) -> bytes | None:
    hardware = bytes.fromhex(mac.replace(":", ""))
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, secrets.randbits(32), 0, 0x8000) + bytes(16) + hardware + bytes(202)
    for _ in range(tries):
        sock.sendto(head + b"\x63\x82\x53\x63" + options + b"\xff", ("255.255.255.255", 67))
        with contextlib.suppress(TimeoutError):
            return sock.recv(2048)
    return None


def is_inner(space: str) -> bool:
    """Whether a namespace's name is that of a router or of a network's services: `cumulet-<mark>-r...` or `-d...`."""
    return space.count("-") > 1 and space.split("-")[2][0] in "dr"


def unacknowledged(stream: socket.socket) -> int:
    """Bytes that the other end has yet to say it has."""
    room = array.array("i", [0])
    fcntl.ioctl(stream.fileno(), _OUTGOING, room)
    return room[0]


def eventually(check: Callable[[], bool], seconds: float = 3.0) -> bool:
    """Whether `check` comes true in time."""
    end = time.monotonic() + seconds
    while not check():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
