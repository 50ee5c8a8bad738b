# SPDX-License-Identifier: Apache-2.0
"""Metering labels, and their rules, which belong to whom their label belongs."""

from __future__ import annotations

from sqlalchemy import ColumnElement, select

from cumulet.kernel.context import Context
from cumulet.services.network.store.kinds.base import Kind, own
from cumulet.services.network.tables import metering as tables
from cumulet.services.network.types.metering import MeteringLabel, MeteringLabelRule


def _of_own_labels(ctx: Context) -> ColumnElement[bool]:
    labels = select(tables.metering_label.c.id).where(own(tables.metering_label, ctx))
    return tables.metering_label_rule.c.metering_label_id.in_(labels)


KINDS = (
    Kind(MeteringLabel, tables.metering_label, "MeteringLabelNotFound"),
    Kind(MeteringLabelRule, tables.metering_label_rule, "MeteringLabelRuleNotFound", seen=_of_own_labels),
)
