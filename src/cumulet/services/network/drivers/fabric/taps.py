# SPDX-License-Identifier: Apache-2.0
"""Taps: the devices whose other end is a file descriptor in a hypervisor's hands."""

from __future__ import annotations

import fcntl
import os
import struct

_TUNSETIFF = 0x400454CA
_TAP, _NO_PI, _VNET_HDR, _MULTI_QUEUE = 0x0002, 0x1000, 0x4000, 0x0100


def open_tap(name: str, *, multi_queue: bool = False) -> int:
    """Make the tap `name` in the calling thread's namespace, or take it up again; the descriptor is the caller's.

    The device goes when its last descriptor is closed. Each descriptor of a `multi_queue` one is a further pair of
    queues; else there is one, and OSError (EBUSY) is raised where another process has it.
    """
    flags = _TAP | _NO_PI | _VNET_HDR | (_MULTI_QUEUE if multi_queue else 0)
    handle = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    except OSError:
        os.close(handle)
        raise
    return handle
