# SPDX-License-Identifier: Apache-2.0
"""Security groups by compute's older API: what it refuses beyond what network does, and in which words."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import TypeVar

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Invalid, OverQuota
from cumulet.kernel.formats import is_cidr
from cumulet.services.compute.types import Server
from cumulet.services.network.contract import GroupDetails, GroupRule, NetworkContract

T = TypeVar("T")
Number = int | str | None

ANYONE = "0.0.0.0/0"
_PORTS, _ICMP = ("TCP", "UDP"), "ICMP"
_LOWEST, _HIGHEST = 1, 65535


def find_all(cloud: Cloud, ctx: Context, *, everywhere: bool) -> list[GroupDetails]:
    return _network(cloud).security_groups(ctx, everywhere=everywhere)


def get(cloud: Cloud, ctx: Context, group_id: str) -> GroupDetails:
    return _network(cloud).security_group(cloud.db, ctx, group_id)


def of_server(cloud: Cloud, server: Server) -> list[GroupDetails]:
    groups = _network(cloud).security_groups_of(cloud.db, [server.id]).get(server.id, [])
    return _network(cloud).security_group_details(cloud.db, [group.id for group in groups])


def create(cloud: Cloud, ctx: Context, name: str, description: str) -> GroupDetails:
    try:
        return cloud.db.write(lambda tx: _network(cloud).create_security_group(tx, ctx, name, description))
    except Conflict as error:
        raise OverQuota(error.message, code=error.code) from error


def change(cloud: Cloud, ctx: Context, group_id: str, name: str, description: str) -> GroupDetails:
    return _write(cloud, lambda tx: _network(cloud).change_security_group(tx, ctx, group_id, name, description))


def delete(cloud: Cloud, ctx: Context, group_id: str) -> None:
    _write(cloud, lambda tx: _network(cloud).delete_security_group(tx, ctx, group_id))


def add_rule(cloud: Cloud, ctx: Context, wanted: GroupRule) -> GroupRule:
    try:
        return _write(cloud, lambda tx: _network(cloud).add_security_group_rule(tx, ctx, wanted))
    except Invalid as error:
        if error.code != "SecurityGroupRuleExists":
            raise
        raise Invalid(f"This rule already exists in group {wanted.group_id}", code=error.code) from error


def delete_rule(cloud: Cloud, ctx: Context, rule_id: str) -> None:
    _write(cloud, lambda tx: _network(cloud).delete_security_group_rule(tx, ctx, rule_id))


def rule(
    group_id: str, protocol: str | None, low: Number, high: Number, cidr: str | None, remote_group_id: str | None
) -> GroupRule:
    """The rule that a request means; ports and ICMP's type and code may be texts, -1 stands for any of ICMP's.

    Invalid for what cannot be: without a remote group, protocol and range are a must.
    """
    kind = (protocol or "").upper()
    if remote_group_id is None:
        cidr = _cidr(cidr)
    elif low is None and high is None and kind in (*_PORTS, _ICMP):
        low, high = (-1, -1) if kind == _ICMP else (_LOWEST, _HIGHEST)
    if not kind or low is None or high is None:
        if remote_group_id is None:
            raise Invalid("Not enough parameters to build a valid rule.")
        return GroupRule(group_id=group_id, remote_group_id=remote_group_id)
    start, end = _range(kind, protocol, low, high)
    return GroupRule(
        group_id=group_id,
        protocol=kind.lower(),
        low=None if start == -1 else start,
        high=None if end == -1 else end,
        remote_cidr=cidr if remote_group_id is None else None,
        remote_group_id=remote_group_id,
    )


def shown_range(found: GroupRule) -> tuple[int | None, int | None]:
    """The range as this API shows it: a rule for all ports has all of them, one for all of ICMP has -1."""
    if found.protocol and found.low is None and found.high is None:
        return (_LOWEST, _HIGHEST) if found.protocol.upper() in _PORTS else (-1, -1)
    return found.low, found.high


def _network(cloud: Cloud) -> NetworkContract:
    return cloud.contracts.use(NetworkContract)


def _write(cloud: Cloud, fn: Callable[[Tx], T]) -> T:
    """Write, with network's conflicts in this API's statuses: 403 for a quota, 400 for the rest."""
    try:
        return cloud.db.write(fn)
    except Conflict as error:
        kind = OverQuota if error.code == "OverQuota" else Invalid
        raise kind(error.message, code=error.code) from error


def _cidr(text: str | None) -> str:
    if not text:
        return ANYONE
    if not is_cidr(text):
        raise Invalid(f"{text} is not a valid IP network.", code="InvalidCidr")
    found = ipaddress.ip_interface(text)
    if found.network.prefixlen == 0 and int(found.ip) != 0:
        raise Invalid(f"Bad prefix for network in cidr {text}")
    return text


def _range(kind: str, protocol: str | None, low: int | str, high: int | str) -> tuple[int, int]:
    try:
        start, end = int(low), int(high)
    except ValueError as error:
        what = (
            "Type and Code must be integers for ICMP protocol type"
            if kind == _ICMP
            else ("To and From ports must be integers")
        )
        raise Invalid(f"Invalid input received: {what}", code="InvalidInput") from error
    if kind not in (*_PORTS, _ICMP):
        raise Invalid(f"Invalid IP protocol {protocol}.", code="InvalidIpProtocol")
    said = ""
    if kind == _ICMP:
        if not (-1 <= start <= 255 and -1 <= end <= 255):
            said = "For ICMP, the type:code must be valid"
    elif start > end:
        said = "Former value cannot be greater than the later"
    elif start < _LOWEST or end > _HIGHEST:
        said = f"Valid {kind} ports should be between {_LOWEST}-{_HIGHEST}"
    if said:
        raise Invalid(f"Invalid port range {start}:{end}. {said}", code="InvalidPortRange")
    return start, end
