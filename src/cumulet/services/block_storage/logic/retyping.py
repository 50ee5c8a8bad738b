# SPDX-License-Identifier: Apache-2.0
"""Another type for a volume, for which it may have to move."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import (
    backends,
    encryption,
    keys,
    limits,
    migrations,
    news,
    quotas,
    recoding,
    volume_types,
    volumes,
)
from cumulet.services.block_storage.logic.refusals import invalid_input, invalid_volume
from cumulet.services.block_storage.store import volumes as store
from cumulet.services.block_storage.types import VOLUME_ACTIONS, Volume, VolumeStatus, VolumeType


def retype(
    cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, name_or_id: str, ready: keys.Ready, *, may_move: bool
) -> None:
    """Give the volume another type, at once where its back end satisfies it.

    Else it has to move, if it may, which it also has to be encrypted otherwise; its user is told where it may not, or
    cannot. Raises KeyNeeded.
    """
    volume = volumes.get(tx, ctx, volume_id)
    kind = volume_types.find(tx, ctx, name_or_id)
    _check(cloud, tx, ctx, volume, kind)
    quotas.check_retype(tx, volume.project_id, volume.size, kind.name)
    if encryption.differs(volume_types.find_any(tx, volume.volume_type_id), kind):
        recoding.begin(cloud, tx, volume, kind, ready, ctx.request_id, allowed=may_move)
    elif not volume.host or backends.satisfies(backends.get(tx, volume.pool), kind.extra_specs):
        shared = volume_types.is_multiattach(kind)
        store.change(tx, volume_id, volume_type_id=kind.id, multiattach=shared)
        news.volume(cloud, tx, events.RETYPE, "", volume_id, ctx.request_id)
    else:
        migrations.retype(cloud, tx, volume, kind, ctx.request_id, allowed=may_move)


def _check(cloud: Cloud, tx: Tx, ctx: Context, volume: Volume, kind: VolumeType) -> None:
    shared = volume_types.is_multiattach(kind)
    if shared != volume.multiattach and volume.status != VolumeStatus.AVAILABLE:
        raise invalid_input(
            "Invalid volume_type passed, retypes affecting multiattach are only allowed on available volumes, the "
            f"specified volume however currently has a status of: {volume.status}."
        )
    if shared and not volume.multiattach:
        volumes.check_may_share(cloud, ctx, volume)
    in_use = volume.status == VolumeStatus.IN_USE
    if (
        volume.status not in VOLUME_ACTIONS["retype"]
        or migrations.is_moving(tx, volume)
        or volume.group_id is not None
        or kind.id == volume.volume_type_id
        or (in_use and not limits.same(tx, volume.volume_type_id, kind.id))
    ):
        raise invalid_volume(
            "Retype needs volume to be in available or in-use state, not be part of an active migration or a "
            "consistency group, requested type has to be different that the one from the volume, and for in-use "
            "volumes front-end qos specs cannot change."
        )
    if shared and encryption.of_type(kind) is not None:
        raise invalid_input("Retype requested both encryption and multi-attach, which is not supported.")
