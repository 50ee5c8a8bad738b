# SPDX-License-Identifier: Apache-2.0
"""What is asked for a volume: its type's words, its own, and what its flow was started with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.services.block_storage.logic import volume_types
from cumulet.services.block_storage.logic.scheduler.asked import Asked
from cumulet.services.block_storage.logic.zones import of_type
from cumulet.services.block_storage.store import qos_specs
from cumulet.services.block_storage.types import Volume, pool_name


def for_volume(cloud: Cloud, volume: Volume, args: Mapping[str, Any] | None = None, tried: Sequence[str] = ()) -> Asked:
    """A place for a volume that has none; `args` are those of `block_storage.create`."""
    given: Mapping[str, Any] = args or {}
    extra_specs, qos = _of_type(cloud, volume.volume_type_id)
    host, backend = given.get("host", ""), given.get("backend", "")
    return Asked(
        size=volume.size,
        settings=cloud.settings.block_storage,
        project_id=volume.project_id,
        zones=given.get("zones") or ([volume.availability_zone] if volume.availability_zone else []),
        extra_specs=_needed(volume.encryption_key_id, extra_specs),
        qos=qos,
        words=words(volume),
        hints=given.get("hints") or {},
        tried=tried,
        only=pool_name(host, backend) if backend else "",
        host=host,
    )


def for_move(cloud: Cloud, volume: Volume, args: Mapping[str, Any]) -> Asked:
    """A place that a volume moves to: the `host` and `backend` of `args`, or one for its new type, in its zones.

    `key_id` is the key that it is to have, where that is another one.
    """
    type_id, host, backend = args.get("type_id", volume.volume_type_id), args.get("host", ""), args.get("backend", "")
    extra_specs, qos = _of_type(cloud, type_id)
    return Asked(
        size=volume.size,
        settings=cloud.settings.block_storage,
        project_id=volume.project_id,
        zones=[] if host else of_type(extra_specs) or [volume.availability_zone],
        extra_specs=_needed(args.get("key_id", volume.encryption_key_id), extra_specs),
        qos=qos,
        words=words(volume),
        only=pool_name(host, backend) if backend else "",
        host=host,
    )


def for_growth(cloud: Cloud, volume: Volume, size: int, attached: bool) -> Asked:
    """So much more of its own back end as makes the volume `size` GiB large."""
    extra_specs, qos = _of_type(cloud, volume.volume_type_id)
    return Asked(
        size=size - volume.size,
        settings=cloud.settings.block_storage,
        project_id=volume.project_id,
        zones=[volume.availability_zone],
        extra_specs=extra_specs,
        qos=qos,
        words=words(volume),
        attached=attached,
        only=volume.pool,
        host=volume.host,
    )


def for_type(cloud: Cloud, type_id: str, zones: Sequence[str]) -> Asked:
    """A place for volumes of a type that are to be made later."""
    extra_specs, qos = _of_type(cloud, type_id)
    return Asked(
        size=0,
        settings=cloud.settings.block_storage,
        zones=zones,
        extra_specs=extra_specs,
        qos=qos,
        words={"size": 0, "volume_type_id": type_id},
    )


def words(volume: Volume) -> dict[str, Any]:
    """What functions of back ends may know of a volume."""
    return {
        "size": volume.size,
        "status": volume.status,
        "display_name": volume.name or "",
        "display_description": volume.description or "",
        "project_id": volume.project_id,
        "user_id": volume.user_id,
        "volume_type_id": volume.volume_type_id,
        "availability_zone": volume.availability_zone,
        "multiattach": volume.multiattach,
    }


def _needed(key_id: str | None, extra_specs: dict[str, str]) -> dict[str, str]:
    """With what an encrypted volume needs: hosts of the release before would make it a plain one."""
    return {**extra_specs, "capabilities:encryption": "<is> True"} if key_id else extra_specs


def _of_type(cloud: Cloud, type_id: str) -> tuple[dict[str, str], dict[str, Any]]:
    """The extra specs and the QoS specs of a type; nothing where there is no such type any more."""
    kind = volume_types.find_any(cloud.db, type_id)
    if kind is None:
        return {}, {}
    specs = qos_specs.find(cloud.db, kind.qos_specs_id) if kind.qos_specs_id is not None else None
    return kind.extra_specs, {} if specs is None else dict(specs.specs)
