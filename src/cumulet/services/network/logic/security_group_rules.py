# SPDX-License-Identifier: Apache-2.0
"""What can be done with security group rules, and what a rule means in numbers."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, address_groups, quotas
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.types import RuleState, SecurityGroup, SecurityGroupRule
from cumulet.services.network.types.address_groups import AddressGroup
from cumulet.services.network.types.group_defaults import DefaultRule

# Names that Neutron takes, with their numbers (IANA protocol numbers).
PROTOCOLS = {
    "ah": 51, "dccp": 33, "egp": 8, "esp": 50, "gre": 47, "hopopt": 0, "icmp": 1, "igmp": 2, "ip": 0, "ipip": 4,
    "ipv6-encap": 41, "ipv6-frag": 44, "ipv6-icmp": 58, "icmpv6": 58, "ipv6-nonxt": 59, "ipv6-opts": 60,
    "ipv6-route": 43, "ospf": 89, "pgm": 113, "rsvp": 46, "sctp": 132, "tcp": 6, "udp": 17, "udplite": 136, "vrrp": 112,
}  # fmt: skip
WITH_PORTS = {33: "dccp", 132: "sctp", 6: "tcp", 17: "udp", 136: "udplite"}
_ICMP = (1, 58)
_ONLY_IPV6 = frozenset(name for name in PROTOCOLS if "v6" in name) | {"41", "43", "44", "58", "59", "60"}
_SAME = (
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_ip_prefix",
    "remote_group_id",
    "remote_address_group_id",
)
_ANYWHERE = ("0.0.0.0/0", "::/0")
_REMOTES = ("remote_ip_prefix", "remote_group_id", "remote_address_group_id")


def create(cloud: Cloud, tx: Tx, ctx: Context, wanted: list[dict[str, Any]]) -> list[SecurityGroupRule]:
    """New rules, all of one group and project; a rule that is there already is refused."""
    if len({values["security_group_id"] for values in wanted}) > 1:
        raise fault("SecurityGroupNotSingleGroupRules")
    if len({values["project_id"] for values in wanted}) > 1:
        raise fault("SecurityGroupRulesNotSingleProject")
    group = access.get(tx, ctx, SecurityGroup, wanted[0]["security_group_id"])
    quotas.take(cloud, tx, wanted[0]["project_id"], security_group_rule=len(wanted))
    known = {meaning(rule): rule.id for rule in common.find_all(tx, SecurityGroupRule, security_group_id=[group.id])}
    made: list[SecurityGroupRule] = []
    for values in wanted:
        rule = _new(tx, ctx, values)
        if meaning(rule) in known:
            if known[meaning(rule)] in {other.id for other in made}:
                raise fault("DuplicateSecurityGroupRuleInPost")
            raise fault("SecurityGroupRuleExists", id=known[meaning(rule)])
        known[meaning(rule)] = rule.id
        made.append(rule)
    common.add(tx, *made)
    common.touch(tx, SecurityGroup, group.id)
    return made


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    rule = access.must(tx, SecurityGroupRule, key)
    common.remove(tx, SecurityGroupRule, [key])
    common.touch(tx, SecurityGroup, rule.security_group_id)


def number(protocol: str | None, ethertype: str) -> int | None:
    """The IP protocol number that a rule's words mean; None for any."""
    if protocol is None or protocol == "any":
        return None
    value = PROTOCOLS.get(protocol)
    if value is None:
        value = int(protocol)
    return 58 if value == 1 and ethertype == "IPv6" else value


def states(rule: SecurityGroupRule, addresses: Mapping[str, list[str]]) -> list[RuleState]:
    """The rule as hosts take it: as many as its address group has addresses of its IP version, or one.

    `addresses` are those of address groups.
    """
    version = 4 if rule.ethertype == "IPv4" else 6
    admitted = [rule.remote_ip_prefix]
    if rule.remote_address_group_id is not None:
        listed = addresses.get(rule.remote_address_group_id, [])
        admitted = [cidr for cidr in listed if ipaddress.ip_network(cidr).version == version]
    return [
        RuleState(
            direction=rule.direction,
            version=version,
            protocol=number(rule.protocol, rule.ethertype) or None,  # "any or 0", says the API reference
            low=rule.port_range_min,
            high=rule.port_range_max,
            remote_cidr=cidr,
            remote_group=rule.remote_group_id,
        )
        for cidr in admitted
    ]


