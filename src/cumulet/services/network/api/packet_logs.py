# SPDX-License-Identifier: Apache-2.0
"""Packet logs over HTTP, and what packets can be logged of."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network.api import common, listing
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import packet_logs as logic
from cumulet.services.network.types.packet_logs import ALL, EVENTS, LOGGABLE, PacketLog

ATTRIBUTES = {
    "id": common.ID,
    "project_id": common.PROJECT,
    "name": common.NAME,
    "resource_type": Attribute(post=True, check=check.text(255), sorts=True),
    "resource_id": Attribute(post=True, default=None, check=check.or_none(check.uuid), sorts=True),
    "event": Attribute(post=True, default=ALL, check=check.one_of(EVENTS)),
    "target_id": Attribute(post=True, default=None, check=check.or_none(check.uuid), sorts=True),
    "enabled": Attribute(post=True, put=True, default=True, convert=check.boolean),
    **common.STANDARD,
}
_TYPE = {"type": Attribute(filters=False)}


def render(source: Source, rows: list[PacketLog]) -> list[Item]:
    own = [name for name in ATTRIBUTES if name not in common.STANDARD]
    return [{**{name: getattr(row, name) for name in own}, **common.standard(row)} for row in rows]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[PacketLog]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


LOGS = Resource(
    name="log",
    collection="logs",
    kind=PacketLog,
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters={"changed_since": common.TAG_FILTERS["changed_since"]},
    prefix="/log",
)


def find_loggable(request: Request) -> Reply:
    """What packets can be logged of, for whoever may log them."""
    listing.filters_of(request, _TYPE, {})
    may = request.allows("get_loggable_resource", {"project_id": request.ctx.project_id})
    return Reply(200, {"loggable_resources": [{"type": kind} for kind in LOGGABLE] if may else []})


FAMILY = Family(
    resources=(LOGS,),
    routes=(Route("GET", "/log/loggable-resources", find_loggable, ANYONE),),
    extensions={"logging": ("Logging API Extension", "2017-01-01T10:00:00-00:00")},
)
