# SPDX-License-Identifier: Apache-2.0
"""Making a volume larger, in a running server too. Argument: `size` in GiB."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import claims, progress
from cumulet.services.block_storage.types import GIB
from cumulet.services.compute.contract import ServersContract


def grow(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    size = int(run.args["size"])
    holders = claims.of_volume(run.cloud.db, volume.id)
    far = [one for one in holders if one.host not in (None, volume.host)]
    near = [one for one in holders if one not in far]
    if not any(_grow_in_server(run, one.server_id, volume.id, size * GIB) for one in near):
        body = {"id": volume.id, "size": size * GIB, "attached": bool(holders)}
        run.cloud.hosts.call(volume.host, "volume.extend", body)
    for one in far:
        # The disk is larger already; a running server has to be told.
        _grow_in_server(run, one.server_id, volume.id, size * GIB)
    return lambda tx: progress.extended(run.cloud, tx, volume.id, size, run.request_id)


def _grow_in_server(run: Run, server_id: str | None, volume_id: str, size: int) -> bool:
    """Let compute make the disk larger where a running server has it open."""
    if server_id is None or not run.cloud.contracts.offers(ServersContract):
        return False
    return run.cloud.contracts.use(ServersContract).resize_disk(server_id, volume_id, size, run.request_id)


def failed(run: Run) -> Commit:
    return lambda tx: progress.not_extended(tx, run.subject, run.request_id)


FLOW = Flow("block_storage.extend", (Step("grow", grow),), failed=failed)
