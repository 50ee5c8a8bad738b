# SPDX-License-Identifier: Apache-2.0
"""Claims on volumes: who may open a disk, from the reservation to the release.

A volume has one claim at a time, or several where its type is multiattach.
"""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import news, volumes
from cumulet.services.block_storage.logic.refusals import (
    attachment_not_found,
    invalid_input,
    invalid_volume,
    used_by_server,
    words,
)
from cumulet.services.block_storage.store import admissions
from cumulet.services.block_storage.store import attachments as store
from cumulet.services.block_storage.store import volumes as volume_store
from cumulet.services.block_storage.types import VOLUME_ACTIONS, Attachment, AttachStatus, Page, Volume, VolumeStatus
from cumulet.services.compute.contract import ServersContract

# Statuses of a volume that is, or was, somebody's.
_CLAIMED = (VolumeStatus.RESERVED, VolumeStatus.ATTACHING, VolumeStatus.IN_USE, VolumeStatus.DETACHING)


def get(source: Source, ctx: Context, attachment_id: str) -> Attachment:
    """An attachment that the caller may see."""
    found = store.find_visible(source, ctx, attachment_id)
    if found is None:
        raise attachment_not_found(attachment_id)
    return found


def find_page(source: Source, ctx: Context, page: Page, exact: dict[str, Any], *, everywhere: bool) -> list[Attachment]:
    """A part of the list; NotFound where the marker is not there."""
    try:
        return store.find_page(source, ctx, page, exact, everywhere=everywhere)
    except LookupError as error:
        raise attachment_not_found(str(error.args[0])) from error


def reserve(
    tx: Tx, volume: Volume, server_id: str | None, *, mode: str | None = None, managed: bool = False
) -> Attachment:
    """Claim the volume; the same claim of the same server a second time is the first one."""
    for have in store.of_volumes(tx, [volume.id]) if managed else ():
        if have.server_id == server_id:
            return have
    require(volume, "reserve", "reserve")
    return _claim(tx, volume, server_id, mode, managed=managed)


def check_shared(cloud: Cloud, ctx: Context, volume: Volume) -> None:
    """Forbidden where the caller may not let one more server have a volume with a system that is in use."""
    rule, target = "volume:multiattach_bootable_volume", {"project_id": volume.project_id, "user_id": volume.user_id}
    shared = volume.multiattach and volume.bootable and volume.status == VolumeStatus.IN_USE
    if shared and not cloud.allows("block_storage", rule, ctx, target):
        raise Forbidden(f"Policy doesn't allow {rule} to be performed.", code="PolicyNotAuthorized", rule=rule)


def connect(tx: Tx, attachment: Attachment, connector: dict[str, Any]) -> Attachment:
    """The claimant says who it is: `host` at least, maybe `mountpoint` and `mode`."""
    check_connector(attachment, connector)
    now = store.changed(
        tx,
        attachment,
        connector=connector,
        host=str(connector["host"])[:255],
        device=_text(connector.get("mountpoint")) or attachment.device,
        mode=connector["mode"] if connector.get("mode") in ("rw", "ro") else attachment.mode or "rw",
        status=AttachStatus.ATTACHING,
        attached_at=clock.utcnow(),
    )
    volume_store.change(tx, attachment.volume_id, status=VolumeStatus.ATTACHING)
    return now


def check_connector(attachment: Attachment, connector: dict[str, Any]) -> None:
    """Raise Invalid where the connector names no host, or another one than it did."""
    if "host" not in connector:
        raise invalid_input("Attachment connector does not contain a host.")
    if attachment.connector is not None and attachment.connector.get("host") != connector["host"]:
        raise invalid_volume("Attachment is connected to another host already.")


