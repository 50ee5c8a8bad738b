# SPDX-License-Identifier: Apache-2.0
"""What can be done with security groups; each project has one called `default` from its first touch on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, group_defaults, quotas, sharing
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import SecurityGroup, SecurityGroupRule
from cumulet.services.network.types.group_defaults import DefaultRule

DEFAULT = "default"
_CHANGING = ("name", "description", "stateful")


def create(cloud: Cloud, tx: Tx, values: dict[str, Any]) -> SecurityGroup:
    """A new group; by Neutron's templates of rules it lets everything out and nothing in."""
    ensure_default(tx, values["project_id"])
    if "stateful" not in values:
        values = {**values, "stateful": group_defaults.stateful(tx, values["project_id"])}
    made_of = group_defaults.templates(tx, is_default=False)
    quotas.take(cloud, tx, values["project_id"], security_group=1, security_group_rule=len(made_of))
    return _create(tx, values, made_of, is_default=False)


def ensure_default(tx: Tx, project_id: str) -> SecurityGroup:
    """The project's default group; by Neutron's templates its members reach each other, and everything, and nobody else
    reaches them.
    """
    found = lookups.default_group(tx, project_id)
    if found is not None:
        return found
    tx.lock(f"network:default_group:{project_id}")
    words = {"project_id": project_id, "name": DEFAULT, "description": "Default security group", "stateful": True}
    made_of = group_defaults.templates(tx, is_default=True)
    return lookups.default_group(tx, project_id) or _create(tx, words, made_of, is_default=True)


def has_default(source: Source, project_id: str) -> bool:
    """Whether the project was touched already: a cheap look before the write that `ensure_default` is."""
    return lookups.default_group(source, project_id) is not None


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> SecurityGroup:
    group = access.must(tx, SecurityGroup, key)
    if group.is_default and "name" in values:
        raise fault("SecurityGroupCannotUpdateDefault")
    if values.get("stateful", group.stateful) != group.stateful and addresses.ports_in(tx, [key]):
        raise fault("SecurityGroupInUse", id=key)
    common.change(tx, SecurityGroup, key, {name: values[name] for name in _CHANGING if name in values})
    return access.must(tx, SecurityGroup, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a group that no port is in, with its rules and those that name it as their remote group."""
    group = access.must(tx, SecurityGroup, key)
    if addresses.ports_in(tx, [key]):
        raise fault("SecurityGroupInUse", id=key)
    if group.is_default and not ctx.is_admin:
        raise fault("SecurityGroupCannotRemoveDefault")
    if group.shared or group.granted:
        sharing.forget(tx, key)
    common.remove(tx, SecurityGroup, [key])


def check_alike(groups: Iterable[SecurityGroup]) -> None:
    """The groups of one port know connections, or none of them does."""
    if len({group.stateful for group in groups}) > 1:
        raise fault(
            "SecurityGroupConflict",
            reason="Cannot apply both stateful and stateless security groups on the same port at the same time",
        )


def rules_of(source: Source, group_ids: list[str]) -> dict[str, list[SecurityGroupRule]]:
    """Each group's rules, oldest first."""
    found: dict[str, list[SecurityGroupRule]] = {key: [] for key in group_ids}
    for rule in common.find_all(source, SecurityGroupRule, security_group_id=group_ids):
        found[rule.security_group_id].append(rule)
    return found


def _create(tx: Tx, values: dict[str, Any], made_of: list[DefaultRule], *, is_default: bool) -> SecurityGroup:
    """The group and the rules that such groups are made with."""
    now = clock.utcnow()
    group = SecurityGroup(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        is_default=is_default,
        description=values["description"],
        tags=[],
        revision_number=1,
        created_at=now,
        updated_at=now,
        stateful=values["stateful"],
    )
    common.add(tx, group)
    common.add(tx, *group_defaults.rules_for(tx, group, made_of))
    return group
