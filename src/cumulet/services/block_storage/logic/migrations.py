# SPDX-License-Identifier: Apache-2.0
"""Volumes on their way to another back end, of their host or of another one, because somebody asks or for their type.

While a volume is on the move (`migration_status`) nobody can attach it, take a snapshot of it or delete it. The room
where it goes is its own from the moment at which that is chosen, and so is its new type's quota, from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import (
    attached_moves,
    backends,
    claims,
    keys,
    leaving,
    messages,
    news,
    progress,
    volume_types,
    volumes,
)
from cumulet.services.block_storage.logic.refusals import invalid_volume
from cumulet.services.block_storage.logic.scheduler import asking, choice
from cumulet.services.block_storage.logic.scheduler.asked import Asked
from cumulet.services.block_storage.store import moves, snapshots
from cumulet.services.block_storage.store import volumes as store
from cumulet.services.block_storage.types import AttachStatus, Backend, Volume, VolumeStatus, VolumeType
from cumulet.services.block_storage.types.moves import Move

STARTING, MIGRATING, COMPLETING, SUCCESS, ERROR = "starting", "migrating", "completing", "success", "error"
_HELD = (VolumeStatus.MAINTENANCE, VolumeStatus.RETYPING)  # what a volume may be for as long as it moves


def migrate(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, place: str, *, lock: bool) -> None:
    """Begin to move the volume to the back end called `place`; `lock` keeps everybody from it meanwhile."""
    volume = volumes.get(tx, ctx, volume_id)
    target = _serving(tx, place)
    here = (volume.host, volume.backend) == (target.host, target.name)
    movable = volume.status in (VolumeStatus.AVAILABLE, VolumeStatus.IN_USE) and not is_moving(tx, volume)
    held = volume.group_id is not None or bool(snapshots.of_volume(tx, volume_id))
    if not movable or here or not volume.host or held:
        raise invalid_volume(
            f"Volume {volume_id} status must be available or in-use, must not be migrating, have snapshots, be "
            "replicated, be part of a group and destination host/cluster must be different than the current one"
        )
    lock = lock and volume.status == VolumeStatus.AVAILABLE
    changes: dict[str, Any] = {"status": VolumeStatus.MAINTENANCE} if lock else {}
    begin(cloud, tx, volume, {"host": target.host, "backend": target.name}, changes, ctx.request_id)


def retype(cloud: Cloud, tx: Tx, volume: Volume, kind: VolumeType, request_id: str, *, allowed: bool) -> None:
    """Begin to move the volume to a back end that its new type asks for; its user is told where that cannot be."""
    if not allowed or snapshots.of_volume(tx, volume.id):
        refused(tx, volume, request_id)
        return
    args = {"type_id": kind.id, "multiattach": volume_types.is_multiattach(kind)}
    begin(cloud, tx, volume, args, {"status": VolumeStatus.RETYPING}, request_id)


def complete(cloud: Cloud, tx: Tx, ctx: Context, volume_id: str, new_id: str, *, error: bool) -> str:
    """What a compute service says when it has exchanged two volumes; the id of the volume that goes on.

    Of volumes that do not move, the attachments of the first become the second's. Invalid for those that do: no volume
    moves into another one here.
    """
    volume, new = volumes.get(tx, ctx, volume_id), volumes.get(tx, ctx, new_id)
    if not volume.migration_status and not new.migration_status:
        for one in [] if error else claims.of_volume(tx, volume_id):
            claims.take_away(cloud, tx, ctx, one)
            claims.attach(cloud, tx, volumes.get(tx, ctx, new_id), one.server_id, one.host, one.device or "", "rw")
        return new_id
    if not volume.migration_status:
        raise invalid_volume("Source volume not mid-migration.")
    if not new.migration_status:
        raise invalid_volume("Destination volume not mid-migration.")
    raise invalid_volume(f"Destination has migration_status {new.migration_status}, expected target:{volume_id}.")


def target(cloud: Cloud, volume: Volume, args: Any) -> Backend:
    """Where the volume goes: Conflict where nobody can take it, NotReady while nobody can be asked."""
    found = choice.ranked(cloud, asking.for_move(cloud, volume, args))
    elsewhere = next((each for each in found if each.pool != volume.pool), None)
    if elsewhere is None:
        raise Conflict(choice.NOWHERE, code="NoValidBackend")
    return elsewhere


def hands(source: Source, volume: Volume, target: Backend) -> tuple[str, str]:
    """The hosts that fetch the volume and that give it: the same one where one reaches both places."""
    given = backends.get(source, volume.pool)
    both = [host for host in (target.keeper, given.keeper, *target.hosts) if host in {*target.hosts} & {*given.hosts}]
    return (both[0], both[0]) if both else (target.keeper, given.keeper)


def is_moving(source: Source, volume: Volume) -> bool:
    """Whatever an administrator says of it."""
    return volume.is_migrating or moves.find(source, volume.id) is not None


def begun(cloud: Cloud, tx: Tx, volume_id: str, asked: Asked, place: Backend, request_id: str) -> None:
    """Take the room at the place, where that is another one; NotReady where somebody else has it by now.

    A volume that a server has is moved by that.
    """
    volume = progress.volume(tx, volume_id)
    generation = volume.generation + 1
    if moves.find(tx, volume_id) is None:  # it was asked for in the release before
        moves.add(tx, Move(volume_id=volume_id, project_id=volume.project_id, size=volume.size))
    if place.pool != volume.pool:
        choice.take(cloud, tx, asked, [place])
        attached = attached_moves.begin(cloud, tx, volume, place, request_id)
        words = {"host": place.host, "backend": place.name}
        moves.change(tx, volume_id, generation=generation, attached=attached, **words)
    store.change(tx, volume_id, migration_status=MIGRATING, generation=generation)


def arrived(cloud: Cloud, tx: Tx, volume_id: str, place: Backend, args: Mapping[str, Any], request_id: str) -> None:
    """The volume is there now, with all that it holds; what is left where it was has to go yet."""
    volume = progress.volume(tx, volume_id)
    there = {"host": place.host, "backend": place.name, "availability_zone": place.availability_zone}
    depart(cloud, tx, volume, there, left_behind(volume, args), request_id)


def depart(
    cloud: Cloud, tx: Tx, volume: Volume, there: Mapping[str, Any], left: Mapping[str, Any], request_id: str
) -> None:
    """The volume is elsewhere from now on, and of its new type; what is left of it, see `left_behind`, is removed."""
    kind = {"volume_type_id": left["type_id"], "multiattach": left["multiattach"]} if "type_id" in left else {}
    store.change(tx, volume.id, migration_status=COMPLETING, **there, **kind)
    leaving.begin(cloud, tx, left, request_id)
    moves.remove(tx, volume.id)


def left_behind(volume: Volume, args: Mapping[str, Any]) -> dict[str, Any]:
    """What `leave` has to know of a volume that is elsewhere from now on."""
    kind = {name: args[name] for name in ("type_id", "multiattach") if name in args}
    return {"volume_id": volume.id, "host": volume.host, "backend": volume.backend, **kind}


def ended(cloud: Cloud, tx: Tx, args: Mapping[str, Any], request_id: str) -> None:
    """The volume `volume_id` is where it was to go, and what it was before, maybe of another type."""
    volume_id = args["volume_id"]
    volume = store.find(tx, volume_id)
    if volume is not None and volume.migration_status == COMPLETING:
        kind = {"volume_type_id": args["type_id"], "multiattach": args["multiattach"]} if "type_id" in args else {}
        store.change(tx, volume_id, migration_status=SUCCESS, **rest(tx, volume), **kind)
        keys.delete(cloud, tx, args.get("old_key"))
        if kind:
            news.volume(cloud, tx, events.RETYPE, "", volume_id, request_id)


def failed(tx: Tx, volume_id: str, request_id: str, *, chosen: bool) -> None:
    """The volume is where it was, and what it was; without a `chosen` place its user is told that there is none."""
    volume = store.find(tx, volume_id)
    if volume is None:
        return
    store.change(tx, volume_id, migration_status=ERROR, **rest(tx, volume))
    moves.remove(tx, volume_id)
    if not chosen:
        refused(tx, volume, request_id)


def rest(tx: Tx, volume: Volume) -> dict[str, str]:
    """The status that a volume has when it does not move any more."""
    if volume.status not in _HELD:
        return {}
    attached = any(claim.status == AttachStatus.ATTACHED for claim in claims.of_volume(tx, volume.id))
    return {"status": VolumeStatus.IN_USE if attached else VolumeStatus.AVAILABLE}


def begin(
    cloud: Cloud,
    tx: Tx,
    volume: Volume,
    args: dict[str, Any],
    changes: dict[str, Any],
    request_id: str,
    flow: str = "block_storage.migrate",
) -> None:
    store.change(tx, volume.id, migration_status=STARTING, previous_status=volume.status, **changes)
    new = Move(volume_id=volume.id, project_id=volume.project_id, size=volume.size)
    new.type_id, new.multiattach = args.get("type_id"), args.get("multiattach")
    moves.add(tx, new)
    cloud.sagas.start(tx, flow, volume.id, args, request_id)


def refused(tx: Tx, volume: Volume, request_id: str) -> None:
    """Tell the user that there is no place for the volume."""
    messages.tell(
        tx, volume.project_id, request_id, "VOLUME", volume.id, messages.SCHEDULE, messages.NO_BACKEND
    )  # fmt: skip


def _serving(tx: Tx, place: str) -> Backend:
    refusal = Invalid(f"Invalid host: No available service named '{place}'", code="InvalidHost")
    try:
        found = backends.get(tx, place)
    except NotFound as error:
        raise refusal from error
    if found.disabled or not backends.is_up(found):
        raise refusal
    return found
