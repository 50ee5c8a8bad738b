# SPDX-License-Identifier: Apache-2.0
"""Making a group: choose the back end that its volumes will be on."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import group_progress
from cumulet.services.block_storage.logic.scheduler import asking, choice


def place(run: Run) -> Commit:
    group = group_progress.group(run.cloud.db, run.subject)
    asked = [asking.for_type(run.cloud, type_id, [group.availability_zone]) for type_id in group.volume_types]
    chosen = choice.for_all(run.cloud, asked)
    return lambda tx: group_progress.placed(run.cloud, tx, run.subject, chosen, run.request_id)


def failed(run: Run) -> Commit:
    return lambda tx: group_progress.failed(tx, run.subject)


FLOW = Flow("block_storage.create_group", (Step("place", place),), failed=failed)
