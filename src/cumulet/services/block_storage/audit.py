# SPDX-License-Identifier: Apache-2.0
"""Whether volumes, snapshots, claims on them, and the bytes on hosts agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cumulet.kernel.audit import Finding, Look
from cumulet.services.block_storage.store import attachments, snapshots, volumes
from cumulet.services.block_storage.types import (
    VOLUME_BUSY,
    Attachment,
    AttachStatus,
    Snapshot,
    SnapshotStatus,
    Volume,
    VolumeStatus,
)
from cumulet.services.compute.contract import ServersContract

# Volumes of these statuses may have lost their bytes, or never had any.
_BROKEN = frozenset({VolumeStatus.ERROR, VolumeStatus.ERROR_DELETING, VolumeStatus.CREATING, VolumeStatus.DELETING})
_BROKEN_SNAPSHOT = frozenset(
    {SnapshotStatus.CREATING, SnapshotStatus.DELETING, SnapshotStatus.ERROR, SnapshotStatus.ERROR_DELETING}
)


def audit(look: Look) -> Iterator[Finding]:
    """Every disagreement."""
    db = look.cloud.db
    every = {each.id: each for each in volumes.every(db)}
    taken = {each.id: each for each in snapshots.every(db)}
    claims: dict[str, list[Attachment]] = {}
    for claim in attachments.every(db):
        claims.setdefault(claim.volume_id, []).append(claim)
    for volume in every.values():
        if volume.id not in look.busy:
            yield from _volume(look, volume, claims.get(volume.id, []))
    for volume_id, listed in claims.items():
        yield from _claims(look, volume_id, listed, every.get(volume_id))
    for snapshot in taken.values():
        if snapshot.id not in look.busy and snapshot.volume_id not in look.busy:
            yield from _snapshot(look, snapshot, every)
    for host, has in look.hosts.items():
        yield from _host(look, host, has, every, taken)


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


def _snapshot(look: Look, snapshot: Snapshot, every: dict[str, Volume]) -> Iterator[Finding]:
    if snapshot.volume_id not in every:
        yield look.found(snapshot.id, "snapshot of a volume that is gone")
    if snapshot.status in (SnapshotStatus.CREATING, SnapshotStatus.DELETING):
        yield look.found(snapshot.id, f"snapshot is {snapshot.status}, and nobody works on it")


def _host(
    look: Look, host: str, has: dict[str, Any], every: dict[str, Volume], taken: dict[str, Snapshot]
) -> Iterator[Finding]:
    """The bytes on the host are those of its volumes and snapshots."""
    for volume_id in has["volumes"]:
        if volume_id not in look.busy and (volume_id not in every or every[volume_id].host != host):
            yield look.found(volume_id, f"host {host} has bytes of a volume that is not there")
    for volume in every.values():
        placed = volume.host == host and volume.id not in look.busy and volume.status not in _BROKEN
        if placed and volume.id not in has["volumes"]:
            yield look.found(volume.id, f"host {host} has not the bytes of the volume")
    for snapshot_id in has["snapshots"]:
        if snapshot_id not in taken and not look.busy & {snapshot_id}:
            yield look.found(snapshot_id, f"host {host} has bytes of a snapshot that is gone")
    for snapshot in taken.values():
        placed = snapshot.host == host and not look.busy & {snapshot.id, snapshot.volume_id}
        if placed and snapshot.status not in _BROKEN_SNAPSHOT and snapshot.id not in has["snapshots"]:
            yield look.found(snapshot.id, f"host {host} has not the bytes of the snapshot")
