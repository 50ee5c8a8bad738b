# SPDX-License-Identifier: Apache-2.0
"""What new security groups are made of, over HTTP."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import REQUIRED, Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.api.security_groups import RULE_ATTRIBUTES
from cumulet.services.network.logic import group_defaults as logic
from cumulet.services.network.types.group_defaults import DefaultRule, DefaultStatefulness

_AS_IN_RULES = (
    "id",
    "direction",
    "ethertype",
    "protocol",
    "port_range_min",
    "port_range_max",
    "remote_ip_prefix",
    "remote_group_id",
)
_used = Attribute(post=True, default=REQUIRED, convert=check.boolean)
RULE_TEMPLATE_ATTRIBUTES = {
    **{name: RULE_ATTRIBUTES[name] for name in _AS_IN_RULES},
    "remote_address_group_id": Attribute(post=True, default=None, check=check.or_none(check.uuid), sorts=True),
    "description": Attribute(post=True, default="", check=check.text(1024)),
    "used_in_default_sg": _used,
    "used_in_non_default_sg": _used,
    "project_id": Attribute(post=True, check=check.text(255), shown=False, filters=False),
}
STATEFULNESS_ATTRIBUTES = {
    "id": common.ID,
    "project_id": Attribute(post=True, default=None, check=check.or_none(check.text(255)), sorts=True),
    "stateful": Attribute(post=True, put=True, default=True, convert=check.boolean, sorts=True),
}


def render_rules(source: Source, rows: list[DefaultRule]) -> list[Item]:
    names = (*_AS_IN_RULES, "remote_address_group_id", "description", "used_in_default_sg", "used_in_non_default_sg")
    return [{name: getattr(row, name) for name in names} for row in rows]


def render_statefulness(source: Source, rows: list[DefaultStatefulness]) -> list[Item]:
    return [{"id": row.id, "project_id": row.project_id, "stateful": row.stateful} for row in rows]


def _create_rules(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[DefaultRule]:
    return [logic.create_rule(cloud, tx, ctx, item) for item in items]


def _create_statefulness(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[DefaultStatefulness]:
    return [logic.create_statefulness(cloud, tx, ctx, item) for item in items]


DEFAULT_RULES = Resource(
    name="default_security_group_rule",
    collection="default_security_group_rules",
    kind=DefaultRule,
    parts=parts.of(DefaultRule),
    attributes=RULE_TEMPLATE_ATTRIBUTES,
    render=render_rules,
    create=_create_rules,
    delete=logic.delete_rule,
)


class StatefulnessResource(Resource[DefaultStatefulness]):
    """Bodies have the name that OpenStack's clients say; policy's rules are named after the collection."""

    @property
    def rule(self) -> str:
        return self.collection


DEFAULT_STATEFULNESS = StatefulnessResource(
    name="security_group_default_statefulness",
    collection="security_groups_default_statefulness",
    kind=DefaultStatefulness,
    parts=parts.of(DefaultStatefulness),
    attributes=STATEFULNESS_ATTRIBUTES,
    render=render_statefulness,
    create=_create_statefulness,
    update=logic.update_statefulness,
    delete=logic.delete_statefulness,
    bulk=False,
)

FAMILY = Family(
    resources=(DEFAULT_RULES, DEFAULT_STATEFULNESS),
    extensions={
        "security-groups-default-rules": ("Default rules for security groups", "2022-12-19T10:00:00-00:00"),
        "security-groups-default-statefulness": (
            "Security Groups Default Statefulness",
            "2026-04-13T00:00:00-00:00",
        ),
    },
)
