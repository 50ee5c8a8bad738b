# SPDX-License-Identifier: Apache-2.0
"""Giving a volume to another project: an offer, and a key that is told once."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import keys, news, quotas, volume_types, volumes
from cumulet.services.block_storage.logic.encryption import Need
from cumulet.services.block_storage.logic.refusals import invalid_snapshot, invalid_volume
from cumulet.services.block_storage.store import admissions, snapshots
from cumulet.services.block_storage.store import transfers as store
from cumulet.services.block_storage.store import volumes as volume_store
from cumulet.services.block_storage.types import VOLUME_ACTIONS, Page, SnapshotStatus, Transfer, VolumeStatus

KEY_BYTES = 24


def get(source: Source, ctx: Context, transfer_id: str) -> Transfer:
    """An offer of the caller's project."""
    found = store.find_visible(source, ctx, transfer_id)
    if found is None:
        raise _not_found(transfer_id)
    return found


def find_page(
    source: Source, ctx: Context, page: Page, exact: Mapping[str, Any], *, everywhere: bool
) -> list[Transfer]:
    """A part of the list; NotFound where the marker is not there."""
    try:
        return store.find_page(source, ctx, page, exact, everywhere=everywhere)
    except LookupError as error:
        raise _not_found(str(error.args[0])) from error


def create(
    cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, name: str | None, *, no_snapshots: bool, encrypted: bool
) -> tuple[Transfer, str]:
    """Offer a volume; the offer and its key. `encrypted` says whether it may be one with a key of its own."""
    volume = volumes.get(tx, ctx, volume_id)
    if volume.status not in VOLUME_ACTIONS["transfer"]:
        raise invalid_volume("status must be available")
    if volume.encryption_key_id is not None and not encrypted:
        raise invalid_volume("transferring encrypted volume is not supported")
    if volume.encryption_key_id is not None and no_snapshots:
        raise invalid_volume("transferring an encrypted volume without its snapshots is not supported")
    for one in () if no_snapshots else snapshots.of_volume(tx, volume_id):
        if one.status != SnapshotStatus.AVAILABLE:
            raise invalid_snapshot(f"snapshot: {one.id} status must be available")
        if one.group_snapshot_id is not None:
            raise invalid_snapshot(f"snapshot: {one.id} must not be part of a group")
    key, salt = ids.new_secret(KEY_BYTES), ids.new_secret(KEY_BYTES)
    new = Transfer(
        ids.new_uuid(), volume_id, volume.project_id, name, salt, _hash(salt, key), no_snapshots, clock.utcnow()
    )
    news.volume(cloud, tx, events.TRANSFER_CREATE, events.START, volume_id, ctx.request_id)
    store.add(tx, new)
    volume_store.change(tx, volume_id, status=VolumeStatus.AWAITING_TRANSFER)
    news.volume(cloud, tx, events.TRANSFER_CREATE, events.END, volume_id, ctx.request_id)
    return new, key


def delete(cloud: Cloud, tx: Tx, ctx: Context, transfer_id: str) -> None:
    """Take the offer back."""
    found = get(tx, ctx, transfer_id)
    store.remove(tx, transfer_id)
    _settle(tx, found.volume_id)
    news.volume(cloud, tx, events.TRANSFER_DELETE, events.END, found.volume_id, ctx.request_id)


def accept(cloud: Cloud, tx: Tx, ctx: Context, transfer_id: str, key: str, ready: keys.Ready | None = None) -> Transfer:
    """Take the volume, with its snapshots unless they were kept back; counted against the taker's quota.

    An encrypted one has a key of the taker's own from then on: KeyNeeded is raised where that is not `ready`.
    """
    found = store.find(tx, transfer_id)
    if found is None:
        raise _not_found(transfer_id)
    if not hmac.compare_digest(_hash(found.salt, key), found.key_hash):
        raise Invalid(
            f"Invalid auth key: Attempt to transfer {transfer_id} with invalid auth key.", code="InvalidAuthKey"
        )
    volume, taker = volume_store.find(tx, found.volume_id), ctx.project_id or ""
    if volume is None:
        raise _not_found(transfer_id)
    if volume.group_id is not None:
        raise invalid_volume(f"Volume {volume.id} must not be part of a consistency group.")
    kind = volume_types.names(tx).get(volume.volume_type_id, "")
    quotas.check_volume(tx, taker, volume.size, kind)
    values = {"project_id": taker, "user_id": ctx.user_id}
    if volume.encryption_key_id is not None:
        values["encryption_key_id"] = str(keys.store(cloud, tx, Need(same_as=volume.encryption_key_id), ready))
        keys.delete(cloud, tx, volume.encryption_key_id)
    volume_store.change(tx, volume.id, **values)
    admissions.remove_all(tx, volume.id)
    for one in () if found.no_snapshots else snapshots.of_volume(tx, volume.id):
        quotas.check_snapshot(tx, taker, one.size, kind)
        snapshots.change(tx, one.id, **values)
    store.remove(tx, transfer_id)
    _settle(tx, volume.id)
    news.volume(cloud, tx, events.TRANSFER_ACCEPT, events.END, volume.id, ctx.request_id)
    return found


def _settle(tx: Tx, volume_id: str) -> None:
    volume = volume_store.find(tx, volume_id)
    if volume is not None and volume.status == VolumeStatus.AWAITING_TRANSFER:
        volume_store.change(tx, volume_id, status=VolumeStatus.AVAILABLE)


def _hash(salt: str, key: str) -> str:
    # The key has as much entropy as the hash, so a slow hash would add nothing.
    return hmac.new(salt.encode(), key.encode(), hashlib.sha256).hexdigest()


def _not_found(transfer_id: str) -> NotFound:
    return NotFound(f"Transfer {transfer_id} could not be found.", code="TransferNotFound")
