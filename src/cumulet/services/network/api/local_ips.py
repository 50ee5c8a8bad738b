# SPDX-License-Identifier: Apache-2.0
"""Local IPs over HTTP, with the ports that they mean on their hosts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.http import Request
from cumulet.services.network.api import common
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.children import Child
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import local_ips as logic
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common as store
from cumulet.services.network.types import Port
from cumulet.services.network.types.local_ips import MODES, TRANSLATE, LocalIp, LocalIpAssociation

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "local_port_id": Attribute(post=True, default=ABSENT, check=check.uuid, sorts=True),
    "network_id": Attribute(post=True, default=ABSENT, check=check.uuid, sorts=True),
    "local_ip_address": Attribute(post=True, default=ABSENT, check=check.or_none(check.address), sorts=True),
    "ip_mode": Attribute(post=True, default=TRANSLATE, check=check.one_of(MODES), sorts=True),
    **common.STANDARD,
    "description": Attribute(post=True, put=True, default="", check=check.text(1024)),
}
ASSOCIATION_ATTRIBUTES = {
    "project_id": Attribute(post=True, check=check.text(255), shown=False, filters=False),
    "local_ip_id": Attribute(),
    "local_ip_address": Attribute(sorts=True),
    "fixed_port_id": Attribute(post=True, check=check.uuid, sorts=True),
    "fixed_ip": Attribute(post=True, default=None, check=check.or_none(check.address), sorts=True),
    "host": Attribute(sorts=True),
}


def render(source: Source, rows: list[LocalIp]) -> list[Item]:
    own = [name for name in ATTRIBUTES if name not in common.STANDARD]
    return [{**{name: getattr(row, name) for name in own}, **common.standard(row)} for row in rows]


def render_associations(source: Source, rows: list[LocalIpAssociation]) -> list[Item]:
    local = store.by_id(source, LocalIp, {row.local_ip_id for row in rows})
    ports = store.by_id(source, Port, {row.fixed_port_id for row in rows})
    return [
        {
            "id": row.id,
            "local_ip_id": row.local_ip_id,
            "local_ip_address": local[row.local_ip_id].local_ip_address,
            "fixed_port_id": row.fixed_port_id,
            "fixed_ip": row.fixed_ip,
            "host": ports[row.fixed_port_id].host if row.fixed_port_id in ports else "",
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[LocalIp]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


def _associate(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[LocalIpAssociation]:
    return [logic.associate(cloud, tx, ctx, item) for item in items]


@dataclass(frozen=True)
class Underscored(Resource[LocalIp]):
    """The same under the path that clients ask."""

    @property
    def path(self) -> str:
        return f"/{self.collection}"


@dataclass(frozen=True, kw_only=True)
class Associations(Child[LocalIpAssociation]):
    """They are known by the port that is meant."""

    def row(self, request: Request, key: str) -> LocalIpAssociation:
        found = self.rows(request, {"fixed_port_id": [key]})
        if not found:
            raise fault("LocalIPAssociationNotFound", id=key, parent=request.params[self.above])
        return found[0]


_WORDS: dict[str, Any] = {
    "name": "local_ip",
    "collection": "local_ips",
    "kind": LocalIp,
    "attributes": ATTRIBUTES,
    "render": render,
    "create": _create,
    "update": logic.update,
    "delete": logic.delete,
}
_CLIENTS = Underscored(**_WORDS)
_ASSOCIATIONS = Associations(
    name="port_association",
    collection="port_associations",
    kind=LocalIpAssociation,
    attributes=ASSOCIATION_ATTRIBUTES,
    render=render_associations,
    create=_associate,
    delete=logic.dissociate,
    parent=_CLIENTS,
    column="local_ip_id",
)

FAMILY = Family(
    resources=(Resource(**_WORDS), _CLIENTS, _ASSOCIATIONS),
    extensions={"local_ip": ("Local IP", "2021-07-26T10:00:00-00:00")},
)
