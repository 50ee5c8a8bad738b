# SPDX-License-Identifier: Apache-2.0
"""What can be done with groups of volumes.

A group that is made of another one, or that is deleted, is so volume by volume: each volume has its own saga, and
the last of them settles the group (`group_progress`).
"""

from __future__ import annotations

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid
from cumulet.kernel.formats import is_uuid
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import group_types, news, quotas, volume_types, volumes, zones
from cumulet.services.block_storage.logic.keys import Ready
from cumulet.services.block_storage.logic.refusals import (
    group_not_found,
    group_snapshot_not_found,
    invalid_group,
    invalid_input,
    invalid_volume,
    type_not_found,
)
from cumulet.services.block_storage.store import attachments, group_snapshots, snapshots
from cumulet.services.block_storage.store import groups as store
from cumulet.services.block_storage.store import volume_types as volume_type_store
from cumulet.services.block_storage.store import volumes as volume_store
from cumulet.services.block_storage.store.pages import Asked
from cumulet.services.block_storage.types import AttachStatus, Page, Volume, VolumeStatus
from cumulet.services.block_storage.types.groups import DELETABLE, Group, GroupStatus, GroupType

CAN_JOIN = (VolumeStatus.AVAILABLE.value, VolumeStatus.IN_USE.value)
CAN_LEAVE = ("available", "in-use", "error", "error_deleting")
CAN_BE_COPIED = (VolumeStatus.AVAILABLE.value,)


def get(source: Source, ctx: Context, group_id: str) -> Group:
    """A group that the caller may see."""
    found = store.find_visible(source, ctx, group_id)
    if found is None:
        raise group_not_found(group_id)
    return found


def find_page(
    source: Source, ctx: Context, page: Page, asked: Asked, *, everywhere: bool, without_type: str | None = None
) -> list[Group]:
    """A part of the list; NotFound where the marker is not there."""
    try:
        return store.find_page(source, ctx, page, asked, everywhere=everywhere, without_type=without_type)
    except LookupError as error:
        raise group_not_found(str(error.args[0])) from error


def volumes_of(source: Source, group_ids: list[str]) -> dict[str, list[str]]:
    """The ids of each group's volumes, oldest first."""
    return volume_store.of_groups(source, group_ids)


def consistent(source: Source, rows: list[Volume]) -> set[str]:
    """Those of the volumes' groups that are of the older API; asks nothing where no volume has a group."""
    group_ids = {volume.group_id for volume in rows if volume.group_id is not None}
    kind = group_types.consistent(source) if group_ids else None
    return store.of_type(source, group_ids, kind.id) if kind is not None else set()


def create(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    name: str | None,
    description: str | None,
    kind: GroupType,
    names: list[str],
    zone: str | None,
) -> Group:
    """Begin a group for volumes of the types `names` (names or ids)."""
    types = [_volume_type(tx, ctx, each) for each in names]
    settings = cloud.settings.block_storage
    if zone is None or (zone not in zones.known(tx, settings) and settings.allow_availability_zone_fallback):
        zone = zones.usual(settings)
    if zone not in zones.known(tx, settings):
        raise invalid_input(f"Availability zone '{zone}' is invalid.")
    new = _row(ctx, name, description, kind.id, types, zone)
    _add(cloud, tx, ctx, new)
    cloud.sagas.start(tx, "block_storage.create_group", new.id, {}, ctx.request_id)
    return new


def create_from_snapshot(
    cloud: Cloud, tx: Tx, ctx: Context, name: str | None, description: str | None, group_snapshot_id: str, ready: Ready
) -> Group:
    """Begin a group with a volume of each of the group snapshot's snapshots."""
    origin = group_snapshots.find_visible(tx, ctx, group_snapshot_id)
    if origin is None:
        raise group_snapshot_not_found(group_snapshot_id)
    parts = snapshots.of_group(tx, group_snapshot_id)
    if not parts:
        raise invalid_group("Group snapshot is empty. No group will be created.")
    sources = [volumes.NewVolume(snapshot_id=one.id, volume_type=one.volume_type_id) for one in parts]
    parent = get(tx, ctx, origin.group_id)
    return _copy(
        cloud, tx, ctx, parent, sources, ready, name=name, description=description, group_snapshot_id=origin.id
    )


def create_from_group(
    cloud: Cloud, tx: Tx, ctx: Context, name: str | None, description: str | None, group_id: str, ready: Ready
) -> Group:
    """Begin a group with a clone of each of the other group's volumes."""
    parent = get(tx, ctx, group_id)
    parts = volume_store.of_group(tx, group_id)
    if not parts:
        raise invalid_group("Source Group is empty. No group will be created.")
    for one in parts:
        if one.status not in CAN_BE_COPIED:
            raise invalid_group(
                f"Cannot create group {name} because source volume {one.id} is not in a valid state. Valid states "
                f"are: {CAN_BE_COPIED}."
            )
    sources = [volumes.NewVolume(source_volume_id=one.id, volume_type=one.volume_type_id) for one in parts]
    return _copy(cloud, tx, ctx, parent, sources, ready, name=name, description=description, source_group_id=parent.id)


