# SPDX-License-Identifier: Apache-2.0
"""VLAN tags put on and taken off by the kernel's packet programs (BPF), for kernels without VLAN devices.

Two small programs stand in place of VLAN devices. The one at the carrier, the device whose frames are tagged, takes a
frame's tag off and hands the frame to the device that an array names for the tag; the one at a stub, the far end of a
cable whose near end is on a bridge, puts a tag on and hands the frame to the carrier. There is no compiler on a host,
so they are written down here instruction by instruction and loaded by bpf(2).

An instruction is eight bytes (RFC 9669): an operation, the registers that it writes and reads, a signed 16-bit offset
and a signed 32-bit number. Registers: r0 is a call's answer and the program's, r1 to r5 are a call's arguments and lost
by it, r6 to r9 are kept, r10 is the end of the stack. A program begins with its packet (`struct __sk_buff`) in r1.
What it answers is what the queueing layer's "direct action" does with the packet.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import platform
import socket
import struct
import sys
from typing import Any, TypeAlias

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

TAGS = 4096

_SYSTEM_CALLS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361, "s390x": 351}
_MAP_CREATE, _MAP_UPDATE, _PROG_LOAD = 0, 2, 5
_ARRAY, _CLASSIFIER = 2, 3  # BPF_MAP_TYPE_ARRAY, BPF_PROG_TYPE_SCHED_CLS
_ATTRIBUTES = 128  # bytes of `union bpf_attr`, rounded up: what a kernel does not know has to be zero
_LOG = 1 << 14

_AS_IT_IS, _DROP = -1, 2  # TC_ACT_UNSPEC, TC_ACT_SHOT
_TAGGED, _TAG, _TAG_KIND = 20, 24, 28  # where a packet's fields are in `struct __sk_buff`
_PLAIN = 0x8100  # IEEE 802.1Q
_LOOK_UP, _PUSH, _POP, _REDIRECT = 1, 18, 19, 23  # functions of the kernel: enum bpf_func_id

_LOAD, _LOAD_LONG, _STORE = 0x61, 0x18, 0x63
_MOVE, _SET, _ADD, _AND = 0xBF, 0xB7, 0x07, 0x57
_IF_EQUAL, _IF_OTHER, _CALL, _EXIT = 0x15, 0x55, 0x85, 0x95
_IS_MAP = 1  # where _LOAD_LONG would name a register: the number is a map's descriptor

_INGRESS = 0xFFFF0000  # the handle of a device's ingress queue
_DIRECT = 1  # TCA_BPF_FLAG_ACT_DIRECT

# An instruction (operation, register written, register read, offset or the label to jump to, number), or a label.
Line: TypeAlias = "tuple[int, int, int, int | str, int] | str"

_libc = ctypes.CDLL(None, use_errno=True)


class Array:
    """The numbers of devices for each tag, which loaded programs look into; 0 for tags that lead nowhere."""

    def __init__(self) -> None:
        """Raises OSError (EPERM) without the right to, as in every user namespace."""
        self.handle = _bpf(_MAP_CREATE, struct.pack("=IIIII", _ARRAY, 4, 4, TAGS, 0))

    def put(self, tag: int, device: int) -> None:
        """Frames of the tag go to the device of this number from now on."""
        key, value = ctypes.c_uint32(tag), ctypes.c_uint32(device)
        _bpf(_MAP_UPDATE, struct.pack("=IxxxxQQQ", self.handle, ctypes.addressof(key), ctypes.addressof(value), 0))

    def close(self) -> None:
        """Let go of it; programs that use it keep it."""
        os.close(self.handle)


def untagging(devices: Array) -> bytes:
    """The carrier's program: a tagged frame goes, without its tag, out of the device that `devices` has for the tag.

    Frames of tags that lead nowhere are dropped. What has no tag, or one of another kind (802.1ad), is left to the
    carrier, and so is, without it, what has tag 0, which says no more than a priority.
    """
    return assembled(
        (_MOVE, 6, 1, 0, 0),
        (_LOAD, 2, 6, _TAGGED, 0),
        (_IF_EQUAL, 2, 0, "carrier's own", 0),
        (_LOAD, 2, 6, _TAG_KIND, 0),
        (_IF_OTHER, 2, 0, "carrier's own", socket.htons(_PLAIN)),
        (_LOAD, 7, 6, _TAG, 0),
        (_AND, 7, 0, 0, TAGS - 1),  # without the priority
        (_MOVE, 1, 6, 0, 0),
        (_CALL, 0, 0, 0, _POP),
        (_IF_EQUAL, 7, 0, "carrier's own", 0),
        (_STORE, 10, 7, -4, 0),
        (_LOAD_LONG, 1, _IS_MAP, 0, devices.handle),
        (0, 0, 0, 0, 0),  # its second half: the upper 32 bits
        (_MOVE, 2, 10, 0, 0),
        (_ADD, 2, 0, 0, -4),
        (_CALL, 0, 0, 0, _LOOK_UP),
        (_IF_EQUAL, 0, 0, "drop", 0),  # never so, but the kernel wants to see it looked at
        (_LOAD, 1, 0, 0, 0),
        (_IF_EQUAL, 1, 0, "drop", 0),
        (_SET, 2, 0, 0, 0),
        (_CALL, 0, 0, 0, _REDIRECT),
        (_EXIT, 0, 0, 0, 0),
        "drop",
        (_SET, 0, 0, 0, _DROP),
        (_EXIT, 0, 0, 0, 0),
        "carrier's own",
        (_SET, 0, 0, 0, _AS_IT_IS),
        (_EXIT, 0, 0, 0, 0),
    )


def tagging(tag: int, carrier: int) -> bytes:
    """A stub's program: every frame gets the tag and goes out of the device of number `carrier`."""
    return assembled(
        (_SET, 2, 0, 0, socket.htons(_PLAIN)),
        (_SET, 3, 0, 0, tag),
        (_CALL, 0, 0, 0, _PUSH),
        (_SET, 1, 0, 0, carrier),
        (_SET, 2, 0, 0, 0),
        (_CALL, 0, 0, 0, _REDIRECT),
        (_EXIT, 0, 0, 0, 0),
    )


