# SPDX-License-Identifier: Apache-2.0
"""Records of backups: what another cloud with the same store has to know to have them too, as Cinder writes it."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

import orjson

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotReady
from cumulet.services.block_storage.logic import backup_services, backup_stores, backups, encryption, keys, quotas
from cumulet.services.block_storage.logic.refusals import invalid_backup, invalid_input
from cumulet.services.block_storage.store import backups as store
from cumulet.services.block_storage.types.backups import BACKUP_ACTIONS, Backup, BackupStatus

NO_VOLUME = "00000000-0000-0000-0000-000000000000"
_NEEDED = ("display_name", "display_description", "container", "size", "service_metadata", "object_count", "id")
_MOST = 1 << 20  # characters of a record
_LONGEST = 255


def export(cloud: Cloud, source: Source, ctx: Context, backup_id: str) -> dict[str, str]:
    """The record of a whole backup: `backup_service`, `backup_url`."""
    one = backups.get(source, ctx, backup_id)
    if one.status not in BACKUP_ACTIONS["export"]:
        raise invalid_backup(f"Backup status must be available and not {one.status}.")
    backup_services.check(cloud, source, one.availability_zone)
    service = backup_stores.service(cloud)
    if one.service != service:
        raise invalid_backup(
            f"Export record aborted, the backup service currently configured [{service}] is not the "
            f"backup service that was used to create this backup [{one.service}]."
        )
    words = {
        "driver_info": {},
        **{name: getattr(one, name) for name in Backup.__struct_fields__ if name not in ("name", "description")},
        "display_name": one.name,
        "display_description": one.description,
        "num_dependent_backups": store.children(source, [one.id]).get(one.id, 0),
        "temp_volume_id": None,
        "temp_snapshot_id": None,
    }
    return {"backup_service": one.service, "backup_url": base64.b64encode(orjson.dumps(words)).decode()}


def add(cloud: Cloud, tx: Tx, ctx: Context, service: str, url: str, ready: keys.Ready) -> Backup:
    """Write the row of the backup that a record tells of, and begin to look for it in the store.

    Of a key that the record names a copy is taken, which is KeyNeeded where it is not `ready`: who imports must be
    allowed to read it.
    """
    if not [one for one, disabled, _ in backup_services.find_all(tx) if not disabled and _is_up(cloud, one.host)]:
        raise NotReady(f"Service {service} could not be found.", code="ServiceNotFound")
    said = _decode(url)
    backup_id, size = _id(said), _size(said)
    tx.lock(f"backup:{backup_id}")
    if store.find(tx, backup_id) is not None:
        raise invalid_backup("Backup already exists in database.")
    quotas.check_backup(tx, ctx.project_id or "", size)
    key_id = _uuid(said, "encryption_key_id")
    need = None if key_id is None else encryption.Need(same_as=key_id, foreign=True)
    missing = [name for name in _NEEDED if name not in said]
    now = clock.utcnow()
    one = Backup(
        id=backup_id,
        project_id=ctx.project_id or "",
        user_id=ctx.user_id,
        name=_text(said, "display_name"),
        description=_text(said, "display_description"),
        volume_id=_uuid(said, "volume_id") or NO_VOLUME,
        snapshot_id=_uuid(said, "snapshot_id"),
        parent_id=_uuid(said, "parent_id"),
        status=BackupStatus.CREATING,
        fail_reason=None,
        size=size,
        object_count=0,
        container=_text(said, "container"),
        availability_zone=None,
        host=_text(said, "host") or "",
        service=backup_stores.service(cloud),
        service_metadata=_text(said, "service_metadata"),
        encryption_key_id=keys.store(cloud, tx, need, ready),
        restore_volume_id=None,
        metadata=_metadata(said),
        data_timestamp=_moment(said, "data_timestamp") or now,
        created_at=now,
        updated_at=None,
    )
    store.add(tx, one)
    reason = ""
    if not backup_stores.service(cloud).startswith(service):
        reason = f"Import record failed, cannot find backup service to perform the import. Request service {service}."
    elif missing:
        reason = (
            f"Driver successfully decoded imported backup data, but there are missing fields ({', '.join(missing)})."
        )
    args = {"reason": reason}
    cloud.sagas.start(tx, "block_storage.import_backup", backup_id, args, ctx.request_id)
    return one


def _is_up(cloud: Cloud, host: str) -> bool:
    return cloud.hosts.is_connected(host)


def _decode(url: str) -> dict[str, Any]:
    try:
        text = base64.b64decode("".join(url.split()), validate=False)
    except (binascii.Error, ValueError) as error:
        raise invalid_input("Can't decode backup record.") from error
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise invalid_input("Can't parse backup record.") from error
    if not isinstance(said, dict) or len(url) > _MOST:
        raise invalid_input("Can't parse backup record.")
    return said


def _id(said: dict[str, Any]) -> str:
    if "id" not in said:
        raise invalid_input("Provided backup record is missing an id")
    found = said["id"]
    if not isinstance(found, str) or not ids.is_uuid(found):
        raise invalid_input("Provided backup record has no valid id")
    return found


def _size(said: dict[str, Any]) -> int:
    if "size" not in said:
        raise invalid_input("Provided backup record is missing size attribute")
    size = said["size"]
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size < 1 << 31:
        raise invalid_input("Provided backup record has no valid size attribute")
    return size


def _text(said: dict[str, Any], name: str) -> str | None:
    value = said.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > _LONGEST or "\0" in value):
        raise invalid_input(f"Provided backup record has no valid {name}")
    return value


def _uuid(said: dict[str, Any], name: str) -> str | None:
    value = _text(said, name)
    if value is not None and not ids.is_uuid(value):
        raise invalid_input(f"Provided backup record has no valid {name}")
    return value


def _metadata(said: dict[str, Any]) -> dict[str, str]:
    value = said.get("metadata") or {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise invalid_input("Provided backup record has no valid metadata")
    return {str(key): each for key, each in value.items()}


def _moment(said: dict[str, Any], name: str) -> datetime | None:
    text = _text(said, name)
    try:
        moment = None if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid_input(f"Provided backup record has no valid {name}") from error
    if moment is None or moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError as error:
        raise invalid_input(f"Provided backup record has no valid {name}") from error
