# SPDX-License-Identifier: Apache-2.0
"""Images, members and tasks as clients see them."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.clock import iso_micro, iso_z
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.http import Request
from cumulet.services.image.logic import access, locations, protection
from cumulet.services.image.types import ImageStatus, Location, Member, Record, Task

BASE = "/v2"

_SAME = (
    *("name", "disk_format", "container_format", "visibility", "size", "virtual_size", "status", "checksum"),
    *("protected", "min_ram", "min_disk", "owner", "os_hidden", "os_hash_algo", "os_hash_value", "id"),
)


def image(record: Record, request: Request) -> dict[str, Any]:
    """An image, with the stores that have it and, where settings and policy say so, its addresses there."""
    found = record.image
    return {
        **protection.readable(request.cloud, request.ctx, record.properties),
        **{name: getattr(found, name) for name in _SAME},
        "created_at": iso_z(found.created_at),
        "updated_at": iso_z(found.updated_at),
        "tags": record.tags,
        "self": f"{BASE}/images/{found.id}",
        "file": f"{BASE}/images/{found.id}/file",
        "schema": f"{BASE}/schemas/image",
        **_places(record, request),
    }


def location(found: Location, cloud: Cloud) -> dict[str, Any]:
    return {"url": locations.url(cloud, found), "metadata": {"store": found.store, **found.metadata}}


def _places(record: Record, request: Request) -> dict[str, Any]:
    cloud, chosen = request.cloud, request.cloud.settings.image
    found = locations.ordered(cloud, record.locations)
    if record.image.status == ImageStatus.DEACTIVATED and not request.ctx.is_admin:
        found = []  # where its data are concerns administrators alone
    view: dict[str, Any] = {}
    shown: list[Location] = []
    if chosen.show_multiple_locations or chosen.show_image_direct_url:
        target = access.target(cloud.db, request.ctx, record.image)
        if cloud.allows(access.SERVICE, "get_image_location", request.ctx, target):
            shown = found
    if chosen.show_multiple_locations:
        view["locations"] = [location(each, cloud) for each in shown]
    if chosen.show_image_direct_url and shown:
        view["direct_url"] = locations.url(cloud, shown[0])
    if found:
        view["stores"] = ",".join(each.store for each in found)
    return view


def member(found: Member) -> dict[str, Any]:
    return {
        "member_id": found.member_id,
        "image_id": found.image_id,
        "status": found.status,
        "created_at": iso_z(found.created_at),
        "updated_at": iso_z(found.updated_at),
        "schema": f"{BASE}/schemas/member",
    }


def task_stub(found: Task) -> dict[str, Any]:
    """A task as lists show it."""
    view = {
        "id": found.id,
        "type": found.type,
        "status": found.status,
        "owner": found.owner,
        "created_at": iso_z(found.created_at),
        "updated_at": iso_z(found.updated_at),
        "self": f"{BASE}/tasks/{found.id}",
        "schema": f"{BASE}/schemas/task",
    }
    if found.expires_at is not None:
        view["expires_at"] = iso_z(found.expires_at)
    return view


def task(found: Task) -> dict[str, Any]:
    return {**task_stub(found), **_work(found)}


def task_of_image(found: Task) -> dict[str, Any]:
    """A task as `/images/{id}/tasks` shows it."""
    view = {name: value for name, value in task_stub(found).items() if name not in ("self", "schema")}
    times = {name: getattr(found, name) for name in ("created_at", "updated_at", "expires_at")}
    view |= {name: None if moment is None else iso_micro(moment) for name, moment in times.items()}
    return {**view, **_work(found), "deleted": False, "deleted_at": None}


def _work(found: Task) -> dict[str, Any]:
    return {
        "input": found.input,
        "result": found.result,
        "message": found.message,
        "user_id": found.user_id,
        "request_id": found.request_id,
        **({"image_id": found.image_id} if found.image_id else {}),
    }
