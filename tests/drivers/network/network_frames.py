# SPDX-License-Identifier: Apache-2.0
"""Ethernet frames written by hand, forged ones too, and whether they come from one guest to another."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time

from network_labs import FabricLab

BROADCAST = "ff:ff:ff:ff:ff:ff"
ALL_NODES = "33:33:00:00:00:01"
_EVERYTHING = 0x0003
_PATIENCE = 0.4


def delivered(lab: FabricLab, sender: str, receiver: str, frame: bytes, seen: bytes | None = None) -> bool:
    """Send the frame from the port's guest twice; whether the receiver's guest sees it within 0.4 seconds.

    `seen` is what it looks like there, where it is not the same.
    """
    with lab.guests[receiver].space.visit(wire) as ear, lab.guests[sender].space.visit(wire) as mouth:
        for _ in range(2):
            mouth.send(frame)
        end = time.monotonic() + _PATIENCE
        while (left := end - time.monotonic()) > 0:
            ear.settimeout(left)
            try:
                if ear.recv(2048).startswith(frame if seen is None else seen):
                    return True
            except TimeoutError:
                break
    return False


def arp(
    operation: int, *, mac: str, address: str, target: str, source: str | None = None, to: str = BROADCAST
) -> bytes:
    """`operation` 1 asks, 2 answers; `mac` and `address` are what the body says of its sender, `source` the frame's."""
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + _mac(mac) + socket.inet_aton(address)
    return _ethernet(source or mac, to, 0x0806, body + bytes(6) + socket.inet_aton(target))


def udp4(*, mac: str, source: str, ports: tuple[int, int]) -> bytes:
    """A datagram to everyone."""
    data = secrets.token_bytes(16)
    datagram = struct.pack("!HHHH", *ports, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0)
    head += socket.inet_aton(source) + socket.inet_aton("255.255.255.255")
    head = head[:10] + struct.pack("!H", _checksum(head)) + head[12:]
    return _ethernet(mac, BROADCAST, 0x0800, head + datagram)


def udp6(*, mac: str, source: str, ports: tuple[int, int], destination: str = "ff02::1") -> bytes:
    data = secrets.token_bytes(16)
    return _ip6(mac, source, destination, 17, struct.pack("!HHHH", *ports, 8 + len(data), 0) + data, at=6)


def advertisement(
    *, mac: str, source: str, target: str, solicited: bool = False, destination: str = "ff02::1"
) -> bytes:
    """A neighbour advertisement (RFC 4861) that says `target` is at `mac`."""
    flags = 0x60000000 if solicited else 0x20000000
    body = struct.pack("!BBHI", 136, 0, 0, flags) + _address(target) + b"\x02\x01" + _mac(mac)
    return _ip6(mac, source, destination, 58, body)


def solicitation(*, mac: str, source: str, target: str) -> bytes:
    """A neighbour solicitation; from `::` it looks for a duplicate of the target."""
    return _ip6(mac, source, "ff02::1", 58, struct.pack("!BBHI", 135, 0, 0, 0) + _address(target))


def router_solicitation(*, mac: str, source: str) -> bytes:
    return _ip6(mac, source, "ff02::2", 58, struct.pack("!BBHI", 133, 0, 0, 0))


def router_advertisement(*, mac: str, source: str) -> bytes:
    return _ip6(mac, source, "ff02::1", 58, struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0))


def packet(
    to: str,
    *,
    mac: str,
    source: str,
    destination: str,
    protocol: int,
    first: int,
    second: int,
    data: bytes,
    mark: int = 0,
    hops: int = 64,
) -> bytes:
    """An IP packet to the device `to`. `first` and `second` are ports, or ICMP type and code; `mark` is the ICMP id.

    TCP begins a connection, and so does SCTP; GRE has its header, others have nothing but the data.
    """
    six = ":" in source
    ends = [(_address(one) if six else socket.inet_aton(one)) for one in (source, destination)]
    body, at = _transport(protocol, first, second, data, mark)
    if at is not None:
        pseudo = b"" if protocol == 1 else b"".join(ends) + struct.pack("!II", len(body), protocol)
        body = body[:at] + struct.pack("!H", _checksum(pseudo + body)) + body[at + 2 :]
    if six:
        return _ethernet(
            mac, to, 0x86DD, struct.pack("!IHBB", 6 << 28, len(body), protocol, hops) + b"".join(ends) + body
        )
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, hops, protocol, 0) + b"".join(ends)
    return _ethernet(mac, to, 0x0800, head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + body)


def _transport(protocol: int, first: int, second: int, data: bytes, mark: int) -> tuple[bytes, int | None]:
    """The bytes behind the IP header, and where in them a checksum is to stand that covers it."""
    if protocol in (1, 58):
        return struct.pack("!BBHHH", first, second, 0, mark, 1) + data, 2
    if protocol == 6:
        return struct.pack("!HHIIBBHHH", first, second, 1, 0, 0x50, 0x02, 8192, 0, 0) + data, 16
    if protocol == 17:
        return struct.pack("!HHHH", first, second, 8 + len(data), 0) + data, 6
    if protocol == 132:
        padding = struct.pack("!HH", 0x8005, 4 + len(data)) + data
        chunk = struct.pack("!BBHIIHHI", 1, 0, 20 + len(padding), 7, 65536, 1, 1, 7) + padding
        head = struct.pack("!HHI", first, second, 0)
        return head + struct.pack("<I", _crc32c(head + b"\0\0\0\0" + chunk)) + chunk, None
    return (struct.pack("!HH", 0, 0x0800) if protocol == 47 else b"") + data, None


def _crc32c(data: bytes) -> int:
    """SCTP's checksum (RFC 9260, appendix A)."""
    value = 0xFFFFFFFF
    for octet in data:
        value ^= octet
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


def _ip6(mac: str, source: str, destination: str, protocol: int, body: bytes, at: int = 2) -> bytes:
    """`at` is where in the body its checksum stands."""
    pseudo = _address(source) + _address(destination) + struct.pack("!II", len(body), protocol)
    body = body[:at] + struct.pack("!H", _checksum(pseudo + body)) + body[at + 2 :]
    head = struct.pack("!IHBB", 6 << 28, len(body), protocol, 255) + _address(source) + _address(destination)
    group = "33:33:" + _address(destination)[-4:].hex(":")
    return _ethernet(mac, group, 0x86DD, head + body)


def _ethernet(source: str, destination: str, kind: int, body: bytes) -> bytes:
    return _mac(destination) + _mac(source) + struct.pack("!H", kind) + body


def _checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def _address(text: str) -> bytes:
    return ipaddress.IPv6Address(text).packed


def wire(device: str = "eth0", kind: int = _EVERYTHING) -> socket.socket:
    """All frames of a device of the calling thread's namespace, or those of an Ethernet type, from now on."""
    found = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # with a type it would hear all devices until bound
    found.bind((device, kind))
    return found
