# SPDX-License-Identifier: Apache-2.0
"""A port's own DHCP options: names and values as dnsmasq takes them, to the bytes that are sent.

Values are comma separated where a list is meant; double quotes around them, or parts of them, say nothing. The names
are those of dnsmasq's manual, the forms those of RFC 2132, 3397, 3442 and 8415; an option that is named by a number
with no known form is taken for addresses, hexadecimal bytes (`00:11:aa`), a number or text, whichever it looks like.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Callable, Iterable

from cumulet.services.network.types import DhcpOption

SIADDR = 255  # no option: the address of the next server in the head of a DHCPv4 message
MOST_NAMES = 65535

Encoder = Callable[[str], bytes]


class Unfit(ValueError):
    """A value that does not have its option's form."""


def encode(options: Iterable[DhcpOption], version: int, tags: Iterable[str] = ()) -> dict[int, bytes]:
    """The bytes of each option of the IP `version`, by number; what has not its option's form is left out.

    `tags` are what is known of the client: an option named `tag:ipxe,bootfile-name` is for those with that tag alone,
    `tag:!ipxe,...` for the others; it goes before one without. An empty value stands for an option not to be sent.
    """
    known = set(tags)
    found: dict[int, tuple[int, bytes]] = {}
    for option in options:
        conditions, _, name = option.name.rpartition(",")
        wanted = [condition.removeprefix("tag:") for condition in conditions.split(",") if condition]
        if option.version != version or not all(_holds(condition, known) for condition in wanted):
            continue
        number = number_of(name, version)
        if number is None or number in _OURS[version]:
            continue
        try:
            value = _encode(number, version, option.value.replace('"', ""))
        except (ValueError, struct.error):
            continue
        if len(wanted) >= found.get(number, (0, b""))[0] and len(value) <= _LONGEST[version]:
            found[number] = (len(wanted), value)
    return {number: value for number, (_, value) in found.items()}


def number_of(name: str, version: int) -> int | None:
    """The option's number; None for a name that nobody knows."""
    if name.isdecimal():
        number = int(name)
        return number if 0 < number < (255 if version == 4 else MOST_NAMES) else None
    return _NUMBERS[version].get(name.lower())


def _holds(condition: str, tags: set[str]) -> bool:
    return condition[1:] not in tags if condition.startswith("!") else condition in tags


def _encode(number: int, version: int, value: str) -> bytes:
    if not value:
        return b""
    form = _FORMS[version].get(number)
    return _guess(value, version) if form is None else form(value)


def _addresses4(value: str) -> bytes:
    return b"".join(_address4(word) for word in _words(value))


def _address4(value: str) -> bytes:
    return ipaddress.IPv4Address(value.strip()).packed


def _addresses6(value: str) -> bytes:
    return b"".join(ipaddress.IPv6Address(word.strip("[]")).packed for word in _words(value))


def _text(value: str) -> bytes:
    return value.encode()


def _number(size: int) -> Encoder:
    def encoder(value: str) -> bytes:
        number = int(value, 0)
        if not 0 <= number < 1 << (8 * size):
            raise Unfit(value)
        return number.to_bytes(size, "big")

    return encoder


def _offset(value: str) -> bytes:
    """Seconds east of UTC, signed."""
    return struct.pack("!i", int(value, 0))


def _time(value: str) -> bytes:
    """Seconds, or with a unit: `90`, `45m`, `12h`, `7d`, `1w`, `infinite`."""
    if value == "infinite":
        return b"\xff" * 4
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    factor = units.get(value[-1:].lower())
    return struct.pack("!I", int(value[:-1]) * factor if factor else int(value))


def _names(value: str) -> bytes:
    """Domain names as labels (RFC 1035), without compression."""
    return b"".join(_name(word) for word in _words(value))


def _name(value: str) -> bytes:
    labels = [label.encode("idna") for label in value.rstrip(".").split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise Unfit(value)
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _routes(value: str) -> bytes:
    """`destination,gateway,...` (RFC 3442)."""
    words = _words(value)
    if len(words) % 2:
        raise Unfit(value)
    coded = b""
    for destination, gateway in zip(words[::2], words[1::2], strict=True):
        network = ipaddress.IPv4Network(destination, strict=False)
        coded += bytes([network.prefixlen]) + network.network_address.packed[: (network.prefixlen + 7) // 8]
        coded += _address4(gateway)
    return coded


def _sip(value: str) -> bytes:
    """Addresses or names of SIP servers (RFC 3361)."""
    try:
        return b"\1" + _addresses4(value)
    except ValueError:
        return b"\0" + _names(value)


def _ntp6(value: str) -> bytes:
    """Each server as a suboption: an address, a multicast address or a name (RFC 5908)."""
    coded = b""
    for word in _words(value):
        try:
            address = ipaddress.IPv6Address(word.strip("[]"))
        except ValueError:
            kind, data = 3, _name(word)
        else:
            kind, data = (2 if address.is_multicast else 1), address.packed
        coded += struct.pack("!HH", kind, len(data)) + data
    return coded


def _parameters(value: str) -> bytes:
    """Texts with their lengths (RFC 5970)."""
    return b"".join(struct.pack("!H", len(word.encode())) + word.encode() for word in _words(value))


def _guess(value: str, version: int) -> bytes:
    try:
        return _addresses4(value) if version == 4 else _addresses6(value)
    except ValueError:
        pass
    if re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2})+", value):
        return bytes.fromhex(value.replace(":", ""))
    if value.isdecimal() and int(value) < 1 << 32:
        number = int(value)
        return number.to_bytes(1 if number < 1 << 8 else 2 if number < 1 << 16 else 4, "big")
    return _text(value)