def update(
    cloud: Cloud, tx: Tx, ctx: Context, group_id: str, changes: dict[str, str], add: list[str], remove: list[str]
) -> None:
    """Change `name` or `description`, let volumes join and leave."""
    group = get(tx, ctx, group_id)
    changes = {key: value for key, value in changes.items() if value != getattr(group, key)}
    if twice := [each for each in add if each in remove]:
        raise invalid_volume(f"UUIDs {twice} are in both add and remove volume list.")
    members = {one.id: one for one in volume_store.of_group(tx, group_id)}
    joining = [_joining(tx, ctx, group, each) for each in add if each not in members]
    leaving = [_leaving(group, members.get(each), each) for each in remove]
    if not changes and not joining and not leaving:
        raise invalid_group(
            f"Cannot update group {group_id} because no valid name, description, add_volumes, or remove_volumes were "
            "provided."
        )
    if (joining or leaving) and group.status != GroupStatus.AVAILABLE:
        raise invalid_group("Group status must be available.")
    if joining or leaving:
        _tell_update(cloud, tx, events.START, group_id, ctx)
    store.change(tx, group_id, **changes, status=GroupStatus.AVAILABLE)
    for one in joining:
        volume_store.change(tx, one.id, group_id=group_id)
    for one in leaving:
        volume_store.change(tx, one.id, group_id=None)
    if joining or leaving:
        _tell_update(cloud, tx, events.END, group_id, ctx)


def delete(cloud: Cloud, tx: Tx, ctx: Context, group_id: str, *, volumes_too: bool) -> None:
    """Begin to delete, with `volumes_too` the volumes in it as well."""
    group = get(tx, ctx, group_id)
    members = volume_store.of_group(tx, group_id)
    if not group.host and not members:
        cloud.sagas.cancel(tx, group_id)
        store.remove(tx, group_id)
        return
    if group.status == GroupStatus.DELETING and volumes_too:
        return
    _check_deletable(tx, group, members, volumes_too=volumes_too)
    store.change(tx, group_id, status=GroupStatus.DELETING)
    news.group(cloud, tx, events.GROUP_DELETE, events.START, group_id, ctx.request_id)
    for one in members:
        volumes.begin_delete(cloud, tx, one, ctx.request_id)
    if not members:
        news.group(cloud, tx, events.GROUP_DELETE, events.END, group_id, ctx.request_id)
        store.remove(tx, group_id)


def reset_status(cloud: Cloud, tx: Tx, ctx: Context, group_id: str, status: str) -> None:
    """An administrator says what the group is."""
    payload = {"id": group_id, "update": status}
    cloud.outbox.publish(tx, f"{events.GROUP_STATUS}.{events.START}", payload, ctx.request_id)
    get(tx, ctx, group_id)
    store.change(tx, group_id, status=status)
    cloud.outbox.publish(tx, f"{events.GROUP_STATUS}.{events.END}", payload, ctx.request_id)


def refuse_replication(source: Source, ctx: Context, group_id: str) -> None:
    """Groups are replicated where their type and the volumes' types say so, and a back end can: none can."""
    group = get(source, ctx, group_id)
    kind = group_types.get(source, ctx, group.group_type_id)
    specs = ("group_replication_enabled", "consistent_group_replication_enabled")
    if not any(kind.group_specs.get(each) == volume_types.YES for each in specs):
        raise Invalid(f"Invalid group type: Group {group_id} is not a replication group type.", code="InvalidGroupType")
    for type_id in group.volume_types:
        if volume_types.extra_specs(source, type_id).get("replication_enabled") != volume_types.YES:
            raise Invalid(
                f"Invalid volume type: Volume type {type_id} does not have 'replication_enabled' spec key set to "
                "'<is> True'.",
                code="InvalidVolumeType",
            )
    raise invalid_group(f"Group {group_id} is on a back end that does not replicate.")


def _tell_update(cloud: Cloud, tx: Tx, moment: str, group_id: str, ctx: Context) -> None:
    news.group(cloud, tx, events.GROUP_UPDATE, moment, group_id, ctx.request_id)
    for one in volume_store.of_group(tx, group_id):
        news.volume(cloud, tx, events.UPDATE, moment, one.id, ctx.request_id)


