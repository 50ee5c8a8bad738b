# SPDX-License-Identifier: Apache-2.0
"""Who may see an image, and what policy rules are judged on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Forbidden, NotFound
from cumulet.services.image.logic import locations
from cumulet.services.image.store import images, members
from cumulet.services.image.types import Image, Record, Visibility

SERVICE = "image"
DENIED = "Denied"  # the code of refusals that name what is denied in their second sentence


def not_found(image_id: str) -> NotFound:
    return NotFound(f"No image found with ID {image_id}", code="ImageNotFound")


def get(source: Source, ctx: Context, image_id: str) -> Image:
    """An image that the caller may see by who it is; NotFound for any other."""
    found = images.find(source, image_id)
    if found is None or not _is_visible(source, ctx, found):
        raise not_found(image_id)
    return found


def get_allowed(cloud: Cloud, source: Source, ctx: Context, image_id: str) -> Image:
    """An image that the caller may see by who it is and by policy; NotFound for any other."""
    found = get(source, ctx, image_id)
    if not cloud.allows(SERVICE, "get_image", ctx, target(source, ctx, found)):
        raise not_found(image_id)
    return found


def require(cloud: Cloud, source: Source, ctx: Context, rule: str, image: Image) -> None:
    """Forbidden unless the caller passes `rule` on the image."""
    if not cloud.allows(SERVICE, rule, ctx, target(source, ctx, image)):
        raise refused(rule)


def refused(rule: str) -> Forbidden:
    return Forbidden(f"You are not authorized to complete {rule} action.", code="PolicyNotAuthorized", rule=rule)


def target(source: Source, ctx: Context, image: Image) -> dict[str, Any]:
    """What rules see of an image: its fields, and `member_id`, the caller's project where it is shared with that."""
    return _target(image, is_member=_is_member(source, ctx, image), ctx=ctx)


def allowed_only(cloud: Cloud, source: Source, ctx: Context, found: Iterable[Image]) -> list[Image]:
    """Those of the images that policy lets the caller see."""
    listed = list(found)
    mine: set[str] = set()
    if ctx.project_id is not None:
        shared = [image.id for image in listed if image.visibility == Visibility.SHARED]
        mine = members.images_of(source, shared, ctx.project_id)
    return [
        image
        for image in listed
        if cloud.allows(SERVICE, "get_image", ctx, _target(image, is_member=image.id in mine, ctx=ctx))
    ]


def records(source: Source, found: list[Image]) -> list[Record]:
    """The images with their words and tags."""
    ids = [image.id for image in found]
    words, tags, places = images.properties(source, ids), images.tags(source, ids), locations.of_images(source, found)
    return [Record(image, words.get(image.id, {}), tags.get(image.id, []), places[image.id]) for image in found]


def record(source: Source, image: Image) -> Record:
    return records(source, [image])[0]


def _is_visible(source: Source, ctx: Context, image: Image) -> bool:
    return (
        ctx.is_admin
        or image.owner is None
        or image.visibility in (Visibility.PUBLIC, Visibility.COMMUNITY)
        or image.owner == ctx.project_id
        or _is_member(source, ctx, image)
    )


def _is_member(source: Source, ctx: Context, image: Image) -> bool:
    if image.visibility != Visibility.SHARED or ctx.project_id is None:
        return False
    return members.find(source, image.id, ctx.project_id) is not None


def _target(image: Image, *, is_member: bool, ctx: Context) -> dict[str, Any]:
    return {
        **msgspec.structs.asdict(image),
        "image_id": image.id,
        "project_id": image.owner,
        "member_id": ctx.project_id if is_member else None,
    }
