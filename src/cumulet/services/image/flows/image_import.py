# SPDX-License-Identifier: Apache-2.0
"""Importing an image: have its data staged, prepare them, fill the stores with them.

The subject is the image, whose lock names the task that the import is known by. Arguments: see `logic.importing.Terms`.
"""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.image.logic import import_data, import_sources, importing, tasks


def fetch(run: Run) -> Commit | None:
    run.cloud.db.write(lambda tx: tasks.begin(run.cloud, tx, run.args["task_id"]))
    return import_sources.fetch(run)


def failed(run: Run) -> Commit:
    importing.clear(run)
    return lambda tx: importing.failed(run, tx)


FLOW = Flow(
    importing.FLOW,
    (
        Step("fetch", fetch),
        Step("prepare", import_data.prepare),
        Step("fill", import_data.fill, import_data.unfill),
    ),
    failed=failed,
)
