# SPDX-License-Identifier: Apache-2.0
"""Changing an image: a list of changes, applied all or none."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Forbidden
from cumulet.services.image import events
from cumulet.services.image.logic import access, data, limits, location_changes, locations, protection
from cumulet.services.image.logic.images import check_visibility
from cumulet.services.image.logic.location_changes import Drawn, Place, Places
from cumulet.services.image.store import images
from cumulet.services.image.types import Image, ImageStatus, Record

FIELDS = frozenset(
    {"name", "owner", "visibility", "disk_format", "container_format", "min_disk", "min_ram", "protected", "os_hidden"}
)
TAGS = "tags"
LOCATIONS = "locations"
_FORMATS = ("disk_format", "container_format")

PROPERTY_CONFLICT = "PropertyConflict"  # a change that does not fit what properties there are


class Change(msgspec.Struct, frozen=True):
    """One change of the field or word `name`, in a list of locations at `position`.

    `new_only`: adding what is there already is a conflict.
    """

    operation: Literal["add", "replace", "remove"]
    name: str
    value: Any = None
    new_only: bool = False
    position: str = ""


class _Draft:
    """An image on its way from one state to another."""

    def __init__(self, cloud: Cloud, before: Record, places: Places) -> None:
        self.before = before
        self.places = Drawn(cloud, before.image, before.locations, places)
        self.fields: dict[str, Any] = {}
        self.properties = dict(before.properties)
        self.tags = list(before.tags)

    def has(self, name: str) -> bool:
        return name in FIELDS or name == TAGS or name in self.properties

    def put(self, name: str, value: Any) -> None:
        if name == TAGS:
            self.tags = sorted(set(value))
        elif name in FIELDS:
            self._put_field(name, value)
        else:
            self.properties[name] = value

    def drop(self, name: str) -> None:
        if name in FIELDS or name == TAGS:
            raise Forbidden(f"Property {name} may not be removed.")
        if name not in self.properties:
            raise Conflict(f"Property {name} does not exist.", code=PROPERTY_CONFLICT)
        del self.properties[name]

    def _put_field(self, name: str, value: Any) -> None:
        if name in _FORMATS and self.before.image.status != ImageStatus.QUEUED:
            raise Forbidden(f"Attribute {name} can be only replaced for a queued image.")
        if name in ("min_disk", "min_ram"):
            limits.check_number(name, value)
        self.fields[name] = value


def update(cloud: Cloud, ctx: Context, image_id: str, changes: list[Change]) -> Record:
    """Apply the changes; the image as it is then.

    Forbidden for what the caller may not change, Conflict for a word that is there already or is not there.
    """

    places = _look(cloud, ctx, image_id, changes) if any(each.name == LOCATIONS for each in changes) else {}

    def write(tx: Tx) -> Record:
        before = access.record(tx, access.get(tx, ctx, image_id))
        if not changes:
            return before
        draft = _Draft(cloud, before, places)
        for change in changes:
            _check_allowed(cloud, tx, ctx, before.image, change)
            _check_protected(cloud, ctx, draft, change)
            _apply(draft, change)
        return _save(cloud, tx, ctx, draft)

    return cloud.db.write(write)


def set_tag(cloud: Cloud, ctx: Context, image_id: str, value: str) -> None:
    """Put a tag on an image; nothing happens where it has it."""

    def write(tx: Tx) -> None:
        draft = _Draft(cloud, access.record(tx, access.get(tx, ctx, image_id)), {})
        draft.put(TAGS, [*draft.tags, value])
        _save(cloud, tx, ctx, draft)

    cloud.db.write(write)


def remove_tag(cloud: Cloud, ctx: Context, image_id: str, value: str) -> bool:
    """Take a tag off an image; whether it had it."""

    def write(tx: Tx) -> bool:
        draft = _Draft(cloud, access.record(tx, access.get(tx, ctx, image_id)), {})
        if value not in draft.tags:
            return False
        draft.put(TAGS, [tag for tag in draft.tags if tag != value])
        _save(cloud, tx, ctx, draft)
        return True

    return cloud.db.write(write)


def _look(cloud: Cloud, ctx: Context, image_id: str, changes: list[Change]) -> Places:
    """What is at the addresses that are to be the image's, looked at for those who may say so."""
    image = access.get(cloud.db, ctx, image_id)
    for change in changes:
        _check_allowed(cloud, cloud.db, ctx, image, change)
    drawn = Drawn(cloud, image, locations.of_image(cloud.db, image), {})
    known = {locations.url(cloud, each) for each in drawn.before}
    found: dict[str, Place] = {}
    for change in changes:
        if change.name == LOCATIONS and change.operation != "remove":
            drawn.check_status(change.operation)
            said = change.value if change.operation == "replace" else [change.value]
            for url in [each["url"] for each in said if each["url"] not in known and each["url"] not in found]:
                found[url] = location_changes.look_at(cloud, image_id, url)
    return found


