# SPDX-License-Identifier: Apache-2.0
"""Whether packets of a size reach another host whole."""

from __future__ import annotations

import contextlib
import secrets
import socket
import struct
import time

_IP_MTU_DISCOVER, _NEVER_CUT = 10, 3  # IP_PMTUDISC_PROBE: no packet is cut, and what is remembered of the path ignored
_HEADERS = 28  # bytes of IPv4 and ICMP
_TRIES = 3


def carries(target: str, size: int, patience: float = 0.7) -> bool:
    """Whether the host at the IPv4 address `target` answers an echo request of `size` bytes, IP header included.

    Waits up to `patience` seconds for each of three. Raises PermissionError without the right to raw sockets.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as sock:
        sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _NEVER_CUT)
        number = secrets.randbelow(65536)
        for sequence in range(_TRIES):
            with contextlib.suppress(OSError):  # too long for the host's own device
                sock.sendto(_request(number, sequence, size - _HEADERS), (target, 0))
            if _is_answered(sock, target, number, time.monotonic() + patience):
                return True
    return False


def _request(number: int, sequence: int, payload: int) -> bytes:
    """An echo request (RFC 792) with `payload` zeros."""
    total = sum((8 << 8, number, sequence))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", 8, 0, checksum, number, sequence) + bytes(max(0, payload))


def _is_answered(sock: socket.socket, target: str, number: int, end: float) -> bool:
    while (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            data, sender = sock.recvfrom(65536)
        except OSError:
            return False
        start = (data[0] & 0x0F) * 4
        if sender[0] == target and data[start] == 0 and struct.unpack_from("!H", data, start + 4)[0] == number:
            return True
    return False
