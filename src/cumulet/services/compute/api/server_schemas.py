# SPDX-License-Identifier: Apache-2.0
"""The schemas of the servers' requests, with the microversions at which they change."""

from __future__ import annotations

from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.fields import Fields, many

_TEXT: Fields = {"type": "string", "maxLength": 255}
_LEGACY_DEVICE: Fields = {
    "virtual_name": _TEXT,
    "volume_id": fields.UUID,
    "snapshot_id": fields.UUID,
    "volume_size": fields.SIZE,
    "device_name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._/-]*$"},
    "delete_on_termination": fields.BOOLEAN,
    "no_device": {},
    "connection_info": {"type": "string", "maxLength": 16777215},
}
_DEVICE: Fields = {
    **_LEGACY_DEVICE,
    "source_type": {"type": "string", "enum": ["volume", "image", "snapshot", "blank"]},
    "uuid": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[a-zA-Z0-9._-]*$"},
    "image_id": fields.UUID,
    "destination_type": {"type": "string", "enum": ["local", "volume"]},
    "guest_format": _TEXT,
    "device_type": _TEXT,
    "disk_bus": _TEXT,
    "boot_index": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$"},
    # Forgotten from 2.33 to 2.41.
    "tag": {"versions": [{**fields.TAG, "since": (2, 32), "until": (2, 32)}, {**fields.TAG, "since": (2, 42)}]},
    "volume_type": {"type": ["string", "null"], "maxLength": 255, "since": (2, 67)},
}
_NETWORKS: Fields = {
    "versions": [
        {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "fixed_ip": fields.ADDRESS,
                    "port": {"type": ["string", "null"], "format": "uuid"},
                    "uuid": {"type": "string"},
                    "tag": {**fields.TAG, "since": (2, 32)},
                },
                "additionalProperties": False,
            },
            "until": (2, 36),
        },
        {
            "oneOf": [
                {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "fixed_ip": fields.ADDRESS,
                            "port": {"type": ["string", "null"], "format": "uuid"},
                            "uuid": fields.UUID,
                            "tag": {**fields.TAG, "since": (2, 42)},
                        },
                        "additionalProperties": False,
                    },
                },
                {"type": "string", "enum": ["none", "auto"]},
            ],
            "since": (2, 37),
        },
    ]
}
_HOSTNAME: Fields = {
    "versions": [
        {**fields.GUEST_NAME, "since": (2, 90), "until": (2, 93)},
        {**fields.HOST_NAME, "since": (2, 94)},
    ]
}
_HINTS: Fields = {
    "type": "object",
    "properties": {
        "group": {"oneOf": [{"type": "array", "items": fields.UUID}, fields.UUID]},
        "different_host": {"oneOf": [fields.UUID, {"type": "array", "items": fields.UUID}]},
        "same_host": {"type": ["string", "array"], "items": fields.UUID},
        "query": {"type": ["string", "object"]},
        "target_cell": fields.NAME,
        "different_cell": {"type": ["string", "array"], "items": {"type": "string"}},
        "build_near_host_ip": fields.ADDRESS,
        "cidr": {"type": "string", "pattern": "^/[0-9a-f.:]+$"},
    },
    "additionalProperties": True,
}
_PERSONALITY: Fields = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "contents": {"type": "string", "format": "base64"}},
        "additionalProperties": False,
    },
    "until": (2, 56),
}
_CERTIFICATES: Fields = {
    "type": ["array", "null"],
    "minItems": 1,
    "maxItems": 50,
    "uniqueItems": True,
    "items": {"type": "string", "minLength": 1},
    "since": (2, 63),
}


def _devices(properties: Fields) -> Fields:
    return {"type": "array", "items": {"type": "object", "properties": properties, "additionalProperties": False}}


