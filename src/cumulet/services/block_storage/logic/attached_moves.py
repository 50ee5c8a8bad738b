# SPDX-License-Identifier: Apache-2.0
"""The part of block storage in moving a volume that a server has: the target, the ways to it, and the rows.

The server's host exchanges the one disk for the other, or, where the server does not run, the content is copied closed.
"""

from __future__ import annotations

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage.contract import Connection
from cumulet.services.block_storage.logic import closed_moves, exports, progress
from cumulet.services.block_storage.store import attachments, moves
from cumulet.services.block_storage.types import GIB, Attachment, Backend, Volume, is_shared
from cumulet.services.block_storage.types.moves import Move
from cumulet.services.compute.contract import ServersContract

MAKE_TIME = 600.0  # seconds in which a host must have made an empty disk


def begin(cloud: Cloud, tx: Tx, volume: Volume, place: Backend, request_id: str) -> bool:
    """Have the volume's server move it; False where it has none. Conflict where nobody can move it."""
    claims = attachments.of_volumes(tx, [volume.id])
    if not claims:
        return False
    if len(claims) > 1:
        raise Conflict("Volumes that several servers have are not moved.", code="MultiattachSwapVolumeNotSupported")
    claim = claims[0]
    if not claim.managed or claim.server_id is None or not cloud.contracts.offers(ServersContract):
        raise Conflict("The volume is in use by somebody who cannot be asked to move it.", code="InvalidVolume")
    if is_shared(volume.host) or is_shared(place.host):
        raise Conflict("Volumes in use are not moved from or to a storage that hosts share.", code="InvalidVolume")
    cloud.contracts.use(ServersContract).move_volume(tx, claim.server_id, volume.id, request_id)
    return True


def make(cloud: Cloud, volume_id: str) -> None:
    """See that there is an empty disk at the target. Conflict where the volume does not move any more."""
    volume, move = _moving(cloud, volume_id)
    closed_moves.check_left(cloud, volume.id, move.host, move.backend)
    body = {"id": volume.id, "size": volume.size * GIB, "backend": move.backend}
    cloud.hosts.call(move.host, "volume.create", body, timeout=MAKE_TIME)


def drop(cloud: Cloud, volume_id: str) -> None:
    """Nothing is left at the target; nothing happens to a volume that has arrived."""
    volume, move = progress.find_volume(cloud.db, volume_id), moves.find(cloud.db, volume_id)
    if volume is not None and move is not None:
        cloud.hosts.call(move.host, "volume.delete", {"id": volume.id, "backend": move.backend})


def generation(cloud: Cloud, volume_id: str) -> int:
    """That of the attachment by which a server opens the target, 0 for a volume that does not move (any more)."""
    move = moves.find(cloud.db, volume_id)
    return 0 if move is None else move.generation


def connect(cloud: Cloud, volume_id: str, host: str, *, both: bool) -> Connection:
    """See that a server on `host` can open the target, and `both`, while it has the source open.

    Conflict where one host would have to export both: it has one export of a volume.
    """
    volume, move = _moving(cloud, volume_id)
    claim, there = _claim(cloud, volume_id), _there(volume, move)
    ways = [each for each in (volume, there) if not exports.is_direct(cloud.db, each, host)]
    if both and len(ways) == 2 and volume.host == there.host:
        raise Conflict(f"Host {volume.host} does not export both disks of a volume.", code="InvalidVolume")
    return exports.connect_to(cloud, there, claim, host, move.generation)


def disconnect(cloud: Cloud, volume_id: str, *, closed: bool) -> None:
    """Nobody can open the target over the network, nor, where the source is `closed`, that for the copy."""
    volume, move = progress.find_volume(cloud.db, volume_id), moves.find(cloud.db, volume_id)
    if volume is not None and move is not None:
        exports.close(cloud, _there(volume, move), move.generation)
        if closed:
            closed_moves.close(cloud, volume.id, closed_moves.between_hosts(volume, move))


def copy(cloud: Cloud, volume_id: str, operation: str) -> None:
    """Copy the content of the volume, which nobody has open, to the target, once for an `operation`.

    Whoever had a way to it over the network has none any more.
    """
    volume, move = _moving(cloud, volume_id)
    claim = _claim(cloud, volume_id)
    if not exports.is_direct(cloud.db, volume, claim.host or ""):
        exports.close(cloud, volume, claim.generation)
    way = closed_moves.between_hosts(volume, move)
    closed_moves.fetch(cloud, volume, way, "volume.receive", {}, operation)


def leave(cloud: Cloud, volume_id: str, host: str) -> None:
    """Close the way by which the server on `host` had the volume before."""
    volume, _ = _moving(cloud, volume_id)
    if not exports.is_direct(cloud.db, volume, host):
        for claim in attachments.of_volumes(cloud.db, [volume_id]):
            exports.close(cloud, volume, claim.generation)


def moved(tx: Tx, volume_id: str) -> Move:
    """The server has the volume there, by the target's generation."""
    move = moves.find(tx, volume_id)
    if move is None:
        raise Conflict(f"Volume {volume_id} does not move.", code="InvalidVolume")
    for claim in attachments.of_volumes(tx, [volume_id]):
        attachments.change(tx, claim.id, generation=move.generation)
    return move


def _moving(cloud: Cloud, volume_id: str) -> tuple[Volume, Move]:
    volume, move = progress.volume(cloud.db, volume_id), moves.find(cloud.db, volume_id)
    if move is None or not move.host:
        raise Conflict(f"Volume {volume_id} does not move.", code="InvalidVolume")
    return volume, move


def _claim(cloud: Cloud, volume_id: str) -> Attachment:
    claims = attachments.of_volumes(cloud.db, [volume_id])
    if not claims:
        raise Conflict(f"Volume {volume_id} was detached meanwhile.", code="InvalidVolume")
    return claims[0]


def _there(volume: Volume, move: Move) -> Volume:
    """The volume as it is when it has arrived."""
    changes = {} if move.type_id is None else {"volume_type_id": move.type_id}
    return msgspec.structs.replace(volume, host=move.host, backend=move.backend, **changes)
