# SPDX-License-Identifier: Apache-2.0
"""Making a backup of a server's root disk, and taking the oldest ones away."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.flows.one_step import failed
from cumulet.services.compute.logic import actions, backup, life, snapshots
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import TaskState

EVENT = "compute_backup_instance"


def copy(run: Run) -> Commit:
    """Let the host copy the disk and fill the image with it, once."""
    server = server_of(run)
    if not snapshots.is_made(run.cloud, run.args["image"]):
        tell_host(run, server, "create_image", LONG, image_id=run.args["image"])

    def commit(tx: Tx) -> None:
        backup.rotate(run.cloud, tx, run.subject, run.args["type"], run.args["rotation"])
        fresh = store.find(tx, run.subject)
        if fresh is not None and fresh.task_state == TaskState.IMAGE_BACKUP:
            life.reset_task(tx, fresh.id)
        actions.event_ended(tx, run.subject, run.request_id, EVENT, server.host)

    return commit


def _drop(run: Run, tx: Tx) -> None:
    backup.drop(run.cloud, tx, run.args["image"])


FLOW = Flow(life.BACKUP.flow, (Step("copy", copy),), failed(EVENT, also=_drop))
