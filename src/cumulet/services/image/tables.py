# SPDX-License-Identifier: Apache-2.0
"""The tables of the image service, columns named and ordered as the fields in `types`."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, DateTime, ForeignKey, Index, Integer, MetaData, String, Table, Text

from cumulet.kernel.db.sql import Json

metadata = MetaData()

image = Table(
    "image_image",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", String(255)),
    Column("owner", String(255)),
    Column("status", String(30), nullable=False),
    Column("visibility", String(16), nullable=False),
    Column("disk_format", String(20)),
    Column("container_format", String(20)),
    Column("min_disk", BigInteger, nullable=False),
    Column("min_ram", BigInteger, nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("os_hidden", Boolean, nullable=False),
    Column("size", BigInteger),
    Column("virtual_size", BigInteger),
    Column("checksum", String(32)),
    Column("os_hash_algo", String(64)),
    Column("os_hash_value", String(128)),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("image_image_owner", "owner"),
    Index("image_image_created", "created_at", "id"),
)

property_ = Table(
    "image_property",
    metadata,
    Column("image_id", String(36), ForeignKey("image_image.id", ondelete="CASCADE"), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("value", Text, nullable=False),
)

tag = Table(
    "image_tag",
    metadata,
    Column("image_id", String(36), ForeignKey("image_image.id", ondelete="CASCADE"), primary_key=True),
    Column("value", String(255), primary_key=True),
)

member = Table(
    "image_member",
    metadata,
    Column("image_id", String(36), ForeignKey("image_image.id", ondelete="CASCADE"), primary_key=True),
    Column("member_id", String(255), primary_key=True),
    Column("status", String(20), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("image_member_member", "member_id"),
)

task = Table(
    "image_task",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("type", String(30), nullable=False),
    Column("status", String(30), nullable=False),
    Column("owner", String(255)),
    Column("image_id", String(36), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("input", Json, nullable=False),
    Column("result", Json),
    Column("message", Text, nullable=False),
    Column("expires_at", DateTime),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("image_task_image", "image_id"),
)

metadef_namespace = Table(
    "image_metadef_namespace",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("namespace", String(80), nullable=False),
    Column("display_name", String(80)),
    Column("description", Text),
    Column("visibility", String(16), nullable=False),
    Column("protected", Boolean, nullable=False),
    Column("owner", String(255)),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("image_metadef_namespace_name", "namespace", unique=True),
)


def _of_namespace() -> Column[str]:
    """What a row of a namespace begins with; it goes with the namespace."""
    return Column(
        "namespace_id", String(36), ForeignKey("image_metadef_namespace.id", ondelete="CASCADE"), primary_key=True
    )


metadef_object = Table(
    "image_metadef_object",
    metadata,
    _of_namespace(),
    Column("name", String(80), primary_key=True),
    Column("description", Text),
    Column("required", Json, nullable=False),
    Column("properties", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
)

metadef_property = Table(
    "image_metadef_property",
    metadata,
    _of_namespace(),
    Column("name", String(80), primary_key=True),
    Column("schema", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
)

metadef_tag = Table(
    "image_metadef_tag",
    metadata,
    _of_namespace(),
    Column("name", String(80), primary_key=True),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
)

metadef_resource_type = Table(
    "image_metadef_resource_type",
    metadata,
    Column("name", String(80), primary_key=True),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
)

metadef_association = Table(
    "image_metadef_association",
    metadata,
    _of_namespace(),
    Column("name", String(80), ForeignKey("image_metadef_resource_type.name"), primary_key=True),
    Column("prefix", String(80)),
    Column("properties_target", String(80)),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("image_metadef_association_name", "name"),
)

location = Table(
    "image_location",
    metadata,
    Column("image_id", String(36), ForeignKey("image_image.id", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("store", String(64), nullable=False),
    Column("key", Text, nullable=False),
    Column("metadata", Json, nullable=False),
    Index("image_location_key", "key"),
)

cached = Table(
    "image_cached",
    metadata,
    Column("image_id", String(36), ForeignKey("image_image.id", ondelete="CASCADE"), primary_key=True),
    Column("node", String(64), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("hits", BigInteger, nullable=False),
    Column("accessed_at", DateTime, nullable=False),
    Column("changed_at", DateTime, nullable=False),
)
