# SPDX-License-Identifier: Apache-2.0
"""Making an image of a server: of its root disk, or of its volumes."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.logic import actions, servers, snapshots
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import TaskState
from cumulet.services.image.contract import ImageContract

EVENT = "compute_snapshot_instance"


def copy(run: Run) -> Commit:
    """Let the host copy the disk and fill the image with it."""
    server = server_of(run)
    # What was sent before a crash is not sent again: the image would refuse it.
    if not snapshots.is_made(run.cloud, run.args["image"]):
        tell_host(run, server, "create_image", LONG, image_id=run.args["image"])
    return lambda tx: _done(run, tx, None)


def failed(run: Run) -> Commit:
    def commit(tx: Tx) -> None:
        run.cloud.contracts.use(ImageContract).delete(tx, run.args["image"])
        _done(run, tx, run.error)

    return commit


def _done(run: Run, tx: Tx, error: str | None) -> None:
    server = store.find(tx, run.subject)
    if server is None:
        return
    if server.task_state == TaskState.IMAGE_SNAPSHOT:
        servers.change(tx, server.id, task_state=None)
    actions.event_ended(tx, server.id, run.request_id, EVENT, server.host, error)


def snapshot(run: Run) -> Commit:
    """Wait until all snapshots are whole: then the image that names them can be used."""
    snapshots.wait(run.cloud, run.cloud.db, run.args["snapshots"])

    def commit(tx: Tx) -> None:
        if not run.cloud.contracts.use(ImageContract).activate_empty(tx, run.args["image"]):
            # Deleted meanwhile; snapshots stay when an image goes.
            return _done(run, tx, f"Image {run.args['image']} could not be found.")
        return _done(run, tx, None)

    return commit


def drop_snapshots(run: Run) -> Commit:
    """Without an image nobody would find them."""
    return lambda tx: snapshots.drop(run.cloud, tx, run.args["snapshots"], run.request_id)


FLOWS = (
    Flow(snapshots.CREATE_IMAGE, (Step("copy", copy),), failed),
    Flow(snapshots.CREATE_VOLUME_IMAGE, (Step("snapshot", snapshot, drop_snapshots),), failed),
)