def _new(tx: Tx, ctx: Context, values: dict[str, Any]) -> SecurityGroupRule:
    values = checked(values)
    if values["remote_group_id"]:
        access.get(tx, ctx, SecurityGroup, values["remote_group_id"])
    if values["remote_address_group_id"]:
        address_groups.lock(tx, values["remote_address_group_id"])
        access.get(tx, ctx, AddressGroup, values["remote_address_group_id"])
    now = clock.utcnow()
    return SecurityGroupRule(
        ids.new_uuid(),
        values["project_id"],
        values["security_group_id"],
        values["direction"],
        values["ethertype"],
        values["protocol"],
        values["port_range_min"],
        values["port_range_max"],
        values["remote_ip_prefix"],
        values["remote_group_id"] or None,
        values["description"],
        0,
        now,
        now,
        values["remote_address_group_id"] or None,
    )


def checked(values: dict[str, Any]) -> dict[str, Any]:
    """A rule's words as they are kept, where they fit together; what they name is not looked for."""
    values = _canonical(values)
    _check_ports(values)
    _check_prefix(values)
    if values["protocol"] in _ONLY_IPV6 and values["ethertype"] == "IPv4":
        raise fault(
            "SecurityGroupEthertypeConflictWithProtocol", ethertype=values["ethertype"], protocol=values["protocol"]
        )
    if sum(bool(values[name]) for name in _REMOTES) > 1:
        raise fault("SecurityGroupMultipleRemoteEntites")
    return values


def _canonical(values: dict[str, Any]) -> dict[str, Any]:
    """ICMP by its IPv6 name where that is meant, and no range where it means every port."""
    values = dict(values)
    if values["ethertype"] == "IPv6":
        values["protocol"] = {"icmp": "ipv6-icmp", "icmpv6": "ipv6-icmp", "1": "58"}.get(
            values["protocol"], values["protocol"]
        )
    if (values["port_range_min"], values["port_range_max"]) == (1, 65535):
        values["port_range_min"] = values["port_range_max"] = None
    return values


def _check_ports(values: dict[str, Any]) -> None:
    low, high = values["port_range_min"], values["port_range_max"]
    if low is None and high is None:
        return
    if not values["protocol"]:
        raise fault("SecurityGroupProtocolRequiredWithPorts")
    protocol = number(values["protocol"], "IPv4")
    if protocol in WITH_PORTS:
        if 0 in (low, high):
            raise fault("SecurityGroupInvalidPortValue", port=0)
        if low is None or high is None or low > high:
            raise fault("SecurityGroupInvalidPortRange")
    elif protocol in _ICMP:
        for attr, field, value in (("port_range_min", "type", low), ("port_range_max", "code", high)):
            if value is not None and value > 255:
                raise fault("SecurityGroupInvalidIcmpValue", field=field, attr=attr, value=value)
        if low is None:
            raise fault("SecurityGroupMissingIcmpType", value=high)
    else:
        valid = ", ".join(sorted(name.upper() for name in WITH_PORTS.values()))
        raise fault("SecurityGroupInvalidProtocolForPort", protocol=protocol, valid=valid)


def _check_prefix(values: dict[str, Any]) -> None:
    cidr = values["remote_ip_prefix"]
    if cidr and ipaddress.ip_network(cidr, strict=False).version != (4 if values["ethertype"] == "IPv4" else 6):
        raise fault("SecurityGroupRuleParameterConflict", ethertype=values["ethertype"], cidr=cidr)


def meaning(rule: SecurityGroupRule | DefaultRule) -> tuple[Any, ...]:
    """What makes two rules the same, as Neutron compares them.

    A protocol's name and number are one, and so are any address and no prefix; host bits of prefixes count.
    """
    words = {name: getattr(rule, name) for name in _SAME}
    words["protocol"] = number(rule.protocol, rule.ethertype)
    if rule.remote_ip_prefix in _ANYWHERE:
        words["remote_ip_prefix"] = None
    return tuple(words.values())


def normalized(prefix: str | None) -> str | None:
    """The network that a prefix means, its host bits cleared."""
    return str(ipaddress.ip_network(prefix, strict=False)) if prefix else None
