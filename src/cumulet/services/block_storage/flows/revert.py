# SPDX-License-Identifier: Apache-2.0
"""Making a volume what it was at its latest snapshot. Argument: `snapshot_id`.

The host exchanges the content at once: whatever is killed, the volume has the old one or the new one.
"""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import contents, progress, sharing

COPY_TIME = 3600.0  # seconds that the copy may take


def put_back(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    snapshot_id = run.args["snapshot_id"]
    body = {"id": volume.id, "backend": volume.backend, "snapshot_id": snapshot_id}
    body["operation"] = contents.operation(run)
    place = volume.host, volume.backend
    sharing.call(run.cloud, *place, "volume.revert", body, opened=[volume.id], timeout=COPY_TIME)
    return lambda tx: contents.reverted(run.cloud, tx, volume.id, snapshot_id, run.request_id)


def failed(run: Run) -> Commit:
    snapshot_id = run.args["snapshot_id"]
    return lambda tx: contents.reverted(run.cloud, tx, run.subject, snapshot_id, run.request_id, failed=True)


FLOW = Flow("block_storage.revert", (Step("put_back", put_back),), failed=failed)
