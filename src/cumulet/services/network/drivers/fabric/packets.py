# SPDX-License-Identifier: Apache-2.0
"""Headers of a packet in words, as Neutron's log has them: `ethernet(...)ipv4(...)tcp(...)`, fields by name.

What was cut off, or is not known here, is left out. Nothing is shown that is not a number or an address.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable

IPV4, IPV6 = 0x0800, 0x86DD
Words = Callable[[bytes], str]


def described(link: bytes, protocol: int, payload: bytes) -> str:
    """The link's header, and what follows it."""
    found = ""
    if len(link) >= 14:
        found = _named("ethernet", dst=_mac(link[:6]), ethertype=protocol, src=_mac(link[6:12]))
    above = {IPV4: _ipv4, IPV6: _ipv6}.get(protocol)
    return found + (above(payload) if above is not None else "")


def _ipv4(data: bytes) -> str:
    if len(data) < 20:
        return ""
    first, tos, total, number, offset, ttl, proto, csum, src, dst = struct.unpack_from("!BBHHHBBH4s4s", data)
    size = first & 0xF
    found = _named(
        "ipv4",
        csum=csum,
        dst=_address(dst),
        flags=offset >> 13,
        header_length=size,
        identification=number,
        offset=offset & 0x1FFF,
        proto=proto,
        src=_address(src),
        tos=tos,
        total_length=total,
        ttl=ttl,
        version=first >> 4,
    )
    return found + (_carried(proto, data[size * 4 :]) if not offset & 0x1FFF else "")


def _ipv6(data: bytes) -> str:
    if len(data) < 40:
        return ""
    first, length, proto, hops, src, dst = struct.unpack_from("!IHBB16s16s", data)
    found = _named(
        "ipv6",
        dst=_address(dst),
        flow_label=first & 0xFFFFF,
        hop_limit=hops,
        nxt=proto,
        payload_length=length,
        src=_address(src),
        traffic_class=first >> 20 & 0xFF,
        version=first >> 28,
    )
    return found + _carried(proto, data[40:])


def _carried(proto: int, data: bytes) -> str:
    words = {1: _icmp, 6: _tcp, 17: _udp, 58: _icmpv6, 132: _sctp}.get(proto)
    return words(data) if words is not None else ""


def _tcp(data: bytes) -> str:
    if len(data) < 20:
        return ""
    src, dst, seq, ack, offset, bits, window, csum, urgent = struct.unpack_from("!HHIIBBHHH", data)
    return _named(
        "tcp",
        ack=ack,
        bits=bits,
        csum=csum,
        dst_port=dst,
        offset=offset >> 4,
        seq=seq,
        src_port=src,
        urgent=urgent,
        window_size=window,
    )


def _udp(data: bytes) -> str:
    if len(data) < 8:
        return ""
    src, dst, total, csum = struct.unpack_from("!HHHH", data)
    return _named("udp", csum=csum, dst_port=dst, src_port=src, total_length=total)


def _sctp(data: bytes) -> str:
    if len(data) < 12:
        return ""
    src, dst, tag, csum = struct.unpack_from("!HHII", data)
    return _named("sctp", csum=csum, dst_port=dst, src_port=src, vtag=tag)


def _icmp(data: bytes) -> str:
    return _control("icmp", data, (0, 8))


def _icmpv6(data: bytes) -> str:
    return _control("icmpv6", data, (128, 129))


def _control(name: str, data: bytes, echoes: tuple[int, int]) -> str:
    if len(data) < 8:
        return ""
    kind, code, csum, number, sequence = struct.unpack_from("!BBHHH", data)
    if kind not in echoes:
        return f"{name}(code={code},csum={csum},type={kind})"
    return f"{name}(code={code},csum={csum},data=echo(id={number},seq={sequence}),type={kind})"


def _named(name: str, **fields: object) -> str:
    return f"{name}({','.join(f'{field}={value!r}' for field, value in fields.items())})"


def _mac(data: bytes) -> str:
    return data.hex(":")


def _address(data: bytes) -> str:
    return str(ipaddress.ip_address(data))
