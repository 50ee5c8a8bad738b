# SPDX-License-Identifier: Apache-2.0
"""Trunks over HTTP, with the actions that put ports into them and take them out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network.api import common, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource, check_revision, tell
from cumulet.services.network.logic import concern
from cumulet.services.network.logic import trunks as logic
from cumulet.services.network.logic.faults import invalid
from cumulet.services.network.store import trunks as store
from cumulet.services.network.types.trunks import SEGMENTATION_INHERIT, SubPort, Trunk


def sub_ports(value: Any) -> str | None:
    """A list of ports, none named twice, each with a tag of its own or with that of its network."""
    if not isinstance(value, list):
        return f"Invalid data format for subports: '{value}' is not a list"
    seen: list[str] = []
    tags: list[tuple[Any, Any]] = []
    for item in value:
        if not isinstance(item, dict):
            return f"Invalid data format for subport: '{item}' is not a dict"
        if "port_id" not in item:
            return "A valid port UUID must be specified"
        key = item["port_id"]
        if check.uuid(key) is not None:
            return f"Invalid UUID for subport: '{key}'"
        if key in seen:
            return f"Non unique UUID for subport: '{key}'"
        seen.append(key)
        kind, number = item.get("segmentation_type"), item.get("segmentation_id")
        if kind == SEGMENTATION_INHERIT:
            continue
        if (not kind or number is None) and len(item) > 1:
            return (
                f"Invalid subport details '{item}': missing segmentation information. Must specify both "
                "segmentation_id and segmentation_type"
            )
        if number is not None and (kind, number) in tags:
            return f"Segmentation ID '{number}' for '{key}' is not unique"
        tags.append((kind, number))
    return None


ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "port_id": Attribute(post=True, check=check.uuid, sorts=True),
    "admin_state_up": common.ADMIN_STATE,
    "status": common.STATUS,
    "sub_ports": Attribute(post=True, default=[], check=sub_ports, filters=False),
    **common.STANDARD,
    **common.TAGS,
}


def render(source: Source, rows: list[Trunk]) -> list[Item]:
    held = store.subports(source, [row.id for row in rows]) if rows else {}
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            "port_id": row.port_id,
            "admin_state_up": row.admin_state_up,
            "status": row.status,
            "sub_ports": [_shown(each) for each in held[row.id]],
            "tags": row.tags,
            **common.standard(row),
        }
        for row in rows
    ]


def _shown(each: SubPort) -> Item:
    return {name: getattr(each, name) for name in ("port_id", "segmentation_type", "segmentation_id")}


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[Trunk]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


TRUNKS = Resource(
    name="trunk",
    collection="trunks",
    kind=Trunk,
    parts=parts.of(Trunk),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters=common.TAG_FILTERS,
)


def get_subports(request: Request) -> Reply:
    return Reply(200, {"sub_ports": _load(request, "get_subports")["sub_ports"]})


def add_subports(request: Request) -> Reply:
    item = _load(request, "add_subports")
    wanted = _asked(request)
    return _change(request, item["id"], lambda tx: logic.add(request.cloud, tx, request.ctx, item["id"], wanted))


def remove_subports(request: Request) -> Reply:
    item = _load(request, "remove_subports")
    logic.check_enabled(request.cloud.db, item["id"])
    wanted = [each["port_id"] for each in _asked(request)]
    return _change(request, item["id"], lambda tx: logic.remove(tx, item["id"], wanted))


def _change(request: Request, key: str, act: Callable[[Tx], Trunk]) -> Reply:
    """Do it, and answer with the trunk as it is then, not wrapped."""

    def write(tx: Tx) -> Item:
        check_revision(request, tx, Trunk, key)
        before = concern.of(tx, Trunk, [key])
        changed = act(tx)
        tell(request.cloud, tx, before | concern.of(tx, Trunk, [key]))
        return TRUNKS.items(tx, [changed])[0]

    item = request.cloud.db.write(write)
    return Reply(200, {**item, "tenant_id": item["project_id"]})


def _asked(request: Request) -> list[dict[str, Any]]:
    """The body's subports; InvalidInput where they are none."""
    wanted = request.body.get("sub_ports") if isinstance(request.body, dict) else None
    if (reason := sub_ports(wanted)) is not None:
        raise invalid(reason)
    return list(wanted or [])


def _load(request: Request, rule: str) -> Item:
    """The trunk, where the caller may see it (404 else) and policy lets them do this to it."""
    item = TRUNKS.load(request)
    if not request.allows(rule, TRUNKS.target(item)):
        raise Forbidden(f"rule:{rule} is disallowed by policy", code="PolicyNotAuthorized")
    return item


FAMILY = Family(
    resources=(TRUNKS,),
    routes=(
        Route("GET", "/trunks/{id}/get_subports", get_subports, ANYONE),
        Route("PUT", "/trunks/{id}/add_subports", add_subports, ANYONE),
        Route("PUT", "/trunks/{id}/remove_subports", remove_subports, ANYONE),
    ),
    extensions={
        "trunk": ("Trunk Extension", "2016-01-01T10:00:00-00:00"),
        "trunk-details": ("Trunk port details", "2016-01-01T10:00:00-00:00"),
    },
)
