# SPDX-License-Identifier: Apache-2.0
"""The tables of the compute service, columns named and ordered as the fields in `types`."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from cumulet.kernel.db.sql import Copied, Json

metadata = MetaData()

flavor = Table(
    "compute_flavor",
    metadata,
    Column("id", String(255), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("ram", Integer, nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("disk", Integer, nullable=False),
    Column("ephemeral", Integer, nullable=False),
    Column("swap", Integer, nullable=False),
    Column("rxtx_factor", Float, nullable=False),
    Column("is_public", Boolean, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("description", Text),
    Column("extra_specs", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    UniqueConstraint("name", name="compute_flavor_name"),
)

flavor_access = Table(
    "compute_flavor_access",
    metadata,
    Column("flavor_id", String(255), ForeignKey("compute_flavor.id", ondelete="CASCADE"), primary_key=True),
    Column("project_id", String(64), primary_key=True),
)

keypair = Table(
    "compute_keypair",
    metadata,
    Column("id", Integer, nullable=False),
    Column("user_id", String(64), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("type", String(255), nullable=False),
    Column("fingerprint", String(255), nullable=False),
    Column("public_key", Text, nullable=False),
    Column("created_at", DateTime, nullable=False),
    UniqueConstraint("id", name="compute_keypair_id"),
)

server = Table(
    "compute_server",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("hostname", String(255), nullable=False),
    Column("vm_state", String(255), nullable=False),
    Column("task_state", String(255)),
    Column("power_state", Integer, nullable=False),
    Column("host", String(255), nullable=False),
    Column("availability_zone", String(255)),
    Column("image_id", String(64), nullable=False),
    Column("image", Copied, nullable=False),
    Column("flavor", Copied, nullable=False),
    Column("keypair", Copied),
    Column("user_data", Text),
    Column("config_drive", Boolean, nullable=False),
    Column("metadata", Json, nullable=False),
    Column("auto_disk_config", Boolean, nullable=False),
    Column("access_ip_v4", String(255)),
    Column("access_ip_v6", String(255)),
    Column("locked_by", String(255)),
    Column("locked_reason", Text),
    Column("progress", Integer, nullable=False),
    Column("launch_index", Integer, nullable=False),
    Column("reservation_id", String(64), nullable=False),
    Column("root_device_name", String(255), nullable=False),
    Column("scheduler_hints", Json, nullable=False),
    Column("trusted_certs", Json),
    Column("group_id", String(64)),
    Column("fault", Json),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Column("launched_at", DateTime),
    Column("terminated_at", DateTime),
    Column("deleted_at", DateTime),
    Index("compute_server_project", "project_id", "deleted_at"),
    Index("compute_server_host", "host"),
    Index("compute_server_updated", "updated_at"),
    Index("compute_server_member", "group_id"),
)

server_tag = Table(
    "compute_server_tag",
    metadata,
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), primary_key=True),
    Column("tag", String(255), primary_key=True),
)

server_password = Table(
    "compute_server_password",
    metadata,
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), primary_key=True),
    Column("password", Text, nullable=False),
)

server_life = Table(
    "compute_server_life",
    metadata,
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), primary_key=True),
    Column("shelved_at", DateTime),
    Column("shelved_image_id", String(64)),
    Column("rescue", Json),
    Column("soft_deleted_at", DateTime),
)

backup = Table(
    "compute_backup",
    metadata,
    Column("image_id", String(64), primary_key=True),
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), nullable=False),
    Column("type", String(255), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Index("compute_backup_server", "server_id"),
)

device = Table(
    "compute_device",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), nullable=False),
    Column("source_type", String(255), nullable=False),
    Column("source_id", String(64)),
    Column("destination_type", String(255), nullable=False),
    Column("volume_id", String(64)),
    Column("attachment_id", String(64)),
    Column("boot_index", Integer),
    Column("device_name", String(255), nullable=False),
    Column("volume_size", Integer),
    Column("volume_type", String(255)),
    Column("delete_on_termination", Boolean, nullable=False),
    Column("guest_format", String(255)),
    Column("tag", String(255)),
    Column("attached", Boolean, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("disk_bus", String(255)),
    Column("device_type", String(255)),
    Index("compute_device_server", "server_id"),
    Index("compute_device_volume", "volume_id"),
)

migration = Table(
    "compute_migration",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("uuid", String(64), nullable=False),
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("type", String(255), nullable=False),
    Column("status", String(255), nullable=False),
    Column("source", String(255), nullable=False),
    Column("destination", String(255)),
    Column("old_flavor", Json, nullable=False),
    Column("new_flavor", Json, nullable=False),
    Column("old_state", String(255), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    UniqueConstraint("uuid", name="compute_migration_uuid"),
    Index("compute_migration_server", "server_id"),
    Index("compute_migration_status", "status"),
)

action = Table(
    "compute_action",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), nullable=False),
    Column("request_id", String(64), nullable=False),
    Column("action", String(255), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("message", Text),
    Column("start_time", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Index("compute_action_server", "server_id", "start_time"),
    UniqueConstraint("server_id", "request_id", name="compute_action_request"),
)

action_event = Table(
    "compute_action_event",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("action_id", String(64), ForeignKey("compute_action.id", ondelete="CASCADE"), nullable=False),
    Column("event", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("start_time", DateTime, nullable=False),
    Column("finish_time", DateTime),
    Column("result", String(255)),
    Column("details", Text),
    Index("compute_action_event_action", "action_id"),
)

host = Table(
    "compute_host",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("service_id", String(64), nullable=False),
    Column("capabilities", Json, nullable=False),
    Column("usage", Json, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("disabled_reason", Text),
    Column("forced_down", Boolean, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime, nullable=False),
    Column("failed_builds", Integer, nullable=False, server_default="0"),
    UniqueConstraint("id", name="compute_host_id"),
    UniqueConstraint("number", name="compute_host_number"),
)

quota_limit = Table(
    "compute_quota_limit",
    metadata,
    Column("scope", String(255), primary_key=True),
    Column("resource", String(255), primary_key=True),
    Column("hard_limit", Integer, nullable=False),
)

aggregate = Table(
    "compute_aggregate",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("uuid", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("metadata", Json, nullable=False),
    Column("hosts", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("updated_at", DateTime),
    UniqueConstraint("name", name="compute_aggregate_name"),
)

server_group = Table(
    "compute_server_group",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(255), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("policy", String(255), nullable=False),
    Column("rules", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Index("compute_server_group_project", "project_id"),
)

console_token = Table(
    "compute_console_token",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), nullable=False),
    Column("display", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("path", String(255), nullable=False),
    Column("address", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("uses", Integer, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("expires_at", DateTime, nullable=False),
    Index("compute_console_token_server", "server_id"),
    Index("compute_console_token_expiry", "expires_at"),
)

held_parts = Table(
    "compute_held_parts",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("server_id", String(64), ForeignKey("compute_server.id", ondelete="CASCADE"), nullable=False),
    Column("host", String(255), nullable=False),
    Column("parts", Json, nullable=False),
    Index("compute_held_parts_host", "host"),
    Index("compute_held_parts_server", "server_id"),
)
