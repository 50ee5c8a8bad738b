# SPDX-License-Identifier: Apache-2.0
"""Volumes that get a type which is encrypted otherwise: their content is copied into another container, or out of one.

That is done where the volume is, or on its way to another back end that its type asks for. The volume has its new key
and its type from the commit on that says that the new disk is there; before, it is what it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Run
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import encryption, keys, messages, migrations, news, progress, volume_types
from cumulet.services.block_storage.logic.scheduler import asking, choice
from cumulet.services.block_storage.store import moves, snapshots
from cumulet.services.block_storage.store import volumes as store
from cumulet.services.block_storage.types import Backend, Volume, VolumeStatus, VolumeType

FLOW = "block_storage.recode"


def begin(
    cloud: Cloud, tx: Tx, volume: Volume, kind: VolumeType, ready: keys.Ready, request_id: str, *, allowed: bool
) -> None:
    """Begin to make the volume one of the type; its user is told where that cannot be. Raises KeyNeeded."""
    need = encryption.need(kind, None, None, volume.size)
    movable = allowed and volume.host and volume.status == VolumeStatus.AVAILABLE
    if not movable or snapshots.of_volume(tx, volume.id):
        migrations.refused(tx, volume, request_id)
        return
    key_id = keys.store(cloud, tx, need, ready)
    args = {"type_id": kind.id, "multiattach": volume_types.is_multiattach(kind), "key_id": key_id}
    migrations.begin(cloud, tx, volume, args, {"status": VolumeStatus.RETYPING}, request_id, FLOW)


def target(cloud: Cloud, volume: Volume, args: Mapping[str, Any]) -> Backend:
    """Where the volume goes: where it is, if it may stay. Raises as `choice.ranked`."""
    found = choice.ranked(cloud, asking.for_move(cloud, volume, args))
    return next((each for each in found if each.pool == volume.pool), found[0])


def words(cloud: Cloud, volume: Volume, args: Mapping[str, Any], *, back: bool = False) -> dict[str, Any]:
    """What a host has to know beside what it copies, of a volume that is not there yet; `back` the other way round."""
    have, wanted = (volume.volume_type_id, volume.encryption_key_id), (args["type_id"], args["key_id"])
    if back:
        have, wanted = wanted, have
    passphrase = "" if have[1] is None else keys.passphrase(cloud, have[1])
    return {"passphrase": passphrase, "container": keys.container_of(cloud, volume.id, *wanted)}


def stays(run: Run) -> bool:
    """Whether the volume is made anew where it is."""
    state = run.state
    return "host" in state and (state["host"], state["backend"]) == (state["source_host"], state["source_backend"])


def arrived(cloud: Cloud, tx: Tx, run: Run, place: Backend) -> None:
    """The new disk is there; where it is not in the place of the old one, that has to go yet, and its key with it."""
    volume, args = progress.volume(tx, run.subject), run.args
    if not stays(run):
        there = {"host": place.host, "backend": place.name, "availability_zone": place.availability_zone}
        left = {**migrations.left_behind(volume, args), "old_key": volume.encryption_key_id}
        changes = {**there, "encryption_key_id": args["key_id"]}
        migrations.depart(cloud, tx, volume, changes, left, run.request_id)
        return
    kind = {"volume_type_id": args["type_id"], "multiattach": args["multiattach"]}
    changes = {"migration_status": migrations.SUCCESS, "encryption_key_id": args["key_id"]}
    store.change(tx, volume.id, **changes, **kind, **migrations.rest(tx, volume))
    moves.remove(tx, volume.id)
    keys.delete(cloud, tx, volume.encryption_key_id)
    news.volume(cloud, tx, events.RETYPE, "", volume.id, run.request_id)


def failed(cloud: Cloud, tx: Tx, run: Run) -> None:
    """The volume is what it was, and nobody needs the new key."""
    keys.delete(cloud, tx, run.args["key_id"])
    volume, chosen = store.find(tx, run.subject), "host" in run.state
    migrations.failed(tx, run.subject, run.request_id, chosen=chosen)
    if volume is not None and chosen:
        messages.tell(
            tx, volume.project_id, run.request_id, "VOLUME", volume.id, messages.SCHEDULE, messages.UNKNOWN
        )  # fmt: skip