def _row(ctx: Context, name: str | None, description: str | None, kind: str, types: list[str], zone: str) -> Group:
    return Group(
        id=ids.new_uuid(),
        project_id=ctx.project_id or "",
        user_id=ctx.user_id,
        name=name,
        description=description,
        status=GroupStatus.CREATING,
        group_type_id=kind,
        volume_types=types,
        availability_zone=zone,
        host="",
        backend="",
        group_snapshot_id=None,
        source_group_id=None,
        created_at=clock.utcnow(),
        updated_at=None,
    )


def _add(cloud: Cloud, tx: Tx, ctx: Context, new: Group) -> None:
    quotas.check_group(tx, new.project_id)
    store.add(tx, new)
    news.group(cloud, tx, events.GROUP_CREATE, events.START, new.id, ctx.request_id)


def _copy(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    parent: Group,
    sources: list[volumes.NewVolume],
    ready: Ready,
    *,
    name: str | None,
    description: str | None,
    group_snapshot_id: str | None = None,
    source_group_id: str | None = None,
) -> Group:
    """A group where the other one is, and a volume in it of each source."""
    new = _row(ctx, name, description, parent.group_type_id, parent.volume_types, parent.availability_zone)
    new.host, new.backend, new.availability_zone = parent.host, parent.backend, parent.availability_zone
    new.group_snapshot_id, new.source_group_id = group_snapshot_id, source_group_id
    kinds = [one.volume_type for one in sources if one.volume_type]
    new.volume_types = list(dict.fromkeys([*new.volume_types, *kinds]))
    _add(cloud, tx, ctx, new)
    for one in sources:
        volumes.create(cloud, tx, ctx, one, ready, new)
    return new


def _volume_type(tx: Tx, ctx: Context, name_or_id: str) -> str:
    by_id = volume_type_store.find(tx, ctx, name_or_id) if is_uuid(name_or_id) else None
    if by_id is None and is_uuid(name_or_id) and volume_type_store.find_by_name(tx, ctx, name_or_id) is None:
        raise type_not_found(name_or_id)
    return by_id.id if by_id is not None else volume_types.find(tx, ctx, name_or_id).id


def _joining(tx: Tx, ctx: Context, group: Group, volume_id: str) -> Volume:
    """A volume that may join; Invalid where it may not."""
    volume, refusal = (
        volume_store.find_visible(tx, ctx, volume_id),
        f"Cannot add volume {volume_id} to group {group.id}",
    )
    if volume is None:
        raise invalid_volume(f"{refusal} because volume cannot be found.")
    if volume.group_id is not None:
        raise invalid_volume(f"{refusal} because it is already in group {volume.group_id}.")
    if volume.project_id != group.project_id:
        raise invalid_volume(f"{refusal} as they belong to different projects.")
    if volume.volume_type_id not in group.volume_types:
        raise invalid_volume(f"{refusal} because volume type {volume.volume_type_id} is not supported by the group.")
    if volume.status not in CAN_JOIN:
        raise invalid_volume(
            f"{refusal} because volume is in an invalid state: {volume.status}. Valid states are: {CAN_JOIN}."
        )
    if volume.is_migrating:
        raise invalid_volume(f"{refusal} because it is migrating.")
    if (volume.host, volume.backend or group.backend) != (group.host, group.backend):
        raise invalid_volume("Volume is not local to this node.")
    return volume


def _leaving(group: Group, volume: Volume | None, volume_id: str) -> Volume:
    refusal = f"Cannot remove volume {volume_id} from group {group.id}"
    if volume is None:
        raise invalid_volume(f"{refusal} because it is not in the group.")
    if volume.status not in CAN_LEAVE:
        raise invalid_volume(
            f"{refusal} because volume is in an invalid state: {volume.status}. Valid states are: {CAN_LEAVE}."
        )
    return volume


def _check_deletable(tx: Tx, group: Group, members: list[Volume], *, volumes_too: bool) -> None:
    if not volumes_too and group.status not in DELETABLE:
        raise invalid_group(f"Group status must be available or error, but current status is: {group.status}")
    if group_snapshots.any_of_group(tx, group.id):
        raise invalid_group("Group has existing snapshots.")
    if members and not volumes_too:
        raise invalid_group(
            f"Group {group.id} still contains volumes. The delete-volumes flag is required to delete it."
        )
    claims = attachments.of_volumes(tx, [one.id for one in members])
    for one in members:
        if any(each.volume_id == one.id and each.status == AttachStatus.ATTACHED for each in claims):
            raise invalid_group(f"Volume in group {group.id} is attached. Need to detach first.")
        if snapshots.of_volume(tx, one.id):
            raise invalid_group("Volume in group still has dependent snapshots.")
    # A server that is about to have one has reserved it.
    if claims or store.is_being_made_of(tx, group_id=group.id):
        raise invalid_group(
            f"Cannot delete group {group.id}. Group status must be available or error and must not have dependent "
            "group snapshots, and it cannot be the source for an ongoing group or group snapshot creation."
        )
