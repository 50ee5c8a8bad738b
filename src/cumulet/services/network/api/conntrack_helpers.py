# SPDX-License-Identifier: Apache-2.0
"""Conntrack helpers of routers over HTTP."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.children import Child
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.port_forwardings import number, port
from cumulet.services.network.api.routers import ROUTERS
from cumulet.services.network.logic import conntrack_helpers as logic
from cumulet.services.network.types.conntrack_helpers import ConntrackHelper
from cumulet.services.network.types.port_forwardings import PROTOCOLS

ATTRIBUTES = {
    "id": common.ID,
    "project_id": Attribute(post=True, check=check.text(255), shown=False, filters=False),
    "protocol": Attribute(post=True, put=True, convert=check.protocol_name, check=check.one_of(PROTOCOLS), sorts=True),
    "port": Attribute(post=True, put=True, convert=number, check=port, sorts=True),
    "helper": Attribute(post=True, put=True, check=check.text(64), sorts=True),
}


def render(source: Source, rows: list[ConntrackHelper]) -> list[Item]:
    return [{"id": row.id, "protocol": row.protocol, "port": row.port, "helper": row.helper} for row in rows]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[ConntrackHelper]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


CONNTRACK_HELPERS = Child(
    name="conntrack_helper",
    collection="conntrack_helpers",
    kind=ConntrackHelper,
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    parent=ROUTERS,
    column="router_id",
)

FAMILY = Family(
    resources=(CONNTRACK_HELPERS,),
    extensions={
        "expose-l3-conntrack-helper": ("Expose CT target rules for conntrack helper", "2019-04-04T10:00:00-00:00"),
        "l3-conntrack-helper": ("L3 Conntrack helper", "2019-04-04T10:00:00-00:00"),
    },
)
