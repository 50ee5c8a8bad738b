# SPDX-License-Identifier: Apache-2.0
"""Making an image of a volume. Arguments: `image_id` (a queued image) and `format`."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import images, progress, sharing

COPY_TIME = 3600.0  # seconds that copying and sending may take


def send(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    generation = progress.opener(run.cloud.db, volume.id)
    body = {
        "id": volume.id,
        "image_id": run.args["image_id"],
        "format": run.args["format"],
        "attached": generation > 0,
        "generation": generation,
        "backend": volume.backend,
    }
    # What was sent before a crash is not sent again: the image would refuse it.
    if not images.is_made(run.cloud, run.args["image_id"]):
        with progress.fenced():
            place = volume.host, volume.backend
            sharing.call(run.cloud, *place, "volume.upload", body, opened=[volume.id], timeout=COPY_TIME)
    return lambda tx: progress.uploaded(tx, volume.id)


def failed(run: Run) -> Commit:
    def commit(tx: Tx) -> None:
        progress.not_uploaded(tx, run.subject, run.request_id)
        images.discard(run.cloud, tx, run.args["image_id"])

    return commit


FLOW = Flow("block_storage.upload", (Step("send", send),), failed=failed)
