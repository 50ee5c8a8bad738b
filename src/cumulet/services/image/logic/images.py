# SPDX-License-Identifier: Apache-2.0
"""Making, finding and removing images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid
from cumulet.services.image import events
from cumulet.services.image.logic import access, cached, encryption, limits, locations, protection, staging
from cumulet.services.image.logic.access import SERVICE
from cumulet.services.image.store import images, search
from cumulet.services.image.store.search import Search
from cumulet.services.image.types import Image, ImageStatus, Record, Visibility


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """An image as it is asked for; the fields are those of Image."""

    id: str = ""
    name: str | None = None
    owner: str | None = None
    visibility: str = Visibility.SHARED
    disk_format: str | None = None
    container_format: str | None = None
    min_disk: int = 0
    min_ram: int = 0
    protected: bool = False
    os_hidden: bool = False
    properties: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()


def check_create(cloud: Cloud, ctx: Context, owner: str | None, visibility: str) -> None:
    """Forbidden unless the caller may make an image of this owner and visibility."""
    target = {"project_id": owner, "owner": owner, "visibility": visibility}
    if not cloud.allows(SERVICE, "add_image", ctx, target):
        if owner != ctx.project_id:
            raise Forbidden(f"You are not permitted to create images owned by '{owner}'", code=access.DENIED)
        raise access.refused("add_image")
    check_visibility(cloud, ctx, visibility, target)


def check_visibility(cloud: Cloud, ctx: Context, visibility: str, target: Mapping[str, Any]) -> None:
    """Forbidden unless the caller may let an image be seen so widely."""
    rules = {Visibility.PUBLIC.value: "publicize_image", Visibility.COMMUNITY.value: "communitize_image"}
    rule = rules.get(visibility)
    if rule is not None and not cloud.allows(SERVICE, rule, ctx, target):
        raise access.refused(rule)


def create(cloud: Cloud, tx: Tx, wish: Wish, request_id: str = "") -> Record:
    """Store a queued image; Conflict where its id is taken, TooLarge or Invalid for words beyond the limits."""
    limits.check_properties(cloud.settings.image_use, wish.properties)
    limits.check_tags(cloud.settings.image_use, wish.tags)
    for name in ("min_disk", "min_ram"):
        limits.check_number(name, getattr(wish, name))
    image_id = wish.id or ids.new_uuid()
    if images.find(tx, image_id) is not None:
        raise Conflict(f"Image ID {image_id} already exists!")
    now = clock.utcnow()
    new = Image(
        id=image_id,
        name=wish.name,
        owner=wish.owner,
        status=ImageStatus.QUEUED,
        visibility=Visibility(wish.visibility),
        disk_format=wish.disk_format,
        container_format=wish.container_format,
        min_disk=wish.min_disk,
        min_ram=wish.min_ram,
        protected=wish.protected,
        os_hidden=wish.os_hidden,
        size=None,
        virtual_size=None,
        checksum=None,
        os_hash_algo=None,
        os_hash_value=None,
        created_at=now,
        updated_at=now,
    )
    images.add(tx, new)
    images.set_properties(tx, image_id, wish.properties)
    images.set_tags(tx, image_id, wish.tags)
    made = access.record(tx, new)
    cloud.outbox.publish(tx, events.CREATE, events.image(made), request_id)
    return made


def get(source: Source, ctx: Context, image_id: str) -> Record:
    """An image that the caller may see, with its words and tags."""
    return access.record(source, access.get(source, ctx, image_id))


def find_all(cloud: Cloud, ctx: Context, wanted: Search) -> tuple[list[Record], bool]:
    """One page of what the caller may see, and whether there may be another."""
    if not all(protection.allows(cloud, ctx, "read", name) for name in wanted.properties):
        return [], False  # what the caller may not read is on no image
    found = search.find(cloud.db, wanted) if wanted.limit else []
    shown = access.allowed_only(cloud, cloud.db, ctx, found)
    return access.records(cloud.db, shown), bool(shown) and len(found) == wanted.limit


def marker(source: Source, ctx: Context, image_id: str) -> Image:
    """The image after which a page begins; Invalid where the caller sees none of that id."""
    found = images.find(source, image_id)
    if found is None or access.get(source, ctx, image_id) is None:
        raise Invalid(access.not_found(image_id).message)
    return found


def delete(cloud: Cloud, ctx: Context, image_id: str) -> None:
    """Remove an image and its data; Forbidden while it is protected."""

    def write(tx: Tx) -> None:
        found = access.get(tx, ctx, image_id)
        if found.protected:
            raise Forbidden(f"Image {image_id} is protected and cannot be deleted.")
        encryption.delete_keys(cloud, tx, ctx, images.properties(tx, [image_id]).get(image_id, {}))
        remove(cloud, tx, found, ctx.request_id)

    cloud.db.write(write)


def remove(cloud: Cloud, tx: Tx, image: Image, request_id: str = "") -> None:
    """Remove an image, protected or not; its bytes go after the commit (or, after a crash, by `logic.abandoned`)."""
    gone = access.record(tx, image)
    images.remove(tx, image.id)
    cloud.sagas.cancel(tx, image.id)
    cloud.outbox.publish(tx, events.DELETE, events.image(gone, deleted=True), request_id)
    locations.drop(cloud, tx, gone.locations)
    tx.after_commit(lambda: staging.discard(cloud, image.id))
    tx.after_commit(lambda: cached.discard(cloud, image.id))
