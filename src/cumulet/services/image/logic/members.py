# SPDX-License-Identifier: Apache-2.0
"""Sharing an image with other projects."""

from __future__ import annotations

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.services.image import events
from cumulet.services.image.logic import access, limits
from cumulet.services.image.store import members
from cumulet.services.image.types import Image, Member, MemberStatus, Visibility

_NOT_SHARED = "Only shared images have members."


def find_all(cloud: Cloud, ctx: Context, image_id: str) -> list[Member]:
    """The members that the caller may see: all for the owner and an administrator, a member sees itself."""
    image = access.get(cloud.db, ctx, image_id)
    if image.visibility != Visibility.SHARED:
        raise Forbidden(f"Not allowed to list members for image {image_id}: {_NOT_SHARED}")
    return [each for each in members.find_all(cloud.db, image_id) if _sees(ctx, image, each.member_id)]


def get(cloud: Cloud, ctx: Context, image_id: str, member_id: str) -> Member:
    image = access.get(cloud.db, ctx, image_id)
    if image.visibility != Visibility.SHARED:
        raise NotFound(_NOT_SHARED)
    found = members.find(cloud.db, image_id, member_id)
    if found is None or not _sees(ctx, image, member_id):
        raise _no_member(image_id, member_id)
    return found


def add(cloud: Cloud, ctx: Context, image_id: str, member_id: str) -> Member:
    """Share with one more project; Conflict where that was done before, TooLarge beyond the limit."""

    def write(tx: Tx) -> Member:
        _shared(tx, ctx, image_id, "create")
        tx.lock(f"image:members:{image_id}")
        if members.find(tx, image_id, member_id) is not None:
            raise Conflict(f"Member {member_id} is duplicated for image {image_id}")
        limits.check_members(cloud.settings.image_use, image_id, members.count(tx, image_id) + 1)
        now = clock.utcnow()
        new = Member(image_id, member_id, MemberStatus.PENDING, now, now)
        members.add(tx, new)
        cloud.outbox.publish(tx, events.MEMBER_CREATE, events.member(new), ctx.request_id)
        return new

    return cloud.db.write(write)


def answer(cloud: Cloud, ctx: Context, image_id: str, member_id: str, status: str) -> Member:
    """Accept or reject what is shared: for the member itself, or an administrator."""

    def write(tx: Tx) -> Member:
        image = _shared(tx, ctx, image_id, "update")
        found = members.find(tx, image_id, member_id)
        if found is None or not _sees(ctx, image, member_id):
            raise _no_member(image_id, member_id)
        if not ctx.is_admin and member_id != ctx.project_id:
            raise Forbidden(f"Not allowed to update members for image {image_id}.")
        if status not in list(MemberStatus):
            raise Invalid('Incorrect request: Status must be "pending", "accepted" or "rejected".')
        members.set_status(tx, image_id, member_id, MemberStatus(status), clock.utcnow())
        after = members.find(tx, image_id, member_id)
        assert after is not None
        cloud.outbox.publish(tx, events.MEMBER_UPDATE, events.member(after), ctx.request_id)
        return after

    return cloud.db.write(write)


def remove(cloud: Cloud, ctx: Context, image_id: str, member_id: str) -> None:
    """Stop sharing with a project."""

    def write(tx: Tx) -> None:
        _shared(tx, ctx, image_id, "delete")
        found = members.find(tx, image_id, member_id)
        if found is None:
            raise _no_member(image_id, member_id)
        members.remove(tx, image_id, member_id)
        cloud.outbox.publish(tx, events.MEMBER_DELETE, events.member(found, deleted=True), ctx.request_id)

    cloud.db.write(write)


def _shared(tx: Tx, ctx: Context, image_id: str, verb: str) -> Image:
    image = access.get(tx, ctx, image_id)
    if image.visibility != Visibility.SHARED:
        raise Forbidden(f"Not allowed to {verb} members for image {image_id}.")
    return image


def _sees(ctx: Context, image: Image, member_id: str) -> bool:
    return ctx.is_admin or ctx.project_id in (image.owner, member_id)


def _no_member(image_id: str, member_id: str) -> NotFound:
    return NotFound(f"{member_id} not found in the member list of the image {image_id}.")
