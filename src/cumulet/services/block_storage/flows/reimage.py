# SPDX-License-Identifier: Apache-2.0
"""Writing an image over a volume.

Arguments: `image_id`, `image_format`, `metadata` (the image's words) and `snapshot_id`, that of a
snapshot which the image stands for, or None.
"""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import contents, keys, progress, sharing

COPY_TIME = 3600.0  # seconds that fetching and writing may take


def write(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    body = {"id": volume.id, "backend": volume.backend, "operation": contents.operation(run)}
    if run.args["snapshot_id"] is not None:
        verb, source = "volume.revert", {"snapshot_id": run.args["snapshot_id"], "attached": True}
    else:
        words = ("image_id", "image_format")
        verb, source = "volume.reimage", {word: run.args[word] for word in words}
        source |= {"container": keys.container(run.cloud, volume)}
    place = volume.host, volume.backend
    sharing.call(run.cloud, *place, verb, {**body, **source}, opened=[volume.id], timeout=COPY_TIME)
    return lambda tx: contents.reimaged(tx, volume.id, run.args["image_id"], run.args["metadata"])


def failed(run: Run) -> Commit:
    return lambda tx: contents.not_reimaged(tx, run.subject, run.request_id)


FLOW = Flow("block_storage.reimage", (Step("write", write),), failed=failed)
