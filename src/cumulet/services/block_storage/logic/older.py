# SPDX-License-Identifier: Apache-2.0
"""Volumes and snapshots as compute's older API asks for them (`contract.OlderVolumes`)."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.services.block_storage.contract import NewOlderVolume, OlderSnapshot, OlderVolume
from cumulet.services.block_storage.logic import keys, snapshots, volume_types, volumes
from cumulet.services.block_storage.types import Page, Snapshot, Volume, Wanted

_MOST = Page(limit=1_000_000)  # compute itself cuts the page out


class Volumes:
    """The contract on this service's verbs."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def volumes(self, source: Source, ctx: Context) -> list[OlderVolume]:
        wanted = Wanted(project_id=ctx.project_id)
        return _described(source, volumes.find_page(source, ctx, wanted, _MOST))

    def volume(self, source: Source, ctx: Context, volume_id: str) -> OlderVolume:
        return _described(source, [volumes.get(source, ctx, volume_id)])[0]

    def create_volume(self, tx: Tx, ctx: Context, new: NewOlderVolume, key: Any = ()) -> OlderVolume:
        return _described(tx, [volumes.create(self._cloud, tx, ctx, _wanted(new), keys.Ready(key))])[0]

    def key_for(self, ctx: Context, new: NewOlderVolume) -> Any:
        return volumes.key_for(self._cloud, ctx, _wanted(new))

    def delete_volume(self, tx: Tx, ctx: Context, volume_id: str) -> None:
        volumes.delete(self._cloud, tx, ctx, volume_id)

    def snapshots(self, source: Source, ctx: Context) -> list[OlderSnapshot]:
        exact = {"project_id": ctx.project_id}
        return [_snapshot(one) for one in snapshots.find_page(source, ctx, _MOST, exact, {}, everywhere=False)]

    def snapshot(self, source: Source, ctx: Context, snapshot_id: str) -> OlderSnapshot:
        return _snapshot(snapshots.get(source, ctx, snapshot_id))

    def create_snapshot(
        self, tx: Tx, ctx: Context, volume_id: str, name: str | None, description: str | None, *, in_use: bool
    ) -> OlderSnapshot:
        return _snapshot(snapshots.create(self._cloud, tx, ctx, volume_id, name, description, {}, in_use=in_use))

    def delete_snapshot(self, tx: Tx, ctx: Context, snapshot_id: str) -> None:
        snapshots.delete(self._cloud, tx, ctx, snapshot_id)


def _wanted(new: NewOlderVolume) -> volumes.NewVolume:
    return volumes.NewVolume(
        name=new.name,
        description=new.description,
        size=new.size,
        snapshot_id=new.snapshot_id,
        volume_type=new.volume_type,
        availability_zone=new.availability_zone,
        metadata=new.metadata,
    )


def _described(source: Source, rows: list[Volume]) -> list[OlderVolume]:
    types = volume_types.names(source)
    claims = volumes.attachments_of(source, [row.id for row in rows])
    found = []
    for row in rows:
        first = next((claim for claim in claims[row.id] if claim.server_id), None)
        found.append(
            OlderVolume(
                id=row.id,
                name=row.name,
                description=row.description,
                size=row.size,
                status=row.status,
                volume_type=types.get(row.volume_type_id, row.volume_type_id),
                availability_zone=row.availability_zone,
                snapshot_id=row.snapshot_id,
                metadata=row.metadata,
                created_at=row.created_at,
                server_id=None if first is None else first.server_id,
                device=None if first is None else first.device,
            )
        )
    return found


def _snapshot(row: Snapshot) -> OlderSnapshot:
    return OlderSnapshot(
        id=row.id,
        volume_id=row.volume_id,
        name=row.name,
        description=row.description,
        size=row.size,
        status=row.status,
        created_at=row.created_at,
    )
