# SPDX-License-Identifier: Apache-2.0
"""What opens volumes over iSCSI: kept sealed in the vault, by volume and the generation of the attachment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.block_storage.contract import RemoteDisk
from cumulet.services.block_storage.store import admissions, backends, moves
from cumulet.services.block_storage.store import attachments as store
from cumulet.services.block_storage.types import Volume

PROTOCOL = "iSCSI"


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """How `client` (a host, or an initiator's own name) opens a volume."""

    client: str
    remote: RemoteDisk
    secret: str


def is_served(source: Source, volume: Volume) -> bool:
    """Whether the volume's back end opens its volumes by iSCSI alone."""
    found = backends.find(source, volume.host, volume.backend) if volume.host else None
    return found is not None and found.report.get("capabilities", {}).get("storage_protocol") == PROTOCOL


def keep(cloud: Cloud, volume_id: str, generation: int, way: Way) -> None:
    """Remember it for as long as the attachment is there."""
    # Those on the move too: one for the old place, one for the new.
    move = moves.find(cloud.db, volume_id)
    wanted = {claim.generation for claim in store.of_volumes(cloud.db, [volume_id])}
    wanted |= {one.generation for one in admissions.of_volumes(cloud.db, [volume_id])}
    wanted |= {move.generation} if move is not None else set()

    def change(old: dict[int, Way]) -> dict[int, Way]:
        kept = {each: have for each, have in old.items() if each in wanted}
        return {**kept, generation: way}

    _change(cloud, volume_id, change)


def forget(cloud: Cloud, volume_id: str, generation: int) -> None:
    """The attachment with this generation is over."""
    if generation not in ways(cloud, volume_id):
        return
    left = _change(cloud, volume_id, lambda old: {each: way for each, way in old.items() if each != generation})
    if not left:
        cloud.vault.remove(_name(volume_id))


def forget_all(cloud: Cloud, tx: Tx, volume_id: str) -> None:
    """The volume is gone."""
    cloud.vault.remove(_name(volume_id), tx)


def ways(cloud: Cloud, volume_id: str) -> dict[int, Way]:
    """All of them, by generation."""
    return _decode(cloud.vault.get(_name(volume_id)))


def secret(cloud: Cloud, host: str, body: dict[str, Any]) -> dict[str, str]:
    """The secret of `host` for the attachment `generation` of the volume `id`. NotFound for that of any other."""
    found = ways(cloud, str(body.get("id", ""))).get(int(body.get("generation", 0)))
    if found is None or found.client != host:
        raise NotFound("There is no such way to a volume of this host's.")
    return {"secret": found.secret}


def _change(cloud: Cloud, volume_id: str, change: Callable[[dict[int, Way]], dict[int, Way]]) -> dict[int, Way]:
    return _decode(cloud.vault.change(_name(volume_id), lambda old: msgspec.json.encode(change(_decode(old)))))


def _decode(kept: bytes | None) -> dict[int, Way]:
    return {} if kept is None else msgspec.json.decode(kept, type=dict[int, Way])


def _name(volume_id: str) -> str:
    return f"block_storage.chap.{volume_id}"
