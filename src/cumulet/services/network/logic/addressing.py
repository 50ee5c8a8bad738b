# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of addresses: pools, free addresses, overlaps, hardware addresses. Pure."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable
from itertools import pairwise

from cumulet.services.network.logic.faults import fault

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Net = ipaddress.IPv4Network | ipaddress.IPv6Network
Pool = dict[str, str]

MAC_BASE = "fa:16:3e"
LEAST_MTU = {4: 68, 6: 1280}  # bytes, by IP version


def new_mac() -> str:
    """Some hardware address with OpenStack's prefix."""
    return f"{MAC_BASE}:{secrets.token_bytes(3).hex(':')}"


def eui64(cidr: str, mac: str) -> str:
    """The address that a guest with `mac` gives itself in the /64 `cidr` (RFC 4291)."""
    digits = bytearray.fromhex(mac.replace(":", ""))
    digits[0] ^= 2
    tail = int.from_bytes(bytes(digits[:3]) + b"\xff\xfe" + bytes(digits[3:]), "big")
    return str(ipaddress.IPv6Network(cidr)[0] + tail)


def default_pools(cidr: str, gateway: str | None) -> list[Pool]:
    """All addresses that hosts can have, but for the gateway's."""
    network = ipaddress.ip_network(cidr)
    first, last = int(network[0]), int(network[-1])
    if network.version == 4 and network.prefixlen < 31:
        first, last = first + 1, last - 1
    elif network.version == 6 and network.prefixlen < 127:
        first += 1
    if gateway is None or ipaddress.ip_address(gateway) not in network:
        return _ranges(network, [(first, last)])
    hole = int(ipaddress.ip_address(gateway))
    return _ranges(network, [(first, hole - 1), (hole + 1, last)] if first <= hole <= last else [(first, last)])


def check_pools(pools: list[Pool], cidr: str, gateway: str | None) -> list[Pool]:
    """The pools by their start; raises where one is no range, leaves the subnet, overlaps or holds the gateway."""
    network = ipaddress.ip_network(cidr)
    ranges = []
    for pool in pools:
        start, end = ipaddress.ip_address(pool["start"]), ipaddress.ip_address(pool["end"])
        text = f"{start}-{end}"
        if start.version != network.version or end.version != network.version or int(end) < int(start):
            raise fault("InvalidAllocationPool", pool={"start": pool["start"], "end": pool["end"]})
        edges = (network[0], network[-1]) if network.version == 4 and network.prefixlen < 31 else ()
        if start not in network or end not in network or start in edges or end in edges:
            raise fault("OutOfBoundsAllocationPool", pool=text, cidr=cidr)
        if gateway is not None and int(start) <= int(ipaddress.ip_address(gateway)) <= int(end):
            raise fault("GatewayConflictWithAllocationPools", address=gateway, pool=text)
        ranges.append((int(start), int(end), text))
    ranges.sort()
    for one, other in pairwise(ranges):
        if other[0] <= one[1]:
            raise fault("OverlappingAllocationPools", pool_1=one[2], pool_2=other[2], cidr=cidr)
    return _ranges(network, [(start, end) for start, end, _ in ranges])


def window(pools: Iterable[Pool], start: int, length: int) -> list[str]:
    """Up to `length` addresses of the pools, from the one numbered `start` on."""
    found: list[str] = []
    for pool in pools:
        low, count = ipaddress.ip_address(pool["start"]), size([pool])
        here = min(max(0, count - start), length - len(found))
        found += [str(low + start + at) for at in range(here)]
        start = max(0, start - count)
    return found


def size(pools: Iterable[Pool]) -> int:
    """How many addresses the pools hold."""
    return sum(int(ipaddress.ip_address(pool["end"])) - int(ipaddress.ip_address(pool["start"])) + 1 for pool in pools)


def overlap(one: str, other: str) -> bool:
    """Whether two CIDRs have addresses in common."""
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    return first.version == second.version and first.overlaps(second)


def within(address: str, cidr: str) -> bool:
    """Whether the address lies in the CIDR; families that differ do not."""
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def is_host(address: str, cidr: str) -> bool:
    """Whether a port can have the address: in the subnet, and neither its network nor its broadcast address."""
    network = ipaddress.ip_network(cidr)
    if not within(address, cidr):
        return False
    value = ipaddress.ip_address(address)
    if network.version == 4:
        return network.prefixlen >= 31 or value not in (network[0], network[-1])
    return network.prefixlen >= 127 or value != network[0]


def prefix(cidr: str) -> int:
    """The CIDR's prefix length."""
    return int(cidr.rpartition("/")[2])


def _ranges(network: Net, ranges: list[tuple[int, int]]) -> list[Pool]:
    kind = ipaddress.IPv4Address if network.version == 4 else ipaddress.IPv6Address
    return [{"start": str(kind(start)), "end": str(kind(end))} for start, end in ranges if start <= end]
