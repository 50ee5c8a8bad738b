# SPDX-License-Identifier: Apache-2.0
"""Taking in what a host has as a snapshot: look at it, then take it. Argument: `reference`."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage import events
from cumulet.services.block_storage.logic import manageable, messages, progress
from cumulet.services.block_storage.types import SnapshotStatus


def look(run: Run) -> Commit:
    snapshot = progress.snapshot(run.cloud.db, run.subject)
    name, size = manageable.look(run.cloud, snapshot, run.args["reference"])
    run.state["name"] = name
    return lambda tx: manageable.snapshot_measured(tx, snapshot.id, size)


def take(run: Run) -> Commit:
    snapshot = progress.snapshot(run.cloud.db, run.subject)
    manageable.adopt(run.cloud, snapshot, run.state["name"])
    told = events.SNAPSHOT_MANAGE
    return lambda tx: progress.snapshot_made(run.cloud, tx, snapshot.id, run.request_id, told=told)


def give_back(run: Run) -> None:
    snapshot = progress.find_snapshot(run.cloud.db, run.subject)
    if snapshot is not None:
        manageable.abandon(run.cloud, snapshot, run.state["name"])


def failed(run: Run) -> Commit:
    action, detail = messages.SNAPSHOT_CREATE, messages.SNAPSHOT_NOT_MADE
    return lambda tx: progress.snapshot_failed(tx, run.subject, run.request_id, action, detail, SnapshotStatus.ERROR)


FLOW = Flow("block_storage.manage_snapshot", (Step("look", look), Step("take", take, give_back)), failed=failed)
