# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on sets of prefixes, all of one IP version, in CIDR form."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def compact(prefixes: Iterable[str]) -> list[str]:
    """The fewest prefixes that hold the same addresses, in order."""
    return [str(network) for network in _collapse(_parse(prefixes))]


def without(prefixes: Iterable[str], taken: Iterable[str]) -> list[str]:
    """The fewest prefixes that hold the addresses of `prefixes` which are not in `taken`."""
    left = _collapse(_parse(prefixes))
    for gone in _parse(taken):
        left = [piece for network in left for piece in _cut(network, gone)]
    return [str(network) for network in _collapse(left)]


def covers(prefixes: Iterable[str], others: Iterable[str]) -> bool:
    """Whether every address of `others` is in `prefixes`."""
    return not without(others, prefixes)


def overlap(prefixes: Iterable[str], others: Iterable[str]) -> bool:
    """Whether any address is in both."""
    right = list(_parse(others))
    return any(one.overlaps(other) for one in _parse(prefixes) for other in right)


def room_for(available: Iterable[str], length: int) -> str | None:
    """A network of `length` bits cut from the smallest of the `available` prefixes with room; None where none has."""
    fitting = [network for network in _parse(available) if network.prefixlen <= length]
    if not fitting:
        return None
    smallest = max(fitting, key=lambda network: (network.prefixlen, -int(network.network_address)))
    return f"{smallest.network_address}/{length}"


def _parse(prefixes: Iterable[str]) -> list[IpNetwork]:
    return [ipaddress.ip_network(text, strict=False) for text in prefixes]


def _collapse(networks: Iterable[IpNetwork]) -> list[IpNetwork]:
    return list(ipaddress.collapse_addresses(networks))  # type: ignore[type-var]


def _cut(network: IpNetwork, gone: IpNetwork) -> list[IpNetwork]:
    """What is left of `network` without `gone`."""
    if not network.overlaps(gone):
        return [network]
    if network.prefixlen >= gone.prefixlen:
        return []
    return list(network.address_exclude(gone))  # type: ignore[arg-type]