def assembled(*lines: Line) -> bytes:
    """The instructions as the kernel takes them; an offset is counted from the instruction after the jump."""
    places: dict[str, int] = {}
    found: list[tuple[int, int, int, int | str, int]] = []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(found)
        else:
            found.append(line)
    words = []
    for at, (operation, written, read, offset, number) in enumerate(found):
        jump = places[offset] - at - 1 if isinstance(offset, str) else offset
        registers = written | read << 4 if sys.byteorder == "little" else read | written << 4
        words.append(struct.pack("=BBhi", operation, registers, jump, number))
    return b"".join(words)


def load(program: bytes) -> int:
    """A descriptor of the program in the kernel; the caller's to close. OSError with what the verifier says."""
    log, code, license_ = (ctypes.create_string_buffer(word) for word in (bytes(_LOG), program, b"GPL"))
    addresses = [ctypes.addressof(each) for each in (code, license_, log)]
    plain = struct.pack("=IIQQ", _CLASSIFIER, len(program) // 8, *addresses[:2])
    try:
        return _bpf(_PROG_LOAD, plain)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EINVAL):
            raise
        with contextlib.suppress(OSError):
            os.close(_bpf(_PROG_LOAD, plain + struct.pack("=IIQ", 1, _LOG, addresses[2])))
        raise OSError(error.errno, log.value.decode(errors="replace")[-300:] or error.strerror) from error


def attach(route: IPRoute, device: int, program: bytes, name: str) -> None:
    """Run the program, under a name of the caller's, for all that comes in at the device of this number.

    What ran there before is replaced in one step: no frame falls between.
    """
    handle = load(program)
    try:
        with contextlib.suppress(NetlinkError):  # it is there
            route.tc("add", kind="ingress", index=device, handle=_INGRESS)
        words: dict[str, Any] = {"fd": handle, "name": name, "flags": _DIRECT, "parent": _INGRESS, "prio": 1}
        route.tc("replace-filter", kind="bpf", index=device, handle=1, **words)
    finally:
        os.close(handle)


def attached(route: IPRoute, device: int) -> str | None:
    """The name of the program that runs for what comes in at the device."""
    for item in route.get_filters(index=device, parent=_INGRESS):
        options = item.get_attr("TCA_OPTIONS")
        if item.get_attr("TCA_KIND") == "bpf" and options is not None and options.get_attr("TCA_BPF_NAME"):
            return str(options.get_attr("TCA_BPF_NAME"))
    return None


def detach(route: IPRoute, device: int) -> None:
    """Let all that comes in at the device be its own again."""
    with contextlib.suppress(NetlinkError):  # nothing was there
        route.tc("del", kind="ingress", index=device, handle=_INGRESS)


def _bpf(command: int, attributes: bytes) -> int:
    number = _SYSTEM_CALLS.get(platform.machine())
    if number is None:
        raise OSError(errno.ENOSYS, f"bpf(2) is not known for {platform.machine()}")
    buffer = ctypes.create_string_buffer(attributes, _ATTRIBUTES)
    answer = int(_libc.syscall(number, command, buffer, _ATTRIBUTES))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
