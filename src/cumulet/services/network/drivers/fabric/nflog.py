# SPDX-License-Identifier: Apache-2.0
"""NFLOG, by which the kernel hands packets to whoever wants to write them down (nfnetlink_log, uapi)."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

_NETFILTER = 12  # the netlink family
_PACKET, _CONFIG = 0x400, 0x401  # messages of subsystem 4
_REQUEST, _ACKNOWLEDGE = 0x1, 0x4
_ERROR = 2
_HEADER, _FAMILY = struct.Struct("=IHHII"), struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")
_CMD, _MODE = 1, 2  # attributes of a configuration
_BIND, _COPY_PACKETS = 1, 2
_PACKET_HEADER, _PAYLOAD, _PREFIX, _LINK_HEADER = 1, 9, 10, 16  # attributes of a packet
_MOST = 64  # messages that are read before others have their turn
_BUFFER = 1 << 16


class Logged(NamedTuple):
    """A packet as the kernel shows it: the rule's prefix, the link's header, the protocol above it, and the rest."""

    prefix: str
    link: bytes
    protocol: int
    payload: bytes


def listen(group: int, length: int) -> socket.socket:
    """A socket that is shown the packets of this group in the calling thread's namespace, `length` bytes of each.

    Raises OSError: EBUSY where somebody else is shown them.
    """
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER)
    try:
        sock.settimeout(2)
        sock.bind((0, 0))
        _configure(sock, group, _attribute(_CMD, bytes([_BIND])))
        _configure(sock, group, _attribute(_MODE, struct.pack("!IBx", length, _COPY_PACKETS)))
    except BaseException:
        sock.close()
        raise
    return sock


def packets(sock: socket.socket) -> Iterator[Logged]:
    """What waits to be read; what was lost because it waited too long is lost."""
    for _ in range(_MOST):
        try:
            data = sock.recv(_BUFFER)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                continue
            raise
        yield from parse(data)


def parse(data: bytes) -> Iterator[Logged]:
    """The packets of a datagram from the kernel."""
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            return
        if kind == _PACKET:
            yield _logged(data[at + _HEADER.size + _FAMILY.size : at + length])
        at += (length + 3) & ~3


def _logged(body: bytes) -> Logged:
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = body[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    protocol = int.from_bytes(found.get(_PACKET_HEADER, b"")[:2], "big")
    prefix = found.get(_PREFIX, b"").rstrip(b"\0").decode(errors="replace")
    return Logged(prefix, found.get(_LINK_HEADER, b""), protocol, found.get(_PAYLOAD, b""))


def _configure(sock: socket.socket, group: int, attribute: bytes) -> None:
    """Ask, and hear what the kernel says to it."""
    body = _FAMILY.pack(socket.AF_UNSPEC, 0, group) + attribute
    sock.send(_HEADER.pack(_HEADER.size + len(body), _CONFIG, _REQUEST | _ACKNOWLEDGE, 1, 0) + body)
    while True:
        answer = sock.recv(_BUFFER)
        if struct.unpack_from("=H", answer, 4)[0] == _ERROR:
            code = -struct.unpack_from("=i", answer, _HEADER.size)[0]
            if code:
                raise OSError(code, f"packets cannot be logged: {os.strerror(code)}")
            return


def _attribute(kind: int, data: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(data), kind) + data + bytes(-len(data) % 4)
