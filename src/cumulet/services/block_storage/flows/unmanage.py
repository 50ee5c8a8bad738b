# SPDX-License-Identifier: Apache-2.0
"""Giving a volume's bytes back to its host's operator: first the file, then the row."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import manageable, progress


def give_back(run: Run) -> Commit:
    volume = progress.find_volume(run.cloud.db, run.subject)
    if volume is not None and volume.host:
        manageable.abandon(run.cloud, volume)
    return lambda tx: manageable.unmanaged(run.cloud, tx, run.subject, run.request_id)


def failed(run: Run) -> Commit:
    return lambda tx: manageable.not_unmanaged(tx, run.subject)


FLOW = Flow("block_storage.unmanage", (Step("give_back", give_back),), failed=failed)
