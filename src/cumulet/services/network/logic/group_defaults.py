# SPDX-License-Identifier: Apache-2.0
"""What new security groups are made of: the rules they get, and whether they know connections."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, address_groups, security_group_rules
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.store import group_defaults as store
from cumulet.services.network.types import SecurityGroup, SecurityGroupRule
from cumulet.services.network.types.address_groups import AddressGroup
from cumulet.services.network.types.group_defaults import PARENT, DefaultRule, DefaultStatefulness


def create_rule(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> DefaultRule:
    """A new rule for new groups; refused where the groups that it is for get it already."""
    values = security_group_rules.checked(values)
    now = clock.utcnow()
    rule = DefaultRule(
        id=ids.new_uuid(),
        direction=values["direction"],
        ethertype=values["ethertype"],
        protocol=values["protocol"],
        port_range_min=values["port_range_min"],
        port_range_max=values["port_range_max"],
        remote_ip_prefix=values["remote_ip_prefix"],
        remote_group_id=values["remote_group_id"] or None,
        remote_address_group_id=values["remote_address_group_id"] or None,
        description=values["description"],
        used_in_default_sg=values["used_in_default_sg"],
        used_in_non_default_sg=values["used_in_non_default_sg"],
        revision_number=0,
        created_at=now,
        updated_at=now,
    )
    tx.lock("network:default_group_rules")
    for other in common.find_all(tx, DefaultRule):
        together = (rule.used_in_default_sg and other.used_in_default_sg) or (
            rule.used_in_non_default_sg and other.used_in_non_default_sg
        )
        if together and security_group_rules.meaning(other) == security_group_rules.meaning(rule):
            raise fault("DefaultSecurityGroupRuleExists", id=other.id)
    common.add(tx, rule)
    return rule


def delete_rule(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Groups that there are keep what they were made with."""
    common.remove(tx, DefaultRule, [key])


def templates(source: Source, *, is_default: bool) -> list[DefaultRule]:
    """What a project's default group is made with, or another group; oldest first."""
    flag = "used_in_default_sg" if is_default else "used_in_non_default_sg"
    return common.find_all(source, DefaultRule, **{flag: [True]})


def rules_for(tx: Tx, group: SecurityGroup, made_of: list[DefaultRule]) -> list[SecurityGroupRule]:
    """The rules that the new group gets, in the order of the templates.

    Those that admit a group that is gone admit nobody, and are left out.
    """
    remote = {rule.remote_group_id for rule in made_of if rule.remote_group_id} - {PARENT}
    named = {rule.remote_address_group_id for rule in made_of if rule.remote_address_group_id}
    for key in named:
        address_groups.lock(tx, key)
    known = {None, PARENT, *(common.by_id(tx, SecurityGroup, remote) if remote else ())}
    listed = {None, *(common.by_id(tx, AddressGroup, named) if named else ())}
    return [
        SecurityGroupRule(
            id=ids.new_uuid(),
            project_id=group.project_id,
            security_group_id=group.id,
            direction=rule.direction,
            ethertype=rule.ethertype,
            protocol=rule.protocol,
            port_range_min=rule.port_range_min,
            port_range_max=rule.port_range_max,
            remote_ip_prefix=rule.remote_ip_prefix,
            remote_group_id=group.id if rule.remote_group_id == PARENT else rule.remote_group_id,
            description="",
            revision_number=0,
            created_at=group.created_at + timedelta(microseconds=number),
            updated_at=group.created_at + timedelta(microseconds=number),
            remote_address_group_id=rule.remote_address_group_id,
        )
        for number, rule in enumerate(made_of)
        if rule.remote_group_id in known and rule.remote_address_group_id in listed
    ]


def create_statefulness(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> DefaultStatefulness:
    """A project's setting, or everybody's (no project); each has one at most."""
    project_id = values["project_id"]
    tx.lock(f"network:default_statefulness:{project_id}")
    if store.has_setting(tx, project_id):
        raise fault("SecurityGroupDefaultStatefulnessAlreadyExists", project_id=project_id or "system-wide")
    now = clock.utcnow()
    setting = DefaultStatefulness(ids.new_uuid(), project_id, values["stateful"], 0, now, now)
    common.add(tx, setting)
    return setting


def update_statefulness(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> DefaultStatefulness:
    """Groups that there are stay as they are."""
    common.change(tx, DefaultStatefulness, key, {name: values[name] for name in ("stateful",) if name in values})
    return access.must(tx, DefaultStatefulness, key)


def delete_statefulness(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    common.remove(tx, DefaultStatefulness, [key])


def stateful(source: Source, project_id: str) -> bool:
    """Whether a group that the project makes knows connections where nobody says."""
    found = store.stateful(source, project_id)
    return True if found is None else found
