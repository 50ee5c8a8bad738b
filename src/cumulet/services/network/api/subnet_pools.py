# SPDX-License-Identifier: Apache-2.0
"""Subnet pools over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import sharing
from cumulet.services.network.logic import subnet_pools as logic
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.types import SubnetPool


def _quota(value: Any) -> str | None:
    return check.non_negative(value) or check.at_most(0, 2**31 - 1)(value)


_number = partial(
    Attribute, post=True, put=True, default=ABSENT, convert=check.integer, check=check.non_negative, sorts=True
)

ATTRIBUTES = {
    "id": common.ID,
    "name": Attribute(post=True, put=True, check=check.full_name, sorts=True),
    "project_id": common.PROJECT,
    "prefixes": Attribute(post=True, put=True, check=check.prefixes, filters=False),
    "default_quota": _number(check=_quota),
    "ip_version": Attribute(convert=check.integer, sorts=True),
    "default_prefixlen": _number(),
    "min_prefixlen": _number(),
    "max_prefixlen": _number(),
    "is_default": Attribute(post=True, put=True, default=False, convert=check.boolean, enforce=True, sorts=True),
    "shared": Attribute(post=True, default=False, convert=check.boolean, enforce=True, sorts=True),
    "address_scope_id": Attribute(post=True, put=True, default=ABSENT, check=check.or_none(check.uuid), sorts=True),
    **common.STANDARD,
    **common.TAGS,
}


def render(source: Source, rows: list[SubnetPool]) -> list[Item]:
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "prefixes": row.prefixes,
            "default_quota": row.default_quota,
            "ip_version": row.ip_version,
            "default_prefixlen": str(row.default_prefixlen),
            "min_prefixlen": str(row.min_prefixlen),
            "max_prefixlen": str(row.max_prefixlen),
            "is_default": row.is_default,
            "address_scope_id": row.address_scope_id,
            **sharing.words(row),
            "tags": row.tags,
            **common.standard(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[SubnetPool]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


SUBNET_POOLS = Resource(
    name="subnetpool",
    collection="subnetpools",
    kind=SubnetPool,
    parts=parts.of(SubnetPool),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters=common.TAG_FILTERS,
)


def add_prefixes(request: Request) -> Reply:
    return _reprefix(request, "add_prefixes", lambda tx, key, wanted: logic.add_prefixes(tx, request.ctx, key, wanted))


def remove_prefixes(request: Request) -> Reply:
    return _reprefix(request, "remove_prefixes", logic.remove_prefixes)


def onboard(request: Request) -> Reply:
    """Make a network's subnets the pool's: `{"network_id": ...}`."""
    key = _must_allow(request, "onboard_network_subnets")
    network_id = request.body.get("network_id") if isinstance(request.body, dict) else None
    if network_id is None:
        raise invalid("network_id must be specified.")
    if check.uuid(network_id) is not None:
        raise fault("NetworkNotFound", id=network_id)
    taken = request.cloud.db.write(lambda tx: logic.onboard(tx, request.ctx, key, network_id))
    return Reply(200, [{"id": subnet.id, "cidr": subnet.cidr} for subnet in taken])


def _reprefix(request: Request, rule: str, change: Callable[[Tx, str, list[str]], SubnetPool]) -> Reply:
    key = _must_allow(request, rule)
    wanted = request.body.get("prefixes") if isinstance(request.body, dict) else None
    if not wanted or not isinstance(wanted, list):
        raise Invalid("Request body contains invalid data")
    if (reason := check.prefixes(wanted)) is not None:
        raise Invalid(f"Invalid input for prefixes. Reason: {reason}.")
    return Reply(200, {"prefixes": request.cloud.db.write(lambda tx: change(tx, key, list(wanted))).prefixes})


def _must_allow(request: Request, rule: str) -> str:
    """The pool's id, where the caller may see the pool (404 else) and policy lets them do this to it."""
    item = SUBNET_POOLS.load(request)
    if not request.allows(rule, SUBNET_POOLS.target(item)):
        raise Forbidden(f"rule:{rule} is disallowed by policy", code="PolicyNotAuthorized")
    return str(item["id"])


ROUTES = (
    Route("PUT", "/subnetpools/{id}/add_prefixes", add_prefixes, ANYONE),
    Route("PUT", "/subnetpools/{id}/remove_prefixes", remove_prefixes, ANYONE),
    Route("PUT", "/subnetpools/{id}/onboard_network_subnets", onboard, ANYONE),
)
