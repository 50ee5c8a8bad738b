# SPDX-License-Identifier: Apache-2.0
"""Security groups as compute's older API knows them: with the rules that let something in, and no others."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network import contract
from cumulet.services.network.logic import access, security_group_rules, security_groups
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common, visibility
from cumulet.services.network.types import SecurityGroup, SecurityGroupRule


def find_all(source: Source, ctx: Context, *, everywhere: bool) -> list[contract.GroupDetails]:
    """All groups of the caller's project, or of every project."""
    limits = {} if everywhere else {"project_id": [ctx.project_id]}
    return describe(source, visibility.find_visible(source, ctx, SecurityGroup, everywhere, **limits))


def get(source: Source, ctx: Context, group_id: str) -> contract.GroupDetails:
    return describe(source, [access.get(source, ctx, SecurityGroup, group_id)])[0]


def by_id(source: Source, group_ids: Iterable[str]) -> list[contract.GroupDetails]:
    return describe(source, list(common.by_id(source, SecurityGroup, group_ids).values()))


def create(cloud: Cloud, tx: Tx, ctx: Context, name: str, description: str) -> contract.GroupDetails:
    _check_name(name)
    values = {"project_id": ctx.project_id or "", "name": name, "description": description}
    return describe(tx, [security_groups.create(cloud, tx, values)])[0]


def change(cloud: Cloud, tx: Tx, ctx: Context, group_id: str, name: str, description: str) -> contract.GroupDetails:
    found = access.get(tx, ctx, SecurityGroup, group_id)
    values = {"description": description}
    if name != found.name:
        _check_name(name)
        values["name"] = name
    return describe(tx, [security_groups.update(cloud, tx, ctx, group_id, values)])[0]


def delete(cloud: Cloud, tx: Tx, ctx: Context, group_id: str) -> None:
    access.get(tx, ctx, SecurityGroup, group_id)
    security_groups.delete(cloud, tx, ctx, group_id)


def add_rule(cloud: Cloud, tx: Tx, ctx: Context, wanted: contract.GroupRule) -> contract.GroupRule:
    """Let in what `wanted` says; its id and the words on its remote group are found here."""
    group = access.get(tx, ctx, SecurityGroup, wanted.group_id)
    is_v6 = wanted.remote_cidr is not None and ipaddress.ip_interface(wanted.remote_cidr).version == 6
    values = {
        "project_id": group.project_id,
        "security_group_id": group.id,
        "direction": "ingress",
        "ethertype": "IPv6" if is_v6 else "IPv4",
        "protocol": wanted.protocol,
        "port_range_min": wanted.low,
        "port_range_max": wanted.high,
        "remote_ip_prefix": wanted.remote_cidr,
        "remote_group_id": wanted.remote_group_id,
        "remote_address_group_id": None,
        "description": "",
    }
    made = security_group_rules.create(cloud, tx, ctx, [values])[0]
    return _rule(made, common.by_id(tx, SecurityGroup, [made.remote_group_id or ""]))


def delete_rule(cloud: Cloud, tx: Tx, ctx: Context, rule_id: str) -> None:
    access.get(tx, ctx, SecurityGroupRule, rule_id)
    security_group_rules.delete(cloud, tx, ctx, rule_id)


def describe(source: Source, groups: list[SecurityGroup]) -> list[contract.GroupDetails]:
    rules = security_groups.rules_of(source, [group.id for group in groups])
    remote = {rule.remote_group_id for listed in rules.values() for rule in listed if rule.remote_group_id}
    known = common.by_id(source, SecurityGroup, remote)
    return [
        contract.GroupDetails(
            id=group.id,
            name=group.name,
            project_id=group.project_id,
            description=group.description,
            rules=[_rule(rule, known) for rule in rules[group.id] if rule.direction == "ingress"],
        )
        for group in groups
    ]


def _rule(rule: SecurityGroupRule, known: dict[str, SecurityGroup]) -> contract.GroupRule:
    remote = known.get(rule.remote_group_id or "")
    return contract.GroupRule(
        id=rule.id,
        group_id=rule.security_group_id,
        protocol=rule.protocol,
        low=rule.port_range_min,
        high=rule.port_range_max,
        remote_cidr=rule.remote_ip_prefix,
        remote_group_id=rule.remote_group_id,
        remote_group_name=None if remote is None else remote.name,
        remote_group_project_id=None if remote is None else remote.project_id,
    )


def _check_name(name: str) -> None:
    if name == security_groups.DEFAULT:
        raise fault("SecurityGroupDefaultAlreadyExists")
