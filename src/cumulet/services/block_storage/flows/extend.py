# SPDX-License-Identifier: Apache-2.0
"""Making a volume larger, in a running server too. Argument: `size` in GiB."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import claims, progress
from cumulet.services.block_storage.types import GIB, Attachment
from cumulet.services.compute.contract import ServersContract


def grow(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    size = int(run.args["size"])
    holders = claims.of_volume(run.cloud.db, volume.id)
    far = [one for one in holders if volume.multiattach or one.host not in (None, volume.host)]
    near = [one for one in holders if one not in far]
    with progress.fenced():
        if not any(_grow_in_server(run, one, size * GIB) for one in near):
            generation = progress.opener(run.cloud.db, volume.id)
            body = {"id": volume.id, "size": size * GIB, "attached": bool(holders), "generation": generation}
            run.cloud.hosts.call(volume.host, "volume.extend", body)
        for one in far:
            # The disk is larger already; a running server has to be told.
            _grow_in_server(run, one, size * GIB)
    return lambda tx: progress.extended(run.cloud, tx, volume.id, size, run.request_id)


def _grow_in_server(run: Run, claim: Attachment, size: int) -> bool:
    """Let compute make the disk larger where a running server has it open."""
    if claim.server_id is None or not run.cloud.contracts.offers(ServersContract):
        return False
    servers = run.cloud.contracts.use(ServersContract)
    return servers.resize_disk(claim.server_id, claim.volume_id, size, run.request_id, generation=claim.generation)


def failed(run: Run) -> Commit:
    return lambda tx: progress.not_extended(tx, run.subject, run.request_id)


FLOW = Flow("block_storage.extend", (Step("grow", grow),), failed=failed)