def complete(
    cloud: Cloud,
    tx: Tx,
    attachment: Attachment,
    host: str | None = None,
    device: str | None = None,
    request_id: str = "",
) -> Attachment:
    """The disk is open. Idempotent."""
    store.change(
        tx,
        attachment.id,
        status=AttachStatus.ATTACHED,
        host=host if host is not None else attachment.host,
        device=device if device is not None else attachment.device,
        mode=attachment.mode or "rw",
        attached_at=attachment.attached_at or clock.utcnow(),
    )
    volume_store.change(tx, attachment.volume_id, status=VolumeStatus.IN_USE)
    news.volume(cloud, tx, events.ATTACH, events.END, attachment.volume_id, request_id)
    return again(tx, attachment.id)


def end(cloud: Cloud, tx: Tx, attachment: Attachment, request_id: str = "") -> None:
    """The claim is gone; without any other one the volume is free for the next."""
    store.remove(tx, attachment.id)
    volume = volume_store.find(tx, attachment.volume_id)
    if volume is None:
        return
    if volume.status in _CLAIMED:
        volume = volume_store.changed(tx, volume, status=_status(tx, volume.id))
    news.this_volume(cloud, tx, events.DETACH, events.END, volume, request_id)


def take_away(cloud: Cloud, tx: Tx, ctx: Context, attachment: Attachment) -> None:
    """End a claim by force; a server that has the disk lets go of it. Raises Conflict where compute must do it."""
    check_not_used(cloud, tx, ctx, attachment)
    end(cloud, tx, attachment, ctx.request_id)
    if attachment.managed and attachment.server_id is not None and cloud.contracts.offers(ServersContract):
        cloud.contracts.use(ServersContract).volume_gone(tx, attachment.server_id, attachment.volume_id)


def check_not_used(cloud: Cloud, tx: Tx, ctx: Context, attachment: Attachment) -> None:
    """Raise Conflict where a server has the disk: compute alone takes it away, unless a service asks."""
    if not attachment.managed or attachment.server_id is None or ctx.is_service:
        return
    if cloud.contracts.offers(ServersContract):
        servers = cloud.contracts.use(ServersContract)
        if servers.server(tx, attachment.server_id) is None:
            return
    raise used_by_server(attachment.server_id)


def attach(
    cloud: Cloud, tx: Tx, volume: Volume, server_id: str | None, host: str | None, device: str, mode: str
) -> None:
    """Say that a server or a host has the volume, as `os-attach` does."""
    volumes.check_not_maintained(volume, "cannot be attached in maintenance mode")
    require(volume, "attach", "attach")
    if volume.read_only and mode == "rw":
        raise Invalid(f"Invalid attaching mode '{mode}' for volume {volume.id}.", code="InvalidVolumeAttachMode")
    pending = [one for one in store.of_volumes(tx, [volume.id]) if one.server_id == server_id]
    claim = pending[0] if pending else _claim(tx, volume, server_id, mode, managed=False)
    store.change(tx, claim.id, mode=mode)
    if volume.read_only is None:
        volume_store.change(tx, volume.id, read_only=False)
    complete(cloud, tx, claim, host, device)


def detach(cloud: Cloud, tx: Tx, ctx: Context, volume: Volume, attachment_id: str | None) -> None:
    """Say that the volume is free again, as `os-detach` does; nothing happens where it is."""
    volumes.check_not_maintained(volume, "cannot be detached in maintenance mode")
    have = store.of_volumes(tx, [volume.id])
    if attachment_id is not None:
        have = [_one_of(tx, ctx, have, attachment_id)]
    elif len(have) > 1:
        raise invalid_volume("Detach volume failed: More than one attachment, but no attachment_id provided.")
    elif not have and volume.status in _CLAIMED:
        volume_store.change(tx, volume.id, status=VolumeStatus.AVAILABLE)
    for one in have:
        take_away(cloud, tx, ctx, one)
    _end_admissions(tx, volume.id)


