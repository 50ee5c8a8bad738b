# SPDX-License-Identifier: Apache-2.0
"""Whether volumes, snapshots, claims on them, and the bytes on hosts agree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from cumulet.kernel.audit import Finding, Look
from cumulet.services.block_storage.logic import exports
from cumulet.services.block_storage.store import (
    admissions,
    attachments,
    backups,
    group_snapshots,
    groups,
    moves,
    snapshots,
    volumes,
)
from cumulet.services.block_storage.types import (
    VOLUME_BUSY,
    Attachment,
    AttachStatus,
    Snapshot,
    SnapshotStatus,
    Volume,
    VolumeStatus,
)
from cumulet.services.block_storage.types.backups import Backup, BackupStatus
from cumulet.services.block_storage.types.groups import GROUP_BUSY
from cumulet.services.compute.contract import ServersContract

# Volumes of these statuses may have lost their bytes, or never had any.
_BROKEN = frozenset(
    {
        VolumeStatus.ERROR,
        VolumeStatus.ERROR_DELETING,
        VolumeStatus.ERROR_RESTORING,
        VolumeStatus.CREATING,
        VolumeStatus.DELETING,
        VolumeStatus.ERROR_MANAGING,
        VolumeStatus.ERROR_UNMANAGING,
    }
)
_BROKEN_SNAPSHOT = frozenset(
    {SnapshotStatus.CREATING, SnapshotStatus.DELETING, SnapshotStatus.ERROR, SnapshotStatus.ERROR_DELETING}
)


def audit(look: Look) -> Iterator[Finding]:
    """Every disagreement."""
    db = look.cloud.db
    every = {each.id: each for each in volumes.every(db)}
    taken = {each.id: each for each in snapshots.every(db)}
    yield from _groups(look, list(every.values()), list(taken.values()))
    # Their group snapshot's saga takes them.
    taking = {each.id for each in taken.values() if each.group_snapshot_id in look.busy}
    look = replace(look, busy=look.busy | taking)
    claims: dict[str, list[Attachment]] = {}
    for claim in attachments.every(db):
        claims.setdefault(claim.volume_id, []).append(claim)
    moving = {each.volume_id for each in moves.every(db)}
    for volume_id in moving - look.busy:
        if not any(claim.server_id in look.busy for claim in claims.get(volume_id, [])):
            yield look.found(volume_id, "room is held for a volume that nobody moves")
    look = replace(look, busy=look.busy | moving)
    for volume in every.values():
        if volume.id not in look.busy:
            yield from _volume(look, volume, claims.get(volume.id, []))
    for each in admissions.every(db):
        if each.volume_id not in every:
            yield look.found(each.volume_id, "an initiator is admitted to a volume that is gone")
    for volume_id, listed in claims.items():
        yield from _claims(look, volume_id, listed, every.get(volume_id))
    for snapshot in taken.values():
        if snapshot.id not in look.busy and snapshot.volume_id not in look.busy:
            yield from _snapshot(look, snapshot, every)
    kept = backups.every(db)
    yield from _backups(look, kept)
    yield from _sources(look, every.values(), taken.values(), kept)
    for host, has in look.hosts.items():
        yield from _host(look, host, has, every, taken)
        yield from _exports(look, host, has.get("exports", {}), every)


def _volume(look: Look, volume: Volume, claims: list[Attachment]) -> Iterator[Finding]:
    if VolumeStatus(volume.status) in VOLUME_BUSY:
        yield look.found(volume.id, f"volume is {volume.status}, and nobody works on it")
    if volume.extending_to is not None:
        yield look.found(volume.id, f"volume grows to {volume.extending_to} GiB, and nobody works on it")
    if volume.status == VolumeStatus.AVAILABLE and claims:
        yield look.found(volume.id, "volume is available, and claimed")
    if volume.status == VolumeStatus.IN_USE and not any(each.status == AttachStatus.ATTACHED for each in claims):
        yield look.found(volume.id, "volume is in use, by nobody")
    if volume.status in (VolumeStatus.RESERVED, VolumeStatus.DETACHING) and any(
        each.managed and each.server_id not in look.busy and _is_on_host(look, each.server_id or "") for each in claims
    ):
        yield look.found(volume.id, f"volume is {volume.status}, and nobody works on its server")


def _is_on_host(look: Look, server_id: str) -> bool:
    """One that rests on no host has its volumes reserved for as long as it rests."""
    server = look.cloud.contracts.use(ServersContract).server(look.cloud.db, server_id)
    return server is None or bool(server.host)


def _claims(look: Look, volume_id: str, claims: list[Attachment], volume: Volume | None) -> Iterator[Finding]:
    if volume is None:
        yield look.found(volume_id, "claims are left of a volume that is gone")
    if len(claims) > 1 and not (volume is not None and volume.multiattach):
        yield look.found(volume_id, "volume is claimed twice")
    if not look.cloud.contracts.offers(ServersContract):
        return
    servers = look.cloud.contracts.use(ServersContract)
    owners = {claim.server_id for claim in claims if claim.managed and claim.server_id is not None} - look.busy
    for owner in owners:
        if servers.server(look.cloud.db, owner) is None:
            yield look.found(volume_id, f"volume is claimed for server {owner}, which is gone")


def _backups(look: Look, kept: list[Backup]) -> Iterator[Finding]:
    for one in kept:
        if one.status in (BackupStatus.CREATING, BackupStatus.DELETING) and one.id not in look.busy:
            yield look.found(one.id, f"backup is {one.status}, and nobody works on it")
        if one.status == BackupStatus.RESTORING and one.restore_volume_id not in look.busy:
            yield look.found(one.id, "backup is restoring, and nobody works on it")
    for host, has in look.hosts.items():
        for volume_id in has.get("restores", ()):
            if volume_id not in look.busy:
                yield look.found(volume_id, f"host {host} has a draft of a volume that nobody restores")


def _sources(look: Look, volumes: Iterable[Volume], taken: Iterable[Snapshot], kept: list[Backup]) -> Iterator[Finding]:
    """What is being backed up is so by somebody."""
    working = [each for each in kept if each.id in look.busy]
    backed_up = {each.snapshot_id or each.volume_id for each in working}
    for volume in volumes:
        if volume.status == VolumeStatus.BACKING_UP and volume.id not in backed_up:
            yield look.found(volume.id, "volume is backing-up, and nobody works on it")
    for snapshot in taken:
        if snapshot.status == SnapshotStatus.BACKING_UP and snapshot.id not in backed_up:
            yield look.found(snapshot.id, "snapshot is backing-up, and nobody works on it")


def _snapshot(look: Look, snapshot: Snapshot, every: dict[str, Volume]) -> Iterator[Finding]:
    if snapshot.volume_id not in every:
        yield look.found(snapshot.id, "snapshot of a volume that is gone")
    if snapshot.status in (SnapshotStatus.CREATING, SnapshotStatus.DELETING, SnapshotStatus.UNMANAGING):
        yield look.found(snapshot.id, f"snapshot is {snapshot.status}, and nobody works on it")


def _groups(look: Look, every: list[Volume], taken: list[Snapshot]) -> Iterator[Finding]:
    """Groups that are made or deleted are worked on by their volumes' sagas, group snapshots by their own or theirs."""
    known = {each.id: each for each in groups.every(look.cloud.db)}
    kept = {each.id: each for each in group_snapshots.every(look.cloud.db)}
    worked_on = {each.group_id for each in every if each.id in look.busy} | look.busy
    worked_on |= {each.group_snapshot_id for each in taken if each.id in look.busy}
    statuses = [(one.id, one.status) for one in known.values()] + [(one.id, one.status) for one in kept.values()]
    for key, status in statuses:
        if status in GROUP_BUSY and key not in worked_on:
            yield look.found(key, f"group or group snapshot is {status}, and nobody works on it")
    for volume in every:
        group = known.get(volume.group_id or "")
        if volume.group_id is not None and group is None:
            yield look.found(volume.id, "volume is in a group that is gone")
        if group is not None and (group.project_id != volume.project_id or volume.host not in ("", group.host)):
            yield look.found(volume.id, "volume is in a group of another project or host")
    for snapshot in taken:
        if snapshot.group_snapshot_id is not None and snapshot.group_snapshot_id not in kept:
            yield look.found(snapshot.id, "snapshot is one of a group snapshot that is gone")
    for group_snapshot in kept.values():
        if group_snapshot.group_id not in known:
            yield look.found(group_snapshot.id, "group snapshot of a group that is gone")


