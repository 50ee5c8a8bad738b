# SPDX-License-Identifier: Apache-2.0
"""Address groups over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network import events
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource, check_revision, tell
from cumulet.services.network.logic import address_groups as logic
from cumulet.services.network.logic import concern, sharing
from cumulet.services.network.types.address_groups import AddressGroup

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "addresses": Attribute(post=True, default=ABSENT, convert=check.none_to_list, check=check.prefixes, filters=False),
    "shared": Attribute(shown=False, filters=False),
    **common.STANDARD,
    "description": Attribute(post=True, put=True, default="", check=check.text(1024), sorts=True),
}


def render(source: Source, rows: list[AddressGroup]) -> list[Item]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "addresses": row.addresses,
            **sharing.words(row),
            **common.standard(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[AddressGroup]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


ADDRESS_GROUPS = Resource(
    name="address_group",
    collection="address_groups",
    forgets_sharing=True,
    kind=AddressGroup,
    parts=parts.of(AddressGroup),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters={"changed_since": common.TAG_FILTERS["changed_since"]},
)


def add_addresses(request: Request) -> Reply:
    return _readdress(request, "add_addresses", logic.add_addresses)


def remove_addresses(request: Request) -> Reply:
    return _readdress(request, "remove_addresses", logic.remove_addresses)


def _readdress(request: Request, rule: str, change: Callable[[Tx, str, list[str]], AddressGroup]) -> Reply:
    """Change the addresses: `{"addresses": [...]}`; here one without a prefix length is taken, too.

    The answer says whether the group is shared, which others do not.
    """
    before = ADDRESS_GROUPS.load(request)
    if not request.allows(rule, ADDRESS_GROUPS.target(before)):
        raise Forbidden(f"rule:{rule} is disallowed by policy", code="PolicyNotAuthorized")
    wanted = request.body.get("addresses") if isinstance(request.body, dict) else None
    if (reason := check.addresses(wanted)) is not None:
        raise Invalid(f"Invalid input for addresses. Reason: {reason}.")
    key = str(before["id"])

    def write(tx: Tx) -> Item:
        check_revision(request, tx, AddressGroup, key)
        row = change(tx, key, list(wanted or []))
        tell(request.cloud, tx, concern.of(tx, AddressGroup, [key]))
        item = ADDRESS_GROUPS.seen(request, tx, [row])[0]
        return ADDRESS_GROUPS.told(request, tx, events.updated, item)

    after = request.cloud.db.write(write)
    return Reply(200, {"address_group": {**ADDRESS_GROUPS.shown(request, [after])[0], "shared": after["shared"]}})


FAMILY = Family(
    resources=(ADDRESS_GROUPS,),
    routes=(
        Route("PUT", "/address-groups/{id}/add_addresses", add_addresses, ANYONE),
        Route("PUT", "/address-groups/{id}/remove_addresses", remove_addresses, ANYONE),
    ),
    extensions={
        "rbac-address-group": ("Add address_group type to RBAC", "2021-01-20T00:00:00-00:00"),
        "address-group": ("Address group", "2020-07-15T10:00:00-00:00"),
        "security-groups-remote-address-group": (
            "Remote address group id field for security group rules",
            "2020-08-25T10:00:00-00:00",
        ),
    },
)
