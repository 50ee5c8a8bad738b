# SPDX-License-Identifier: Apache-2.0
"""What can be done with security groups; each project has one called `default` from its first touch on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import access, quotas
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import addresses, common, lookups
from cumulet.services.network.types import SecurityGroup, SecurityGroupRule

DEFAULT = "default"
_VERSIONS = ("IPv4", "IPv6")
_CHANGING = ("name", "description", "stateful")


def create(cloud: Cloud, tx: Tx, values: dict[str, Any]) -> SecurityGroup:
    """A new group, which lets everything out and nothing in."""
    ensure_default(tx, values["project_id"])
    quotas.take(tx, values["project_id"], security_group=1, security_group_rule=2)
    words = (values["name"], values["description"])
    return _create(tx, values["project_id"], *words, is_default=False, stateful=values.get("stateful", True))


def ensure_default(tx: Tx, project_id: str) -> SecurityGroup:
    """The project's default group: its members reach each other, and everything; nobody else reaches them."""
    found = lookups.default_group(tx, project_id)
    if found is not None:
        return found
    tx.lock(f"network:default_group:{project_id}")
    return lookups.default_group(tx, project_id) or _create(
        tx, project_id, DEFAULT, "Default security group", is_default=True
    )


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


def _create(
    tx: Tx, project_id: str, name: str, description: str, *, is_default: bool, stateful: bool = True
) -> SecurityGroup:
    now = clock.utcnow()
    group = SecurityGroup(ids.new_uuid(), project_id, name, is_default, description, [], 1, now, now, stateful)
    common.add(tx, group)
    wanted: list[tuple[str, str, str | None]] = [("egress", version, None) for version in _VERSIONS]
    if is_default:
        wanted += [("ingress", version, group.id) for version in _VERSIONS]
    common.add(tx, *(_open(group, direction, version, remote) for direction, version, remote in wanted))
    return group


def _open(group: SecurityGroup, direction: str, version: str, remote: str | None) -> SecurityGroupRule:
    """A rule without protocol or range, to or from the group `remote` alone if there is one."""
    now = group.created_at
    words = (None, None, None, None)
    return SecurityGroupRule(
        ids.new_uuid(), group.project_id, group.id, direction, version, *words, remote, "", 0, now, now
    )
