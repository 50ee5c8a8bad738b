# SPDX-License-Identifier: Apache-2.0
"""Making a volume larger, in a running server too. Argument: `size` in GiB."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import progress
from cumulet.services.block_storage.types import GIB


def grow(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    size = int(run.args["size"])
    attached = progress.is_claimed(run.cloud.db, volume.id)
    run.cloud.hosts.call(volume.host, "volume.extend", {"id": volume.id, "size": size * GIB, "attached": attached})
    return lambda tx: progress.extended(run.cloud, tx, volume.id, size, run.request_id)


def failed(run: Run) -> Commit:
    return lambda tx: progress.not_extended(tx, run.subject, run.request_id)


FLOW = Flow("block_storage.extend", (Step("grow", grow),), failed=failed)
