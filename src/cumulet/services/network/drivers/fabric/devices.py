# SPDX-License-Identifier: Apache-2.0
"""The network devices of the calling thread's namespace, as the kernel tells them (rtnetlink(7)).

The netlink library decodes all that the kernel says of a device, a hundred attributes; a host of hundreds of ports that
looks at them for each change needs eight.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator

import msgspec

_NEW_LINK, _GET_LINK = 16, 18
_ERROR, _DONE = 2, 3
_REQUEST, _DUMP, _INTERRUPTED = 0x01, 0x300, 0x10
_ADDRESS, _NAME, _MTU, _MASTER, _LINK_INFO, _GROUP, _MASK = 1, 3, 4, 10, 18, 27, 29
_KIND, _DATA = 1, 2  # of _LINK_INFO
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_PORT = 1, 4, 15
_OF_LINKS = frozenset({_ADDRESS, _NAME, _MTU, _MASTER, _LINK_INFO, _GROUP})
_OF_KINDS, _OF_TUNNELS = frozenset({_KIND, _DATA}), frozenset({_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_PORT})
_TYPE = 0x3FFF  # an attribute's number without its flags
_WITHOUT_STATISTICS = struct.pack("=HHI", 8, _MASK, 1 << 3)
_HEADER, _LINK = struct.Struct("=IHHII"), struct.Struct("=BxHiII")
_ATTRIBUTE, _NUMBER = struct.Struct("=HH"), struct.Struct("=I")
_UP = 1
_ROOM = 1 << 18


class Device(msgspec.Struct, kw_only=True):
    """One network device; `number` is its link group, in which the fabric keeps a bridge's zone.

    `kind` is the kernel's word for what it is (`veth`), "" for a card. `tunnel` is a vxlan device's number, own address
    and UDP port.
    """

    name: str
    index: int
    mtu: int
    up: bool
    master: int
    number: int
    mac: str
    kind: str = ""
    tunnel: tuple[int, str, int] | None = None


def read_all() -> list[Device]:
    """All devices; read again where they changed meanwhile."""
    while True:
        found, whole = _ask(_DUMP, b"")
        if whole:
            return found


def read(name: str) -> Device | None:
    """The device of this name; None where there is none."""
    text = name.encode() + b"\0"
    found, _ = _ask(0, _ATTRIBUTE.pack(4 + len(text), _NAME) + text + bytes(-len(text) % 4))
    return found[0] if found else None


def _ask(flags: int, attributes: bytes) -> tuple[list[Device], bool]:
    """The devices of the answer, and whether nothing changed while it was given."""
    body = _LINK.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + _WITHOUT_STATISTICS + attributes
    found: list[Device] = []
    whole = True
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as wire:
        wire.send(_HEADER.pack(_HEADER.size + len(body), _GET_LINK, _REQUEST | flags, 1, 0) + body)
        while True:
            for kind, said, part in _messages(wire.recv(_ROOM)):
                if kind == _ERROR and -_error(part) != errno.ENODEV:
                    raise OSError(-_error(part), os.strerror(-_error(part)))
                if kind in (_ERROR, _DONE):
                    return found, whole
                whole = whole and not said & _INTERRUPTED
                if kind == _NEW_LINK:
                    found.append(_device(part))
            if not flags:
                return found, whole


def _error(part: memoryview) -> int:
    (code,) = struct.unpack_from("=i", part)
    return int(code)


def _messages(data: bytes) -> Iterator[tuple[int, int, memoryview]]:
    """Kind, flags and body of each message."""
    view, at = memoryview(data), 0
    while at < len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, at)
        yield kind, flags, view[at + _HEADER.size : at + length]
        at += (length + 3) & ~3


def _attributes(view: memoryview, wanted: frozenset[int], at: int = 0) -> dict[int, memoryview]:
    found, end, read = {}, len(view) - 3, _ATTRIBUTE.unpack_from
    while at < end:
        length, kind = read(view, at)
        if kind & _TYPE in wanted:
            found[kind & _TYPE] = view[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _device(view: memoryview) -> Device:
    _, _, index, flags, _ = _LINK.unpack_from(view)
    known = _attributes(view, _OF_LINKS, _LINK.size)
    about = _attributes(known[_LINK_INFO], _OF_KINDS) if _LINK_INFO in known else {}
    kind = bytes(about.get(_KIND, b"")).rstrip(b"\0").decode()
    return Device(
        name=bytes(known[_NAME]).rstrip(b"\0").decode(),
        index=index,
        mtu=_number(known.get(_MTU)),
        up=bool(flags & _UP),
        master=_number(known.get(_MASTER)),
        number=_number(known.get(_GROUP)),
        mac=known[_ADDRESS].hex(":") if _ADDRESS in known else "",
        kind=kind,
        tunnel=_tunnel(about[_DATA]) if kind == "vxlan" else None,
    )


def _number(value: memoryview | None) -> int:
    return int(_NUMBER.unpack_from(value)[0]) if value is not None else 0


def _tunnel(about: memoryview) -> tuple[int, str, int]:
    words = _attributes(about, _OF_TUNNELS)
    own = socket.inet_ntoa(words[_VXLAN_LOCAL]) if _VXLAN_LOCAL in words else ""
    return _number(words[_VXLAN_ID]), own, int.from_bytes(words[_VXLAN_PORT], "big")