def force_detach(cloud: Cloud, tx: Tx, ctx: Context, volume: Volume, attachment_id: str | None) -> None:
    """An administrator frees a volume, whatever its status; not one that a server has open, since it is in use."""
    volumes.check_not_maintained(volume, "cannot be detached in maintenance mode")
    have = store.of_volumes(tx, [volume.id])
    for one in have if attachment_id is None else [_one_of(tx, ctx, have, attachment_id)]:
        take_away(cloud, tx, ctx, one)
    if not store.of_volumes(tx, [volume.id]):
        volume_store.change(tx, volume.id, status=VolumeStatus.AVAILABLE)
    _end_admissions(tx, volume.id)


def _end_admissions(tx: Tx, volume_id: str) -> None:
    """Who detaches a volume takes its export away, too, once it is nobody's."""
    if not store.of_volumes(tx, [volume_id]):
        admissions.remove_all(tx, volume_id)


def _one_of(tx: Tx, ctx: Context, have: list[Attachment], attachment_id: str) -> Attachment:
    """The one that is meant; who is no service learns of one that is not there only that compute would end it."""
    for one in have:
        if one.id == attachment_id:
            return one
    if ctx.is_service:
        raise attachment_not_found(attachment_id)
    if store.find(tx, attachment_id) is not None:
        raise invalid_input("Mismatched volume and attachment")
    raise used_by_server("")


def of_volume(source: Source, volume_id: str) -> list[Attachment]:
    """The claims on a volume, oldest first."""
    return store.of_volumes(source, [volume_id])


def mark(tx: Tx, volume: Volume, action: str, verb: str, status: VolumeStatus) -> None:
    """Move the volume to `status` where `action` is allowed now."""
    require(volume, action, verb)
    volume_store.change(tx, volume.id, status=status, previous_status=volume.status)


def mark_reserved(tx: Tx, volume: Volume) -> None:
    """Reserve the volume for nobody in particular, as `os-reserve` does."""
    _check_stays(volume, "reserve")
    allowed = ["available", "in-use"] if volume.multiattach else ["available"]
    if volume.status not in allowed:
        raise invalid_volume(f"Volume status must be {words(allowed)} to reserve, but the status is {volume.status}.")
    volume_store.change(tx, volume.id, status=VolumeStatus.ATTACHING, previous_status=volume.status)


def begin_detaching(tx: Tx, volume: Volume) -> None:
    """Say that a server begins to let go of the volume, as `os-begin_detaching` does."""
    if volume.is_migrating:
        return  # nobody need see that a volume on the move is exchanged for another one
    opened = any(one.status == AttachStatus.ATTACHED for one in store.of_volumes(tx, [volume.id]))
    if volume.status not in VOLUME_ACTIONS["begin_detaching"] or not opened:
        raise invalid_volume(
            "Unable to detach volume. Volume status must be 'in-use' and attach_status must be 'attached' to detach."
        )
    volume_store.change(tx, volume.id, status=VolumeStatus.DETACHING, previous_status=volume.status)


def terminate(cloud: Cloud, tx: Tx, ctx: Context, volume: Volume) -> None:
    """Whoever had the volume's connection needs it no more, as `os-terminate_connection` says."""
    for one in store.of_volumes(tx, [volume.id]):
        check_not_used(cloud, tx, ctx, one)
    unreserve(tx, volume)


def unreserve(tx: Tx, volume: Volume) -> None:
    """Give up a reservation; nothing happens where there is none."""
    if volume.status in VOLUME_ACTIONS["unreserve"]:
        volume_store.change(tx, volume.id, status=_status(tx, volume.id, pending=False))


def roll_detaching(tx: Tx, volume: Volume) -> None:
    """The disk stays where it is after all; nothing happens unless the volume is being detached."""
    if volume.status in VOLUME_ACTIONS["roll_detaching"]:
        volume_store.change(tx, volume.id, status=VolumeStatus.IN_USE)


def set_read_only(tx: Tx, volume: Volume, *, read_only: bool) -> None:
    if volume.status not in VOLUME_ACTIONS["update_readonly"]:
        raise invalid_volume(
            f"Volume {volume.id} status must be available to update readonly flag, but current status is: "
            f"{volume.status}."
        )
    volume_store.change(tx, volume.id, read_only=read_only)


