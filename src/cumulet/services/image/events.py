# SPDX-License-Identifier: Apache-2.0
"""What the image service tells others: Glance's notifications by name and payload."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.clock import iso_z
from cumulet.services.image.types import (
    Association,
    Member,
    MetadefObject,
    MetadefProperty,
    MetadefTag,
    Namespace,
    Record,
    Task,
)

CREATE = "image.create"
UPDATE = "image.update"
DELETE = "image.delete"
UPLOAD = "image.upload"
ACTIVATE = "image.activate"
MEMBER_CREATE = "image.member.create"
MEMBER_UPDATE = "image.member.update"
MEMBER_DELETE = "image.member.delete"
TASK_CREATE = "task.create"
TASK_PROCESSING = "task.processing"
TASK_SUCCESS = "task.success"
TASK_FAILURE = "task.failure"

NAMESPACE = "metadef_namespace"
OBJECT = "metadef_object"
PROPERTY = "metadef_property"
RESOURCE_TYPE = "metadef_resource_type"
TAG = "metadef_tag"

# What notifications tell of a property's schema.
_OF_SCHEMA = (
    *("type", "title", "description", "default", "minimum", "maximum", "enum", "pattern", "minLength", "maxLength"),
    *("confidential", "items", "uniqueItems", "minItems", "maxItems", "additionalItems"),
)
_SAME = (
    *("id", "name", "status", "owner", "visibility", "disk_format", "container_format", "min_disk", "min_ram"),
    *("protected", "os_hidden", "size", "virtual_size", "checksum", "os_hash_algo", "os_hash_value"),
)


def image(record: Record, *, deleted: bool = False) -> dict[str, Any]:
    """The payload of every event of an image."""
    found = record.image
    return {
        **{name: getattr(found, name) for name in _SAME},
        "is_public": found.visibility == "public",
        "created_at": iso_z(found.created_at),
        "updated_at": iso_z(found.updated_at),
        "deleted": deleted,
        "deleted_at": iso_z(clock.utcnow()) if deleted else None,
        "properties": record.properties,
        "tags": record.tags,
    }


def task(found: Task) -> dict[str, Any]:
    """The payload of every event of a task; neither its input nor who began it are told."""
    return {
        "id": found.id,
        "type": found.type,
        "status": found.status,
        "result": found.result,
        "owner": found.owner,
        "message": found.message,
        "expires_at": None if found.expires_at is None else iso_z(found.expires_at),
        "created_at": iso_z(found.created_at),
        "updated_at": iso_z(found.updated_at),
        "deleted": False,
        "deleted_at": None,
    }


def member(found: Member, *, deleted: bool = False) -> dict[str, Any]:
    """The payload of every event of a member."""
    return {
        "image_id": found.image_id,
        "member_id": found.member_id,
        "status": found.status,
        "created_at": iso_z(found.created_at),
        "updated_at": iso_z(found.updated_at),
        "deleted": deleted,
        "deleted_at": iso_z(clock.utcnow()) if deleted else None,
    }


def namespace(found: Namespace, *, old: str | None = None, deleted: bool = False) -> dict[str, Any]:
    """The payload of every event of a namespace of definitions; `old` is the name that it had before."""
    same = ("namespace", "display_name", "protected", "visibility", "owner", "description")
    return {
        **{name: getattr(found, name) for name in same},
        "namespace_old": old or found.namespace,
        **_times(found),
        **_end(deleted=deleted),
    }


def metadef_object(
    within: str, found: MetadefObject, *, old: str | None = None, deleted: bool = False
) -> dict[str, Any]:
    """The payload of every event of an object in the namespace `within`."""
    properties = [
        {"name": name, **{key: schema.get(key) or None for key in _OF_SCHEMA}}
        for name, schema in found.properties.items()
    ]
    return {
        **_named(within, found.name, old),
        "properties": properties,
        "required": found.required,
        "description": found.description,
        **_times(found),
        **_end(deleted=deleted),
    }


def metadef_property(
    within: str, found: MetadefProperty, *, old: str | None = None, deleted: bool = False
) -> dict[str, Any]:
    """The payload of every event of a property of the namespace `within`."""
    schema = {key: found.schema.get(key) for key in _OF_SCHEMA}
    return {**_named(within, found.name, old), **schema, **_end(deleted=deleted)}


def metadef_tag(within: str, found: MetadefTag, *, old: str | None = None, deleted: bool = False) -> dict[str, Any]:
    """The payload of every event of a tag of the namespace `within`."""
    return {**_named(within, found.name, old), **_times(found), **_end(deleted=deleted)}


def association(within: str, found: Association, *, deleted: bool = False) -> dict[str, Any]:
    """The payload of every event of an association of the namespace `within`."""
    return {
        **_named(within, found.name, None),
        "prefix": found.prefix,
        "properties_target": found.properties_target,
        **_times(found),
        **_end(deleted=deleted),
    }


def _named(within: str, name: str, old: str | None) -> dict[str, Any]:
    return {"namespace": within, "name": name, "name_old": old or name}


def _times(found: Namespace | MetadefObject | MetadefTag | Association) -> dict[str, Any]:
    return {"created_at": iso_z(found.created_at), "updated_at": iso_z(found.updated_at)}


def _end(*, deleted: bool) -> dict[str, Any]:
    return {"deleted": deleted, "deleted_at": iso_z(clock.utcnow()) if deleted else None}