_SERVER: Fields = {
    "name": fields.NAME,
    "imageRef": {"oneOf": [fields.UUID, {"type": "string", "maxLength": 0}]},
    "flavorRef": {"type": ["string", "integer"], "minLength": 1},
    "adminPass": {"type": "string"},
    "metadata": fields.METADATA,
    "networks": _NETWORKS,
    "OS-DCF:diskConfig": fields.DISK_CONFIG,
    "accessIPv4": {"type": "string", "format": "ipv4"},
    "accessIPv6": {"type": "string", "format": "ipv6"},
    "personality": _PERSONALITY,
    "availability_zone": fields.NAME,
    "block_device_mapping": _devices(_LEGACY_DEVICE),
    "block_device_mapping_v2": _devices(_DEVICE),
    "config_drive": fields.BOOLEAN,
    "key_name": fields.NAME,
    "min_count": fields.POSITIVE,
    "max_count": fields.POSITIVE,
    "return_reservation_id": fields.BOOLEAN,
    "security_groups": {
        "type": "array",
        "items": {"type": "object", "properties": {"name": fields.NAME}, "additionalProperties": False},
    },
    "user_data": {"type": "string", "format": "base64", "maxLength": 65535},
    "description": {**fields.DESCRIPTION, "since": (2, 19)},
    "tags": {"type": "array", "items": fields.TAG, "maxItems": 50, "since": (2, 52)},
    "trusted_image_certificates": _CERTIFICATES,
    "host": {**fields.HOST_NAME, "since": (2, 74)},
    "hypervisor_hostname": {**fields.HOST_NAME, "since": (2, 74)},
    "hostname": _HOSTNAME,
}
CREATE = Schema(
    {
        "type": "object",
        "properties": {
            "server": {
                "type": "object",
                "properties": _SERVER,
                "required": ["name", "flavorRef", {"value": "networks", "since": (2, 37)}],
                "additionalProperties": False,
            },
            "os:scheduler_hints": _HINTS,
            "OS-SCH-HNT:scheduler_hints": _HINTS,
        },
        "required": ["server"],
        "additionalProperties": False,
    }
)
REBUILD: Fields = {
    "type": "object",
    "properties": {
        "name": fields.NAME,
        "imageRef": fields.UUID,
        "adminPass": {"type": "string"},
        "metadata": fields.METADATA,
        "preserve_ephemeral": fields.BOOLEAN,
        "OS-DCF:diskConfig": fields.DISK_CONFIG,
        "accessIPv4": {"type": "string", "format": "ipv4"},
        "accessIPv6": {"type": "string", "format": "ipv6"},
        "personality": _PERSONALITY,
        "description": {**fields.DESCRIPTION, "since": (2, 19)},
        "key_name": {
            "oneOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "null"}],
            "since": (2, 54),
        },
        "user_data": {"type": ["string", "null"], "format": "base64", "maxLength": 65535, "since": (2, 57)},
        "trusted_image_certificates": _CERTIFICATES,
        "hostname": _HOSTNAME,
    },
    "required": ["imageRef"],
    "additionalProperties": False,
}
UPDATE = fields.body(
    "server",
    {
        "name": fields.NAME,
        "OS-DCF:diskConfig": fields.DISK_CONFIG,
        "accessIPv4": {"type": "string", "format": "ipv4"},
        "accessIPv6": {"type": "string", "format": "ipv6"},
        "description": {**fields.DESCRIPTION, "since": (2, 19)},
        "hostname": _HOSTNAME,
        "pinned_availability_zone": {
            "oneOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {"type": "null"}],
            "since": (2, 104),
        },
    },
)

SORTABLE = (
    "access_ip_v4", "access_ip_v6", "auto_disk_config", "availability_zone", "config_drive", "created_at",
    "display_description", "display_name", "host", "hostname", "image_ref", "instance_type_id", "kernel_id", "key_name",
    "launch_index", "launched_at", "locked_by", "node", "power_state", "progress", "project_id", "ramdisk_id",
    "root_device_name", "task_state", "terminated_at", "updated_at", "user_id", "uuid", "vm_state",
)  # fmt: skip
# Taken until 2.74, and passed over.
_IGNORED = (
    "architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted", "deleted_at",
    "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on", "memory_mb", "os_type",
    "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode",
)  # fmt: skip
_ONE: Fields = many({"type": "string"})
_PATTERN: Fields = many({"type": "string", "format": "regex"})
_MOMENT: Fields = many({"type": "string", "format": "date-time"})
_SORT_KEY: Fields = many(
    {
        "type": "string",
        "enum": [*SORTABLE, "locked", *({"value": name, "until": (2, 74)} for name in _IGNORED)],
    }
)
_PLAIN = (
    "user_id", "project_id", "tenant_id", "launch_index", "image_ref", "image", "vm_state", "task_state", "host",
    "uuid", "sort_dir", "all_tenants", "soft_deleted", "deleted", "status", "block_device_mapping", "services",
    "metadata", "system_metadata", "info_cache", "security_groups", "pci_devices",
)  # fmt: skip
_PATTERNS = (
    "kernel_id", "ramdisk_id", "hostname", "key_name", "power_state", "node", "flavor", "reservation_id", "launched_at",
    "terminated_at", "availability_zone", "name", "display_name", "description", "display_description", "locked_by",
    "root_device_name", "config_drive", "access_ip_v4", "access_ip_v6", "auto_disk_config", "progress", "ip", "ip6",
    "created_at",
)  # fmt: skip
LIST = fields.query(
    {
        **dict.fromkeys(_PLAIN, _ONE),
        **dict.fromkeys(_PATTERNS, _PATTERN),
        **{name: {**_PATTERN, "since": (2, 26)} for name in ("tags", "tags-any", "not-tags", "not-tags-any")},
        "changes-since": _MOMENT,
        "changes-before": {**_MOMENT, "since": (2, 66)},
        "locked": {**_ONE, "since": (2, 73)},
        "sort_key": _SORT_KEY,
        **fields.PAGES,
    },
    closed_since=(2, 75),
    patterns={"^_": many({})},
)
SHOW = fields.query({}, closed_since=(2, 102))
