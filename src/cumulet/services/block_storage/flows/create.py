# SPDX-License-Identifier: Apache-2.0
"""Making a volume: choose its host, have the bytes made there.

Arguments: `host` (where the source or the caller wants it, or ""), `spec` (the source, as in `VolumeSpec`).
"""

from __future__ import annotations

import msgspec

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import backends, messages, progress, volume_types
from cumulet.services.block_storage.types import GIB, VolumeSpec

COPY_TIME = 3600.0  # seconds that the making of the content may take


def place(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    specs = volume_types.extra_specs(run.cloud.db, volume.volume_type_id)
    host = volume.host or backends.choose(run.cloud, volume.size, specs, run.args["host"])
    return lambda tx: progress.placed(tx, volume.id, host)


def make(run: Run) -> Commit:
    volume = progress.volume(run.cloud.db, run.subject)
    source = run.args["spec"].get("source_volume_id")
    generation = 0 if source is None else progress.opener(run.cloud.db, source)
    spec = VolumeSpec(id=volume.id, size=volume.size * GIB, source_generation=generation, **run.args["spec"])
    with progress.fenced():
        run.cloud.hosts.call(volume.host, "volume.create", msgspec.to_builtins(spec), timeout=COPY_TIME)
    return lambda tx: progress.made(run.cloud, tx, volume.id, run.request_id)


def unmake(run: Run) -> None:
    volume = progress.find_volume(run.cloud.db, run.subject)
    if volume is not None and volume.host:
        run.cloud.hosts.call(volume.host, "volume.delete", {"id": volume.id})


def failed(run: Run) -> Commit:
    volume = progress.find_volume(run.cloud.db, run.subject)
    detail = messages.DRIVER_FAILED_CREATE if volume is not None and volume.host else messages.NO_BACKEND
    return lambda tx: progress.not_made(tx, run.subject, run.request_id, detail)


FLOW = Flow("block_storage.create", (Step("place", place), Step("make", make, unmake)), failed=failed)
