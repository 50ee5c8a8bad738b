# SPDX-License-Identifier: Apache-2.0
"""Taking in what a host has as a volume: look at it, then take it. Argument: `reference`."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import manageable, progress


def look(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    manageable.check_type(run.cloud.db, volume)
    name, size = manageable.look(run.cloud, volume, run.args["reference"])
    run.state["name"] = name
    return lambda tx: manageable.measured(tx, volume.id, size)


def take(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    manageable.adopt(run.cloud, volume, run.state["name"])
    return lambda tx: manageable.managed(run.cloud, tx, volume.id, run.request_id)


def give_back(run: Run) -> None:
    volume = progress.find_volume(run.cloud.db, run.subject)
    if volume is not None:
        manageable.abandon(run.cloud, volume, run.state["name"])


def failed(run: Run) -> Commit:
    return lambda tx: manageable.not_managed(tx, run.subject, run.request_id)


FLOW = Flow("block_storage.manage", (Step("look", look), Step("take", take, give_back)), failed=failed)