def _check_allowed(cloud: Cloud, source: Source, ctx: Context, image: Image, change: Change) -> None:
    if change.name == LOCATIONS:
        _check_locations(cloud, source, ctx, image, change)
        return
    if change.operation == "remove":
        return
    if change.name == "owner" and not ctx.is_admin:
        raise Forbidden("Owner can't be updated by non admin.")
    if change.name == "visibility":
        check_visibility(cloud, ctx, change.value, access.target(source, ctx, image))


def _check_locations(cloud: Cloud, source: Source, ctx: Context, image: Image, change: Change) -> None:
    if change.operation == "replace" and not change.value:
        raise Forbidden("Cannot set locations to empty list.", code=access.DENIED)
    rule = "delete_image_location" if change.operation == "remove" else "set_image_location"
    access.require(cloud, source, ctx, rule, image)
    if not cloud.settings.image.show_multiple_locations:
        verb = {"add": "add", "replace": "update", "remove": "remove"}[change.operation]
        raise Forbidden(f"It's not allowed to {verb} locations if locations are invisible.")


def _check_protected(cloud: Cloud, ctx: Context, draft: _Draft, change: Change) -> None:
    """Forbidden for a property that is not the caller's to change; one that it may not read is not there for it."""
    name, operation = change.name, change.operation
    if name in FIELDS or name in (TAGS, LOCATIONS):
        return
    if name in draft.properties and not protection.allows(cloud, ctx, "read", name):
        if operation != "add":
            raise Conflict(f"Property {name} does not exist.", code=PROPERTY_CONFLICT)
        del draft.properties[name]
    if name not in draft.properties:
        if operation == "add":
            protection.require(cloud, ctx, "create", [name])
    elif operation == "remove":
        protection.require(cloud, ctx, "delete", [name])
    elif not change.new_only or operation == "replace":
        protection.require(cloud, ctx, "update", [name])


def _apply(draft: _Draft, change: Change) -> None:
    if change.name == LOCATIONS:
        _apply_location(draft.places, change)
        return
    if change.operation == "remove":
        draft.drop(change.name)
        return
    if change.operation == "replace" and not draft.has(change.name):
        raise Conflict(f"Property {change.name} does not exist.", code=PROPERTY_CONFLICT)
    if change.operation == "add" and change.new_only and draft.has(change.name):
        raise Conflict(f"Property {change.name} already present.", code=PROPERTY_CONFLICT)
    draft.put(change.name, change.value)


def _apply_location(drawn: Drawn, change: Change) -> None:
    if change.operation == "add":
        drawn.add(change.position, change.value)
    elif change.operation == "replace":
        drawn.replace(change.value)
    else:
        drawn.remove(change.position)


def _save(cloud: Cloud, tx: Tx, ctx: Context, draft: _Draft) -> Record:
    image_id = draft.before.image.id
    if draft.properties.keys() - draft.before.properties.keys():
        limits.check_properties(cloud.settings.image_use, draft.properties)
    limits.check_tags(cloud.settings.image_use, draft.tags)
    if draft.places.fields.get("status") == ImageStatus.ACTIVE:
        _check_formats(draft)
    if draft.places.changed:
        if len(draft.places.after) > len(draft.before.locations):
            limits.check_locations(cloud.settings.image_use, len(draft.places.after))
        locations.replace(tx, image_id, draft.places.after)
        locations.drop(cloud, tx, draft.places.dropped)
    images.change(tx, image_id, {**draft.fields, **draft.places.fields, "updated_at": clock.utcnow()})
    gone = dict.fromkeys(draft.before.properties.keys() - draft.properties.keys())
    written = {name: value for name, value in draft.properties.items() if draft.before.properties.get(name) != value}
    images.set_properties(tx, image_id, {**gone, **written})
    if draft.tags != draft.before.tags:
        images.set_tags(tx, image_id, draft.tags)
    found = images.find(tx, image_id)
    assert found is not None
    after = access.record(tx, found)
    cloud.outbox.publish(tx, events.UPDATE, events.image(after), ctx.request_id)
    return after


def _check_formats(draft: _Draft) -> None:
    """Data need formats: those that the image has, or gets with the same changes."""
    data.check_formats(msgspec.structs.replace(draft.before.image, **draft.fields))
