# SPDX-License-Identifier: Apache-2.0
"""Moving the content of a volume that nobody has open; each piece of work may be done again. They wait for hosts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import NotReady
from cumulet.services.block_storage.logic import leaving, sharing
from cumulet.services.block_storage.types import GIB, Volume
from cumulet.services.block_storage.types.moves import Move

COPY_TIME = 3600.0  # seconds that the copy may take
EXPORT_TIME = 60.0


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """Where a volume comes from and where it goes; `source_at` gives and `at` fetches, the hosts that do the work.

    `generation` is that of an attachment of its own, by which the source is exported for the copy.
    """

    source_host: str
    source_backend: str
    source_at: str
    host: str
    backend: str
    at: str
    generation: int

    @property
    def source(self) -> tuple[str, str]:
        return self.source_host, self.source_backend

    @property
    def target(self) -> tuple[str, str]:
        return self.host, self.backend


def between_hosts(volume: Volume, move: Move) -> Way:
    """That of a volume between back ends that each belong to one host."""
    source = {"source_host": volume.host, "source_backend": volume.backend, "source_at": volume.host}
    return Way(**source, host=move.host, backend=move.backend, at=move.host, generation=move.generation)


def fetch(cloud: Cloud, volume: Volume, way: Way, verb: str, words: Mapping[str, Any], operation: str) -> None:
    """Have the target fetch the content. An export of its own keeps everybody else from the source meanwhile."""
    check_left(cloud, volume.id, *way.target)
    body: dict[str, Any] = {"id": volume.id, "backend": way.backend, "size": volume.size * GIB}
    body["operation"] = operation
    if way.at == way.source_at:
        body["source"] = way.source_backend
    else:
        export = {"generation": way.generation, "client": way.at, "backend": way.source_backend}
        order = "volume.export", {"id": volume.id, **export}
        body["remote"] = sharing.call(cloud, *way.source, *order, by=way.source_at, timeout=EXPORT_TIME)
    sharing.call(cloud, *way.target, verb, {**body, **words}, by=way.at, timeout=COPY_TIME)
    close(cloud, volume.id, way)


def drop(cloud: Cloud, volume_id: str, way: Way) -> None:
    """Nothing is left at the target, and nobody is kept from the source."""
    close(cloud, volume_id, way)
    body = {"id": volume_id, "backend": way.backend}
    sharing.call(cloud, *way.target, "volume.delete", body, by=way.at)


def check_left(cloud: Cloud, volume_id: str, host: str, backend: str) -> None:
    """Raise NotReady while there is something in a place of a time at which the volume was there."""
    if cloud.sagas.unfinished(cloud.db, leaving.subject(volume_id, host, backend)):
        raise NotReady("What was left of the volume there is still to be removed.")


def close(cloud: Cloud, volume_id: str, way: Way) -> None:
    """End the export from which the copy is made; a host that is away does so when it is back."""
    if way.at != way.source_at:
        body = {"id": volume_id, "generation": way.generation, "backend": way.source_backend}
        try:
            sharing.call(cloud, *way.source, "volume.unexport", body, by=way.source_at)
        except NotReady:
            return
