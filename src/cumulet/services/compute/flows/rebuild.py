# SPDX-License-Identifier: Apache-2.0
"""A server's disks made anew from an image."""

from __future__ import annotations

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.flows.one_step import arrived, failed
from cumulet.services.compute.logic import life, personality, power, servers, spec, volumes
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import PowerState, Server, TaskState, VmState
from cumulet.services.network.contract import NetworkContract

EVENT = "compute_rebuild_instance"


def prepare(run: Run) -> Commit:
    """Wait until the host has the server's ports with all their rules."""
    server = server_of(run)
    run.cloud.contracts.use(NetworkContract).converge(server.host)

    def commit(tx: Tx) -> None:
        fresh = store.find(tx, server.id)
        if fresh is not None and fresh.task_state == TaskState.REBUILDING:
            servers.change(tx, server.id, task_state=TaskState.REBUILD_SPAWNING.value)

    return commit


def make(run: Run) -> Commit:
    """Let the host throw the disks away and make new ones, once; a server that was off stays off."""
    server = server_of(run)
    image, root = run.args["image"], None
    connections = volumes.connect_all(run.cloud, server)
    for device in volumes.attached(run.cloud.db, server):
        if device.volume_id == run.args["root"]:
            root = msgspec.to_builtins(spec.volume_spec(device, connections.get(device.attachment_id or "")))
    wanted = spec.server_spec(run.cloud, server, connections, personality.of(run.args))
    tell_host(
        run,
        server,
        "rebuild",
        LONG,
        spec=msgspec.to_builtins(wanted, builtin_types=(bytes,)),
        operation=str(run.id),
        keep_ephemeral=run.args["keep_ephemeral"],
        root=root,
        image_id=image["id"],
        image_format=image["format"],
        start=run.args["was"] != VmState.STOPPED,
        timeout=run.cloud.settings.compute.stop_timeout,
    )
    return lambda tx: arrived(run, tx, EVENT, _made)


def _made(run: Run, tx: Tx, server: Server) -> None:
    if run.args["root"] is not None:
        run.cloud.contracts.use(VolumesContract).set_bootable(tx, run.args["root"], run.args["image"]["words"])
    if run.args["was"] == VmState.STOPPED:
        power.arrived(tx, server.id, VmState.STOPPED, PowerState.SHUTDOWN)
    else:
        power.arrived(tx, server.id, VmState.ACTIVE, PowerState.RUNNING)
        servers.change(tx, server.id, launched_at=clock.utcnow())


FLOW = Flow(life.REBUILD.flow, (Step("prepare", prepare), Step("make", make)), failed(EVENT, breaks=True))