def _host(
    look: Look, host: str, has: dict[str, Any], every: dict[str, Volume], taken: dict[str, Snapshot]
) -> Iterator[Finding]:
    """The bytes on each of the host's back ends are those of its volumes and snapshots."""
    for position, one in enumerate(has.get("backends") or [has]):
        name = one.get("name", "")
        place = one.get("place") or host
        names = {name, ""} if position == 0 and place == host else {name}
        here = {each.id: each for each in every.values() if each.host == place and each.backend in names}
        copies = {each.id: each for each in taken.values() if each.host == place and each.backend in names}
        yield from _backend(look, f"{place}@{name}" if name else place, one, here, copies)
        for snapshot_id in one["snapshots"]:
            if snapshot_id not in taken and snapshot_id not in look.busy:
                yield look.found(snapshot_id, f"host {host} has bytes of a snapshot that is gone")


def _exports(look: Look, host: str, exported: dict[str, list[int]], every: dict[str, Volume]) -> Iterator[Finding]:
    """Nobody can open a volume who has no claim on it, nor was admitted to it."""
    known = exports.wanted(look.cloud.db, exported)
    for volume_id, generations in exported.items():
        moves = volume_id in look.busy or (volume_id in every and every[volume_id].is_migrating)
        if not moves and set(generations) - known.get(volume_id, set()):
            yield look.found(volume_id, f"host {host} exports a volume to nobody who has it")


def _backend(
    look: Look, place: str, has: dict[str, Any], here: dict[str, Volume], copies: dict[str, Snapshot]
) -> Iterator[Finding]:
    for volume_id in has["volumes"]:
        if volume_id not in look.busy and volume_id not in here:
            yield look.found(volume_id, f"host {place} has bytes of a volume that is not there")
    for volume in here.values():
        whole = volume.id not in look.busy and volume.status not in _BROKEN
        if whole and volume.id not in has["volumes"]:
            yield look.found(volume.id, f"host {place} has not the bytes of the volume")
    for snapshot in copies.values():
        whole = not look.busy & {snapshot.id, snapshot.volume_id} and snapshot.status not in _BROKEN_SNAPSHOT
        if whole and snapshot.id not in has["snapshots"]:
            yield look.found(snapshot.id, f"host {place} has not the bytes of the snapshot")
