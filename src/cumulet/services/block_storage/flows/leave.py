# SPDX-License-Identifier: Apache-2.0
"""Removing what is left of a volume in the place that it has left; tried until it is done.

Arguments: `volume_id`, `host` and `backend`, and of one that gets another type `type_id` and `multiattach`, with
`old_key`, the key that only what is left needs.
"""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import NotReady
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.logic import backends, leaving, migrations, progress, sharing


def remove(run: Run) -> Commit:
    """Where a host is away, its volume that has gone to another one is free at once."""
    args = run.args
    volume = progress.find_volume(run.cloud.db, args["volume_id"])
    if volume is None or (volume.host, volume.backend) != (args["host"], args["backend"]):
        try:
            body = {"id": args["volume_id"], "backend": args["backend"]}
            sharing.call(run.cloud, args["host"], args["backend"], "volume.delete", body)
        except NotReady:
            if volume is None or volume.host == args["host"] or volume.migration_status != migrations.COMPLETING:
                raise
            run.go_on_at = "remove"
    return lambda tx: migrations.ended(run.cloud, tx, args, run.request_id)


def failed(run: Run) -> Commit:
    args = run.args
    there = backends.find(run.cloud.db, args["host"], args["backend"]) is not None

    def commit(tx: Tx) -> None:
        migrations.ended(run.cloud, tx, args, run.request_id)
        if there:  # else the operator has taken the back end away, with all that was on it
            leaving.begin(run.cloud, tx, args, run.request_id)

    return commit


FLOW = Flow("block_storage.leave", (Step("remove", remove),), failed=failed)
