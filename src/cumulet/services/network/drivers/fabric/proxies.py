# SPDX-License-Identifier: Apache-2.0
"""The IPv6 addresses of others that a device answers for, read from the kernel: pyroute2 does not ask for these."""

from __future__ import annotations

import socket
import struct

FLAG = 0x08  # NTF_PROXY of linux/neighbour.h
_GET, _DONE, _ERROR = 30, 3, 2  # RTM_GETNEIGH, NLMSG_DONE, NLMSG_ERROR
_DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
_DESTINATION = 1  # NDA_DST
_HEADER, _NEIGHBOUR, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxxxiHBB"), struct.Struct("=HH")
_MOST = 1 << 16  # bytes of one answer


def read(index: int) -> set[str]:
    """The addresses of the device with this index, in the namespace of the calling thread. Raises OSError."""
    request = _NEIGHBOUR.pack(socket.AF_INET6, 0, 0, FLAG, 0)
    found: set[str] = set()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as wire:
        wire.sendto(_HEADER.pack(_HEADER.size + len(request), _GET, _DUMP, 1, 0) + request, (0, 0))
        while not _take(wire.recv(_MOST), index, found):
            pass
    return found


def _take(answer: bytes, index: int, found: set[str]) -> bool:
    """Collect what an answer says of the device; whether it was the last one."""
    at = 0
    while at + _HEADER.size <= len(answer):
        length, kind = _HEADER.unpack_from(answer, at)[:2]
        if kind in (_DONE, _ERROR):
            return True
        body = answer[at + _HEADER.size : at + length]
        _, device, _, flags, _ = _NEIGHBOUR.unpack_from(body)
        address = _destination(body[_NEIGHBOUR.size :])
        if device == index and flags & FLAG and len(address) == 16:
            found.add(socket.inet_ntop(socket.AF_INET6, address))
        at += (length + 3) & ~3
    return False


def _destination(attributes: bytes) -> bytes:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if kind == _DESTINATION:
            return attributes[at + _ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)
    return b""
