# SPDX-License-Identifier: Apache-2.0
"""The kernel's table of tracked connections, in the namespace of the calling thread (ctnetlink).

The netlink library decodes all that the kernel says of an entry; of tens of thousands a host wants to know ten numbers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

_SUBSYSTEM = 1 << 8  # NFNL_SUBSYS_CTNETLINK
_NEW, _GET, _DELETE = _SUBSYSTEM, _SUBSYSTEM | 1, _SUBSYSTEM | 2
_ERROR, _DONE = 2, 3
_REQUEST, _ACK, _DUMP, _CREATE = 0x01, 0x04, 0x300, 0x600  # created is what is not there yet
_NESTED, _TYPE = 0x8000, 0x3FFF
_ORIGINAL, _REPLY, _STATUS, _PROTOCOL_INFO, _TIMEOUT, _ZONE = 1, 2, 3, 4, 7, 18  # CTA_*
_IP, _PROTOCOL = 1, 2  # of a tuple
_NUMBER, _SOURCE_PORT, _DESTINATION_PORT, _ICMP_ID, _ICMP_TYPE, _ICMP_CODE = 1, 2, 3, 4, 5, 6
_ICMP6 = 3  # how much farther ICMPv6's three are
_TCP, _TCP_STATE, _TCP_SCALE, _TCP_FLAGS = 1, 1, 2, 4
_SCALED, _LIBERAL = 0x01, 0x08  # IP_CT_TCP_FLAG_*
_BEGINNING = (1, 2)  # TCP_CONNTRACK_SYN_SENT, TCP_CONNTRACK_SYN_RECV
_SEEN_REPLY, _ASSURED, _CONFIRMED = 2, 4, 8  # IPS_*
_HEADER, _FAMILY = struct.Struct("=IHHII"), struct.Struct("!BBH")
_ATTRIBUTE = struct.Struct("=HH")
_NETFILTER = 12  # the protocol of the netlink socket
_ROOM = 1 << 18
_COUNT = Path("/proc/sys/net/netfilter/nf_conntrack_count")


class Tuple(msgspec.Struct, kw_only=True, frozen=True):
    """One direction of a connection; `icmp` is type, code and identifier."""

    protocol: int
    source: str
    destination: str
    source_port: int = 0
    destination_port: int = 0
    icmp: tuple[int, int, int] | None = None


class Entry(msgspec.Struct, kw_only=True, frozen=True):
    """A tracked connection: both directions, and the kernel's own words for the rest.

    `tcp` is the number of the state and the window scales of the two ends.
    """

    zone: int
    original: Tuple
    reply: Tuple
    status: int = _CONFIRMED
    seconds: int = 60
    tcp: tuple[int, int, int] | None = None

    @property
    def answered(self) -> bool:
        return bool(self.status & _SEEN_REPLY)

    @property
    def assured(self) -> bool:
        return bool(self.status & _ASSURED)


def flags(*, answered: bool, assured: bool) -> int:
    """An entry's `status`."""
    return _CONFIRMED | (_SEEN_REPLY if answered else 0) | (_ASSURED if assured else 0)


def read() -> list[Entry]:
    """All entries. Raises OSError.

    The kernel goes through the table of all namespaces, whoever asks: some 50 ms, unless the namespace has no entry.
    """
    if not count():
        return []
    with _wire() as wire:
        wire.send(_message(_GET, _REQUEST | _DUMP, _FAMILY.pack(socket.AF_UNSPEC, 0, 0)))
        found = (_entry(body) for kind, body in _answers(wire) if kind == _NEW)
        return [entry for entry in found if entry is not None]


def count() -> int:
    """How many connections are tracked; 1 where the kernel does not tell."""
    try:
        return int(_COUNT.read_text())
    except OSError:
        return 1


def delete(entries: Iterable[Entry]) -> int:
    """Forget these connections; how many there still were. Raises OSError."""
    listed = list(entries)
    if not listed:
        return 0
    with _wire() as wire:
        return sum(_forget(wire, entry) for entry in listed)


def create(entries: Iterable[Entry]) -> None:
    """Track these connections as if they had begun here; those that have are let be. Raises OSError.

    What the kernel took up in the middle, from one end's packets alone, may have the wrong one for who began it, and
    is replaced.
    """
    with _wire() as wire:
        for entry in entries:
            try:
                _ask(wire, _NEW, _REQUEST | _ACK | _CREATE, _words(entry))
            except FileExistsError:
                if _is_guess(wire, entry):
                    _forget(wire, entry)
                    with contextlib.suppress(FileExistsError):
                        _ask(wire, _NEW, _REQUEST | _ACK | _CREATE, _words(entry))


def _is_guess(wire: socket.socket, like: Entry) -> bool:
    """Whether the entry of these addresses and ports has no answer yet, nor a beginning."""
    try:
        wire.send(_message(_GET, _REQUEST | _ACK, _of(like)))
        found = [_entry(body) for kind, body in _answers(wire) if kind == _NEW]
    except FileNotFoundError:
        return True
    return any(one is not None and not one.answered and _state(one) not in _BEGINNING for one in found)


def _state(entry: Entry) -> int:
    return entry.tcp[0] if entry.tcp is not None else 0


def _forget(wire: socket.socket, entry: Entry) -> bool:
    try:
        _ask(wire, _DELETE, _REQUEST | _ACK, _of(entry))
    except FileNotFoundError:
        return False
    return True


def _of(entry: Entry) -> bytes:
    """What an entry is found by, whichever end began it."""
    return _FAMILY.pack(_family(entry.original), 0, 0) + _pack_tuple(_ORIGINAL, entry.original) + _zone(entry)


