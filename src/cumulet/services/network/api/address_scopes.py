# SPDX-License-Identifier: Apache-2.0
"""Address scopes over HTTP."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import address_scopes as logic
from cumulet.services.network.logic import sharing
from cumulet.services.network.types import AddressScope

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "shared": Attribute(post=True, put=True, default=False, convert=check.boolean, enforce=True, sorts=True),
    "ip_version": Attribute(post=True, convert=check.integer, check=check.one_of((4, 6)), sorts=True),
}


def render(source: Source, rows: list[AddressScope]) -> list[Item]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "ip_version": row.ip_version,
            **sharing.words(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[AddressScope]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


ADDRESS_SCOPES = Resource(
    name="address_scope",
    collection="address_scopes",
    kind=AddressScope,
    parts=parts.of(AddressScope),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
)

FAMILY = Family(
    resources=(ADDRESS_SCOPES,),
    extensions={"address-scope": ("Address scope", "2015-07-26T10:00:00-00:00")},
)