def _words(value: str) -> list[str]:
    return [word.strip() for word in value.split(",")]


_FLAG, _SHORT, _LONG = _number(1), _number(2), _number(4)
_V4: tuple[tuple[int, str, Encoder | None], ...] = (
    (1, "netmask", _address4), (2, "time-offset", _offset), (3, "router", _addresses4), (6, "dns-server", _addresses4),
    (7, "log-server", _addresses4), (9, "lpr-server", _addresses4), (12, "hostname", _text),
    (13, "boot-file-size", _SHORT), (15, "domain-name", _text), (16, "swap-server", _address4),
    (17, "root-path", _text),
    (18, "extension-path", _text), (19, "ip-forward-enable", _FLAG), (20, "non-local-source-routing", _FLAG),
    (21, "policy-filter", _addresses4), (22, "max-datagram-reassembly", _SHORT), (23, "default-ttl", _FLAG),
    (26, "mtu", _SHORT), (27, "all-subnets-local", _FLAG), (28, "broadcast", _address4),
    (31, "router-discovery", _FLAG),
    (32, "router-solicitation", _address4), (33, "static-route", _addresses4), (34, "trailer-encapsulation", _FLAG),
    (35, "arp-timeout", _LONG), (36, "ethernet-encap", _FLAG), (37, "tcp-ttl", _FLAG), (38, "tcp-keepalive", _LONG),
    (40, "nis-domain", _text), (41, "nis-server", _addresses4), (42, "ntp-server", _addresses4),
    (43, "vendor-encap", None), (44, "netbios-ns", _addresses4), (45, "netbios-dd", _addresses4),
    (46, "netbios-nodetype", _FLAG), (47, "netbios-scope", None), (48, "x-windows-fs", _addresses4),
    (49, "x-windows-dm", _addresses4), (58, "t1", _time), (59, "t2", _time), (60, "vendor-class", _text),
    (64, "nis+-domain", _text), (65, "nis+-server", _addresses4), (66, "tftp-server", _text),
    (67, "bootfile-name", _text), (68, "mobile-ip-home", _addresses4), (69, "smtp-server", _addresses4),
    (70, "pop3-server", _addresses4), (71, "nntp-server", _addresses4), (74, "irc-server", _addresses4),
    (77, "user-class", _text), (93, "client-arch", _SHORT), (100, "posix-timezone", _text),
    (101, "tzdb-timezone", _text), (108, "ipv6-only", _LONG), (119, "domain-search", _names), (120, "sip-server", _sip),
    (121, "classless-static-route", _routes), (125, "vendor-id-encap", None), (150, "tftp-server-address", _addresses4),
    (249, "ms-classless-static-route", _routes), (SIADDR, "server-ip-address", _address4),
)  # fmt: skip
_V6: tuple[tuple[int, str, Encoder | None], ...] = (
    (15, "user-class", None), (16, "vendor-class", None), (17, "vendor-opts", None), (21, "sip-server-domain", _names),
    (22, "sip-server", _addresses6), (23, "dns-server", _addresses6), (24, "domain-search", _names),
    (27, "nis-server", _addresses6), (28, "nis+-server", _addresses6), (29, "nis-domain", _names),
    (30, "nis+-domain", _names), (31, "sntp-server", _addresses6), (32, "information-refresh-time", _time),
    (41, "posix-timezone", _text), (42, "tzdb-timezone", _text), (56, "ntp-server", _ntp6), (59, "bootfile-url", _text),
    (60, "bootfile-param", _parameters),
)  # fmt: skip
_NUMBERS = {
    4: {name: number for number, name, _ in _V4} | {"client-id": 61, "lease-time": 51, "server-identifier": 54},
    6: {name: number for number, name, _ in _V6} | {"client-id": 1, "server-id": 2},
}
_FORMS = {
    4: {number: form for number, _, form in _V4 if form is not None},
    6: {number: form for number, _, form in _V6 if form is not None},
}
# What the exchange itself consists of is not for a port to say.
_OURS = {4: {50, 51, 52, 53, 54, 55, 56, 57, 61, 82, 118}, 6: {*range(1, 15), 18, 19, 20, 25, 26, 39}}
_LONGEST = {4: 255, 6: 1024}
