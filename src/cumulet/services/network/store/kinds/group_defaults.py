# SPDX-License-Identifier: Apache-2.0
"""What new security groups are made of."""

from __future__ import annotations

from sqlalchemy import ColumnElement, true

from cumulet.kernel.context import Context
from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind
from cumulet.services.network.types.group_defaults import DefaultRule, DefaultStatefulness


def _everybody(ctx: Context) -> ColumnElement[bool]:
    return true()


KINDS = (
    Kind(DefaultRule, tables.default_group_rule, "DefaultSecurityGroupRuleNotFound", seen=_everybody),
    Kind(DefaultStatefulness, tables.default_statefulness, "SecurityGroupDefaultStatefulnessNotFound"),
)
