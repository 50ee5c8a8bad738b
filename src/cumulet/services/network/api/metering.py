# SPDX-License-Identifier: Apache-2.0
"""Metering labels and their rules over HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import metering as logic
from cumulet.services.network.store import common as store
from cumulet.services.network.types.metering import DIRECTIONS, PREFIXES, MeteringLabel, MeteringLabelRule

LABEL_ATTRIBUTES = {
    "id": common.ID,
    "name": Attribute(post=True, default="", check=check.name(), sorts=True),
    "description": Attribute(post=True, default="", check=check.text(1024), sorts=True),
    "project_id": common.PROJECT,
    "shared": Attribute(post=True, default=False, convert=check.boolean, sorts=True),
}
RULE_ATTRIBUTES = {
    "id": common.ID,
    "project_id": Attribute(post=True, check=check.text(255), shown=False, filters=False),
    "metering_label_id": Attribute(post=True, check=check.uuid, sorts=True),
    "direction": Attribute(post=True, check=check.one_of(DIRECTIONS), sorts=True),
    "excluded": Attribute(post=True, default=False, convert=check.boolean, sorts=True),
    **{name: Attribute(post=True, default=None, sorts=True) for name in PREFIXES},
}
_OWNER = "metering_label:project_id"


def render_labels(source: Source, rows: list[MeteringLabel]) -> list[Item]:
    return [{name: getattr(row, name) for name in LABEL_ATTRIBUTES} for row in rows]


def render_rules(source: Source, rows: list[MeteringLabelRule]) -> list[Item]:
    labels = store.by_id(source, MeteringLabel, {row.metering_label_id for row in rows})
    shown = [name for name, attribute in RULE_ATTRIBUTES.items() if attribute.shown]
    return [
        {**{name: getattr(row, name) for name in shown}, _OWNER: labels[row.metering_label_id].project_id}
        for row in rows
    ]


def _create_labels(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[MeteringLabel]:
    return [logic.create_label(cloud, tx, ctx, item) for item in items]


def _create_rules(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[MeteringLabelRule]:
    return [logic.create_rule(cloud, tx, ctx, item) for item in items]


@dataclass(frozen=True)
class Rules(Resource[MeteringLabelRule]):
    """Rules are whose label they are of, which their answers do not say."""

    def target(self, item: Item) -> Item:
        return super().target({**item, "project_id": item[_OWNER]} if _OWNER in item else item)


_LABELS = Resource(
    name="metering_label",
    collection="metering_labels",
    kind=MeteringLabel,
    attributes=LABEL_ATTRIBUTES,
    render=render_labels,
    create=_create_labels,
    delete=logic.delete_label,
    prefix="/metering",
)
_RULES = Rules(
    name="metering_label_rule",
    collection="metering_label_rules",
    kind=MeteringLabelRule,
    attributes=RULE_ATTRIBUTES,
    render=render_rules,
    create=_create_rules,
    delete=logic.delete_rule,
    prefix="/metering",
)

FAMILY = Family(
    resources=(_LABELS, _RULES),
    extensions={
        "metering": ("Neutron Metering", "2013-06-12T10:00:00-00:00"),
        "metering_source_and_destination_fields": (
            "Neutron Metering with source and destination filtering",
            "2020-08-21T08:12:00-00:00",
        ),
    },
)
