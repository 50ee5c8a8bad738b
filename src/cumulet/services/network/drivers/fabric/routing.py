# SPDX-License-Identifier: Apache-2.0
"""Routes by gateway of the calling thread's namespace, and the rules that choose between tables of them."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from pyroute2 import IPRoute

from cumulet.services.network.drivers.fabric.devices import Device

MAIN = 254
MARKED = 0xFFF00  # the bits of a packet's mark that say which gateway it leaves by
_KERNEL_PROTOCOL = 2
_ON_LINK = 4  # RTNH_F_ONLINK
_SPECIFIC, _BY_MARK, _OWN = 1000, 1001, 1002  # the rules' priorities
_FAMILIES = (socket.AF_INET, socket.AF_INET6)

Hop: TypeAlias = tuple[str, str]  # next hop and the device that leads there
Roads: TypeAlias = Mapping[str, frozenset[Hop]]  # by destination in CIDR form; several hops share what goes there


class _Rule(NamedTuple):
    """Packets with the mark go by the table; without one, by the table's routes that are more than a default.

    At the last priority it is for what the namespace itself sends.
    """

    family: int
    priority: int
    table: int
    mark: int | None


def settle(wire: IPRoute, devices: Mapping[str, Device], wanted: Roads, table: int = MAIN) -> int:
    """Make `wanted` the table's IPv4 and IPv6 routes by gateway; the number of changes."""
    present = read(wire, devices, table)
    changes = 0
    for target in present.keys() - wanted.keys():
        wire.route("del", dst=target, table=table)
        changes += 1
    for target, hops in wanted.items():
        if hops and present.get(target) != hops:
            _put(wire, devices, target, sorted(hops), table)
            changes += 1
    return changes


def near(wire: IPRoute, device: Device, wanted: set[str], table: int) -> int:
    """Make `wanted` (CIDRs) what the table says to be reached over the device without a gateway; the changes."""
    present = {
        f"{item.get_attr('RTA_DST')}/{item['dst_len']}"
        for family in _FAMILIES
        for item in wire.get_routes(family=family, table=table)
        if item.get_attr("RTA_OIF") == device.index and item.get_attr("RTA_GATEWAY") is None
    }
    for verb, listed in (("del", present - wanted), ("add", wanted - present)):
        for target in sorted(listed):
            wire.route(verb, dst=target, oif=device.index, table=table, scope="link")
    return len(present ^ wanted)


def choose(wire: IPRoute, marks: Mapping[int, int], own: int | None = None) -> int:
    """Let packets of each mark find their default route in a table of their own; the number of changes.

    Routes that lead anywhere in particular come before. Tables of marks that are gone are emptied. What the namespace
    itself sends by IPv4, and nothing else says the way of, goes by the table `own`.
    """
    wanted = {_Rule(family, _BY_MARK, table, mark) for mark, table in marks.items() for family in _FAMILIES}
    wanted |= {_Rule(family, _SPECIFIC, MAIN, None) for family in _FAMILIES} if marks else set()
    wanted |= {_Rule(socket.AF_INET, _OWN, own, None)} if own is not None else set()
    present = _rules(wire)
    for rule in sorted(present - wanted, key=str):
        wire.rule("del", **_words(rule))
        if rule.mark is not None:
            wire.flush_routes(family=rule.family, table=rule.table)
    for rule in sorted(wanted - present, key=str):
        wire.rule("add", **_words(rule))
    return len(present ^ wanted)


def read(wire: IPRoute, devices: Mapping[str, Device], table: int) -> dict[str, frozenset[Hop]]:
    """The table's routes by gateway."""
    names = {device.index: device.name for device in devices.values()}
    found: dict[str, frozenset[Hop]] = {}
    for family in _FAMILIES:
        for item in wire.get_routes(family=family, table=table):
            if item["proto"] == _KERNEL_PROTOCOL:
                continue
            several = item.get_attr("RTA_MULTIPATH")
            pairs: Iterable[tuple[str | None, int | None]] = (
                [(hop.get_attr("RTA_GATEWAY"), hop["oif"]) for hop in several]
                if several
                else [(item.get_attr("RTA_GATEWAY"), item.get_attr("RTA_OIF"))]
            )
            hops = frozenset((hop, names[index]) for hop, index in pairs if hop is not None and index in names)
            target = item.get_attr("RTA_DST")
            default = "0.0.0.0/0" if family == socket.AF_INET else "::/0"
            text = f"{target}/{item['dst_len']}" if target else default
            if hops:
                found[text] = found.get(text, frozenset()) | hops
    return found


def _put(wire: IPRoute, devices: Mapping[str, Device], target: str, hops: list[Hop], table: int) -> None:
    if len(hops) == 1:
        ((hop, device),) = hops
        wire.route("replace", dst=target, gateway=hop, oif=devices[device].index, table=table, flags=["onlink"])
        return
    several = [{"gateway": hop, "oif": devices[device].index, "flags": _ON_LINK} for hop, device in hops]
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    wire.route("replace", family=family, dst=target, table=table, multipath=several)


def _rules(wire: IPRoute) -> set[_Rule]:
    """Those that `choose` makes."""
    found = set()
    for family in _FAMILIES:
        for item in wire.get_rules(family=family):
            priority = item.get_attr("FRA_PRIORITY")
            if priority in (_SPECIFIC, _BY_MARK, _OWN):
                found.add(_Rule(family, priority, item.get_attr("FRA_TABLE"), item.get_attr("FRA_FWMARK")))
    return found


def _words(rule: _Rule) -> dict[str, int | str]:
    words: dict[str, int | str] = {"family": rule.family, "priority": rule.priority, "table": rule.table}
    if rule.priority == _OWN:
        return {**words, "iifname": "lo"}
    if rule.mark is None:
        return {**words, "FRA_SUPPRESS_PREFIXLEN": 0}
    return {**words, "fwmark": rule.mark, "fwmask": MARKED}