def set_bootable(tx: Tx, volume: Volume, *, bootable: bool) -> None:
    volumes.check_not_maintained(volume, "cannot be updated during maintenance")
    volume_store.change(tx, volume.id, bootable=bootable)


def reset_status(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    volume_id: str,
    status: str | None,
    attach_status: str | None,
    migration_status: str | None = None,
) -> None:
    """An administrator says what the volume is; the migration status `none` is that of one which does not move."""
    volume = volumes.get(tx, ctx, volume_id)
    if status == "deleting":
        raise Invalid(f"Cannot reset-state to {status}")
    if status == "in-use" and not store.of_volumes(tx, [volume.id]):
        raise Invalid("Cannot reset-state to in-use because volume does not have any attachments.")
    news.volume(cloud, tx, events.RESET_STATUS, events.START, volume.id, ctx.request_id)
    if status:
        volume_store.change(tx, volume.id, status=status)
    if attach_status == AttachStatus.DETACHED:
        store.remove_all(tx, volume.id)
        admissions.remove_all(tx, volume.id)
    if migration_status:
        left = None if migration_status == "none" else migration_status
        volume_store.change(tx, volume.id, migration_status=left)
    news.volume(cloud, tx, events.RESET_STATUS, events.END, volume.id, ctx.request_id)


def require(volume: Volume, action: str, verb: str) -> None:
    """Raise Invalid unless the volume's status allows `action`."""
    allowed = VOLUME_ACTIONS[action]
    if action in ("reserve", "attach"):
        _check_stays(volume, verb)
    if volume.multiattach and action in ("reserve", "attach"):
        allowed |= {VolumeStatus.IN_USE}
    if volume.status not in allowed:
        raise invalid_volume(
            f"Volume {volume.id} status must be {words(sorted(allowed))} to {verb}, but the current status is "
            f"{volume.status}."
        )


def _check_stays(volume: Volume, verb: str) -> None:
    """Raise Invalid for one on its way to another place, which a server that it is in use by may help with."""
    if volume.is_migrating and (volume.multiattach or volume.status == VolumeStatus.AVAILABLE):
        raise invalid_volume(f"Volume {volume.id} is migrating, and cannot be taken to {verb}.")


def _claim(tx: Tx, volume: Volume, server_id: str | None, mode: str | None, *, managed: bool) -> Attachment:
    if not volume.multiattach and store.of_volumes(tx, [volume.id]):
        raise invalid_volume(f"Volume {volume.id} is attached or reserved already.")
    generation = volume.generation + 1
    new = Attachment(
        id=ids.new_uuid(),
        volume_id=volume.id,
        project_id=volume.project_id,
        server_id=server_id,
        host=None,
        device=None,
        status=AttachStatus.RESERVED,
        mode="ro" if volume.read_only else mode,
        connector=None,
        generation=generation,
        managed=managed,
        created_at=clock.utcnow(),
        attached_at=None,
        detached_at=None,
    )
    store.add(tx, new)
    volume_store.change(tx, volume.id, status=VolumeStatus.RESERVED, generation=generation)
    return new


def _status(tx: Tx, volume_id: str, *, pending: bool = True) -> VolumeStatus:
    """What a volume is by its claims, with or without those that are reserved only."""
    have = {claim.status for claim in store.of_volumes(tx, [volume_id])}
    if AttachStatus.ATTACHED in have:
        return VolumeStatus.IN_USE
    if AttachStatus.ATTACHING in have and pending:
        return VolumeStatus.ATTACHING
    return VolumeStatus.RESERVED if have and pending else VolumeStatus.AVAILABLE


def again(tx: Tx, attachment_id: str) -> Attachment:
    """As it is now; NotFound where it is gone."""
    found = store.find(tx, attachment_id)
    if found is None:
        raise attachment_not_found(attachment_id)
    return found


def _text(value: Any) -> str | None:
    return value[:255] if isinstance(value, str) else None
