# SPDX-License-Identifier: Apache-2.0
"""The disks of `POST /servers`: `block_device_mapping` and `block_device_mapping_v2`, from the body to requests."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.api.fields import as_boolean
from cumulet.services.compute.logic.mappings import ROOT, DeviceRequest, invalid, path


def asked(body: dict[str, Any]) -> list[DeviceRequest]:
    """The disks of a server's body in either syntax; Invalid in Nova's words for what cannot be meant."""
    legacy, modern = body.get("block_device_mapping", []), body.get("block_device_mapping_v2", [])
    if legacy and modern:
        raise Invalid("Using different block_device_mapping syntaxes is not allowed in the same request.")
    has_image = bool(body.get("imageRef"))
    return [_modern(each, has_image) for each in modern] or [_legacy(each) for each in legacy]


def _modern(entry: dict[str, Any], has_image: bool) -> DeviceRequest:
    if as_boolean(entry.get("no_device", False)):
        return _none(entry)
    source, source_id, kind = entry.get("source_type"), entry.get("uuid"), entry.get("volume_type")
    destination = entry.get("destination_type")
    index = _index(entry.get("boot_index"))
    if source == "blank" and source_id:
        raise invalid("Invalid device UUID.", "InvalidBDMFormat")
    if source != "blank" and not source_id:
        raise invalid("Missing device UUID.", "InvalidBDMFormat")
    if source is None:
        raise invalid("Following fields are invalid: None_id", "InvalidBDMFormat")
    if source == "image" and destination == "local" and not (has_image and index == ROOT):
        raise invalid("Mapping image to local is not supported.", "InvalidBDMFormat")
    if destination == "local" and kind:
        raise invalid("Specifying a volume_type with destination_type=local is not supported.", "InvalidBDMFormat")
    if source == "volume" and kind:
        raise invalid("Specifying volume type to existing volume is not supported.", "InvalidBDMFormat")
    if destination is None:
        destination = "local" if source == "blank" or (source == "image" and has_image and index == ROOT) else "volume"
    return DeviceRequest(
        source_type=source,
        destination_type=destination,
        source_id=source_id,
        boot_index=index,
        device_name=path(entry.get("device_name")),
        volume_size=_size(entry),
        volume_type=kind,
        delete_on_termination=as_boolean(entry.get("delete_on_termination", False)),
        guest_format=entry.get("guest_format"),
        disk_bus=entry.get("disk_bus"),
        device_type=entry.get("device_type"),
        tag=entry.get("tag"),
    )


def _legacy(entry: dict[str, Any]) -> DeviceRequest:
    """The first syntax, as EC2 had it: volumes, snapshots and the flavor's own disks."""
    virtual = entry.get("virtual_name") or ""
    if virtual == "swap" or (virtual.startswith("ephemeral") and virtual[9:].isdecimal()):
        source, destination = "blank", "local"
    elif entry.get("snapshot_id"):
        source, destination = "snapshot", "volume"
    elif entry.get("volume_id"):
        source, destination = "volume", "volume"
    elif as_boolean(entry.get("no_device", False)):
        return _none(entry)
    else:
        raise invalid("Unrecognized legacy format.", "InvalidBDMFormat")
    return DeviceRequest(
        source_type=source,
        destination_type=destination,
        source_id=None if source == "blank" else entry[f"{source}_id"],
        device_name=path(entry.get("device_name")),
        volume_size=_size(entry),
        delete_on_termination=source == "blank" or as_boolean(entry.get("delete_on_termination", False)),
        guest_format="swap" if virtual == "swap" else None,
    )


def _none(entry: dict[str, Any]) -> DeviceRequest:
    """What an image has under this name is not wanted."""
    name = path(entry.get("device_name"))
    return DeviceRequest(source_type="blank", destination_type="local", device_name=name, no_device=True)


def _index(value: int | str | None) -> int | None:
    """All negative ones mean the same."""
    return None if value is None else max(int(value), -1)


def _size(entry: dict[str, Any]) -> int | None:
    size = entry.get("volume_size")
    return None if size is None else int(size)