def _words(entry: Entry) -> bytes:
    body = _FAMILY.pack(_family(entry.original), 0, 0)
    body += _pack_tuple(_ORIGINAL, entry.original) + _pack_tuple(_REPLY, entry.reply) + _zone(entry)
    body += _pack(_STATUS, struct.pack("!I", entry.status)) + _pack(_TIMEOUT, struct.pack("!I", entry.seconds))
    if entry.tcp is not None:
        state, *scales = entry.tcp
        parts = _pack(_TCP_STATE, bytes([state]))
        for side, scale in enumerate(scales):
            # What windows stood open nobody has told, so packets are not to be measured by them.
            said = _LIBERAL | (_SCALED if scale else 0)
            parts += _pack(_TCP_SCALE + side, bytes([scale])) + _pack(_TCP_FLAGS + side, bytes([said, said]))
        body += _pack(_PROTOCOL_INFO | _NESTED, _pack(_TCP | _NESTED, parts))
    return body


def _zone(entry: Entry) -> bytes:
    return _pack(_ZONE, struct.pack("!H", entry.zone)) if entry.zone else b""


def _family(one: Tuple) -> int:
    return socket.AF_INET6 if ":" in one.source else socket.AF_INET


def _pack_tuple(kind: int, one: Tuple) -> bytes:
    family = _family(one)
    first = 3 if family == socket.AF_INET6 else 1
    addresses = b"".join(
        _pack(first + at, socket.inet_pton(family, text)) for at, text in enumerate((one.source, one.destination))
    )
    parts = _pack(_NUMBER, bytes([one.protocol]))
    if one.icmp is not None:
        type_, code, identifier = one.icmp
        more = _ICMP6 if family == socket.AF_INET6 else 0
        parts += _pack(_ICMP_ID + more, struct.pack("!H", identifier))
        parts += _pack(_ICMP_TYPE + more, bytes([type_])) + _pack(_ICMP_CODE + more, bytes([code]))
    else:
        parts += _pack(_SOURCE_PORT, struct.pack("!H", one.source_port))
        parts += _pack(_DESTINATION_PORT, struct.pack("!H", one.destination_port))
    return _pack(kind | _NESTED, _pack(_IP | _NESTED, addresses) + _pack(_PROTOCOL | _NESTED, parts))


def _pack(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def _message(kind: int, flags: int, body: bytes) -> bytes:
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body


def _wire() -> socket.socket:
    return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER)


def _ask(wire: socket.socket, kind: int, flags: int, body: bytes) -> None:
    wire.send(_message(kind, flags, body))
    for _ in _answers(wire):
        pass


def _answers(wire: socket.socket) -> Iterator[tuple[int, memoryview]]:
    """Kind and body of each message until the answer's end. Raises OSError for what the kernel refuses."""
    while True:
        view, at = memoryview(wire.recv(_ROOM)), 0
        while at < len(view):
            length, kind, _, _, _ = _HEADER.unpack_from(view, at)
            body = view[at + _HEADER.size : at + length]
            if kind in (_ERROR, _DONE):
                (code,) = struct.unpack_from("=i", body) if len(body) >= 4 else (0,)
                if code < 0:
                    raise OSError(-code, os.strerror(-code))
                return
            yield kind, body
            at += (length + 3) & ~3


def _attributes(view: memoryview, at: int = 0) -> dict[int, memoryview]:
    found, end, unpack = {}, len(view) - 3, _ATTRIBUTE.unpack_from
    while at < end:
        length, kind = unpack(view, at)
        found[kind & _TYPE] = view[at + 4 : at + length]
        at += (length + 3) & ~3
    return found


def _entry(body: memoryview) -> Entry | None:
    """None for what has no addresses of IP."""
    known = _attributes(body, _FAMILY.size)
    original, reply = _tuple(known.get(_ORIGINAL)), _tuple(known.get(_REPLY))
    if original is None or reply is None:
        return None
    return Entry(
        zone=_number(known.get(_ZONE)),
        original=original,
        reply=reply,
        status=_number(known.get(_STATUS)),
        seconds=_number(known.get(_TIMEOUT)),
        tcp=_tcp(known.get(_PROTOCOL_INFO)),
    )


def _tuple(view: memoryview | None) -> Tuple | None:
    if view is None:
        return None
    parts = _attributes(view)
    addresses, protocol = _attributes(parts[_IP]), _attributes(parts[_PROTOCOL])
    sixth = 3 in addresses
    family, first = (socket.AF_INET6, 3) if sixth else (socket.AF_INET, 1)
    if first not in addresses:
        return None
    more = _ICMP6 if sixth else 0
    icmp = None
    if _ICMP_TYPE + more in protocol:
        icmp = (
            _number(protocol[_ICMP_TYPE + more]), _number(protocol[_ICMP_CODE + more]),
            _number(protocol.get(_ICMP_ID + more)),
        )  # fmt: skip
    return Tuple(
        protocol=_number(protocol.get(_NUMBER)),
        source=socket.inet_ntop(family, addresses[first]),
        destination=socket.inet_ntop(family, addresses[first + 1]),
        source_port=_number(protocol.get(_SOURCE_PORT)),
        destination_port=_number(protocol.get(_DESTINATION_PORT)),
        icmp=icmp,
    )


def _tcp(view: memoryview | None) -> tuple[int, int, int] | None:
    if view is None or (parts := _attributes(view).get(_TCP)) is None:
        return None
    words = _attributes(parts)
    return _number(words.get(_TCP_STATE)), _number(words.get(_TCP_SCALE)), _number(words.get(_TCP_SCALE + 1))


def _number(value: memoryview | None) -> int:
    return int.from_bytes(value, "big") if value is not None else 0
