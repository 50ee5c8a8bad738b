# SPDX-License-Identifier: Apache-2.0
"""RBAC policies over HTTP."""

from __future__ import annotations

from functools import partial
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.ids import is_uuid
from cumulet.services.network.api import parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import rbac_policies as logic
from cumulet.services.network.logic.faults import invalid
from cumulet.services.network.logic.sharing import SHAREABLE
from cumulet.services.network.types import EVERYBODY, RbacPolicy


def _object_type(value: Any) -> str:
    name = value.strip().lower() if isinstance(value, str) else ""
    if name not in SHAREABLE:
        raise invalid(f"'{value}' is not a valid RBAC object type")
    return name


def _target(value: Any) -> str:
    if isinstance(value, str) and (value == EVERYBODY or is_uuid(value)):
        return value
    raise invalid(f"'{value}' is not a valid target project ID; expected a UUID or '{EVERYBODY}'")


_own = partial(Attribute, post=True, enforce=True)

ATTRIBUTES = {
    "id": Attribute(check=check.uuid),
    "object_type": _own(default=None, convert=_object_type),
    "object_id": _own(check=check.uuid),
    "target_tenant": _own(put=True, convert=_target),
    "project_id": Attribute(post=True, check=check.text(255)),
    "action": _own(check=check.text(255)),
}


def render(source: Source, rows: list[RbacPolicy]) -> list[Item]:
    return [
        {
            "id": row.id,
            "project_id": row.project_id,
            "object_type": row.object_type,
            "object_id": row.object_id,
            "target_tenant": row.target_project,
            "action": row.action,
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[RbacPolicy]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


RBAC_POLICIES = Resource(
    name="rbac_policy",
    collection="rbac_policies",
    kind=RbacPolicy,
    parts=parts.of(RbacPolicy),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    bulk=False,
    pages=False,
)

FAMILY = Family(
    resources=(RBAC_POLICIES,),
    extensions={
        "rbac-policies": ("RBAC Policies", "2015-06-17T12:15:12-00:00"),
        "rbac-address-scope": ("Add address_scope type to RBAC", "2020-02-12T00:00:00-00:00"),
        "rbac-security-groups": ("Add security_group type to network RBAC", "2019-02-14T00:00:00-00:00"),
        "rbac-subnetpool": ("Add subnetpool type to RBAC", "2020-02-05T00:00:00-00:00"),
        "security-groups-shared-filtering": (
            "Security group filtering on the shared field",
            "2021-10-05T09:00:00-00:00",
        ),
    },
)
