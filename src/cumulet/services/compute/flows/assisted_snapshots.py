# SPDX-License-Identifier: Apache-2.0
"""Snapshots of attached volumes, taken and forgotten by the server's hypervisor."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict
from cumulet.kernel.saga import Flow, Run, Step
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.logic import assisted_snapshots, volumes


def snapshot(run: Run) -> None:
    """Let the host do it; Conflict where no running server has the volume open."""
    server, volume_id = server_of(run), run.args["volume"]
    words = {"volume_id": volume_id, "name": run.args["name"], "drop": run.args["drop"]}
    generation = volumes.generation_of(run.cloud, server.id, volume_id)
    if not tell_host(run, server, "snapshot_disk", LONG, generation=generation, **words)["done"]:
        raise Conflict(f"Volume {volume_id} is not open in a running server.")


FLOW = Flow(assisted_snapshots.FLOW, (Step("snapshot", snapshot),))
