# SPDX-License-Identifier: Apache-2.0
"""QoS policies and their rules."""

from __future__ import annotations

from functools import partial

from sqlalchemy import ColumnElement, select

from cumulet.kernel.context import Context
from cumulet.services.network import tables
from cumulet.services.network.store.kinds.base import Kind, own_or_shared
from cumulet.services.network.types import QosPolicy, QosRule

_policies = partial(own_or_shared, tables.qos_policy)


def _rules(ctx: Context) -> ColumnElement[bool]:
    return tables.qos_rule.c.qos_policy_id.in_(select(tables.qos_policy.c.id).where(_policies(ctx)))


KINDS = (
    Kind(QosPolicy, tables.qos_policy, "QosPolicyNotFound", seen=_policies),
    Kind(QosRule, tables.qos_rule, "QosRuleNotFound", seen=_rules),
)
