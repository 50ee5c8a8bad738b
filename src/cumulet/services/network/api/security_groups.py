# SPDX-License-Identifier: Apache-2.0
"""Security groups and their rules over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.http import Request
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import access, security_group_rules, security_groups, sharing
from cumulet.services.network.store import common as store
from cumulet.services.network.types import SecurityGroup, SecurityGroupRule

_choice = partial(Attribute, post=True, default=None, sorts=True)

GROUP_ATTRIBUTES = {
    "id": common.ID,
    "name": Attribute(post=True, put=True, default="", check=check.group_name, sorts=True),
    "project_id": common.PROJECT,
    "security_group_rules": Attribute(filters=False),
    "stateful": Attribute(post=True, put=True, default=ABSENT, convert=check.boolean),
    "shared": Attribute(convert=check.boolean, enforce=True),
    **common.STANDARD,
    **common.TAGS,
}
RULE_ATTRIBUTES = {
    "id": common.ID,
    "project_id": common.PROJECT,
    "security_group_id": Attribute(post=True, check=check.text(36), sorts=True),
    "direction": Attribute(post=True, check=check.one_of(("ingress", "egress")), sorts=True),
    "ethertype": Attribute(post=True, default="IPv4", convert=check.ethertype, sorts=True),
    "protocol": _choice(convert=check.protocol),
    "port_range_min": _choice(convert=check.port_number),
    "port_range_max": _choice(convert=check.port_number),
    "remote_ip_prefix": _choice(convert=check.rule_prefix),
    "remote_group_id": _choice(check=check.or_none(check.text(36))),
    "remote_address_group_id": _choice(check=check.or_none(check.text(36))),
    "normalized_cidr": Attribute(),
    "belongs_to_default_sg": Attribute(convert=check.boolean),
    **common.STANDARD,
    "description": Attribute(post=True, default="", check=check.text(255)),
}


def render_rules(source: Source, rows: list[SecurityGroupRule]) -> list[Item]:
    groups = store.by_id(source, SecurityGroup, {row.security_group_id for row in rows})
    return [_rule(row, groups.get(row.security_group_id)) for row in rows]


def _rule(row: SecurityGroupRule, group: SecurityGroup | None) -> Item:
    owner = group.project_id if group is not None else row.project_id
    return {
        "id": row.id,
        "project_id": row.project_id,
        "security_group_id": row.security_group_id,
        "direction": row.direction,
        "ethertype": row.ethertype,
        "protocol": row.protocol,
        "port_range_min": row.port_range_min,
        "port_range_max": row.port_range_max,
        "remote_ip_prefix": row.remote_ip_prefix,
        "remote_group_id": row.remote_group_id,
        "remote_address_group_id": row.remote_address_group_id,
        "normalized_cidr": security_group_rules.normalized(row.remote_ip_prefix),
        "belongs_to_default_sg": group.is_default if group is not None else False,
        "security_group:project_id": owner,
        "security_group:tenant_id": owner,
        **common.standard(row),
    }


def render_groups(source: Source, rows: list[SecurityGroup]) -> list[Item]:
    rules = security_groups.rules_of(source, [row.id for row in rows])
    inner = [name for name, attribute in RULE_ATTRIBUTES.items() if attribute.shown]
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "security_group_rules": [
                {**{name: item[name] for name in inner}, "tenant_id": item["project_id"], "tags": []}
                for item in (_rule(rule, row) for rule in rules[row.id])
            ],
            "stateful": row.stateful,
            **sharing.words(row),
            "tags": row.tags,
            **common.standard(row),
        }
        for row in rows
    ]


def _with_group(source: Source, item: Item) -> Item:
    """A rule to be created, with the owner of the group that it is for."""
    owner = access.must(source, SecurityGroup, str(item["security_group_id"])).project_id
    return {**item, "security_group:project_id": owner, "security_group:tenant_id": owner}


def _touch_project(request: Request) -> None:
    """A project that somebody looks at who may make its default group has one."""
    project_id = request.query.get("project_id") or request.query.get("tenant_id") or request.ctx.project_id
    if not project_id or security_groups.has_default(request.cloud.db, project_id):
        return
    if request.allows("create_default_security_group", {"project_id": project_id, "tenant_id": project_id}):
        request.cloud.db.write(lambda tx: security_groups.ensure_default(tx, project_id))


def _create_groups(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[SecurityGroup]:
    return [security_groups.create(cloud, tx, item) for item in items]


SECURITY_GROUPS = Resource(
    name="security_group",
    collection="security_groups",
    kind=SecurityGroup,
    parts=parts.of(SecurityGroup),
    attributes=GROUP_ATTRIBUTES,
    render=render_groups,
    create=_create_groups,
    update=security_groups.update,
    delete=security_groups.delete,
    filters=common.TAG_FILTERS,
    before_list=_touch_project,
)
SECURITY_GROUP_RULES = Resource(
    name="security_group_rule",
    collection="security_group_rules",
    kind=SecurityGroupRule,
    parts=parts.of(SecurityGroupRule),
    attributes=RULE_ATTRIBUTES,
    render=render_rules,
    create=security_group_rules.create,
    delete=security_group_rules.delete,
    extend=_with_group,
    filters={"changed_since": common.TAG_FILTERS["changed_since"]},
    before_list=_touch_project,
)
