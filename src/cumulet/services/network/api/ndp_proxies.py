# SPDX-License-Identifier: Apache-2.0
"""NDP proxies over HTTP."""

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
from cumulet.services.network.logic import ndp_proxies as logic
from cumulet.services.network.types.ndp_proxies import NdpProxy

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "router_id": Attribute(post=True, check=check.uuid, sorts=True),
    "port_id": Attribute(post=True, check=check.uuid, sorts=True),
    "ip_address": Attribute(post=True, default=None, check=check.or_none(check.address), sorts=True),
    **common.STANDARD,
    "description": Attribute(post=True, put=True, default="", check=check.text(1024)),
}


def render(source: Source, rows: list[NdpProxy]) -> list[Item]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "router_id": row.router_id,
            "port_id": row.port_id,
            "ip_address": row.ip_address,
            **common.standard(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[NdpProxy]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


@dataclass(frozen=True)
class Underscored(Resource[NdpProxy]):
    """The same under the path that clients ask."""

    @property
    def path(self) -> str:
        return f"/{self.collection}"


_WORDS: dict[str, Any] = {
    "name": "ndp_proxy",
    "collection": "ndp_proxies",
    "kind": NdpProxy,
    "attributes": ATTRIBUTES,
    "render": render,
    "create": _create,
    "update": logic.update,
    "delete": logic.delete,
}

FAMILY = Family(
    resources=(Resource(**_WORDS), Underscored(**_WORDS)),
    extensions={
        "l3-ext-ndp-proxy": ("Router support to enable NDP proxy", "2020-08-25T00:00:00-00:00"),
        "l3-ndp-proxy": ("L3 NDP Proxy", "2021-06-29T10:00:00-00:00"),
    },
)
