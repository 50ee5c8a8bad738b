# SPDX-License-Identifier: Apache-2.0
"""Shelving a server, letting it leave its host, and having it run again."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.flows.one_step import arrived, failed
from cumulet.services.compute.logic import life, parts, scheduling, servers, shelve, snapshots, spec, volumes
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import PowerState, Server, TaskState, VmState
from cumulet.services.image.contract import ImageContract
from cumulet.services.network.contract import GivenDevice, NetworkContract
from cumulet.services.placement.contract import PlacementContract

SHELVE_EVENT = "compute_shelve_instance"
OFFLOAD_EVENT = "compute_shelve_offload_instance"
UNSHELVE_EVENT = "compute_unshelve_instance"


def stop(run: Run) -> Commit:
    """Switch the server off, gently."""
    server = server_of(run)
    tell_host(run, server, "stop", LONG, timeout=run.cloud.settings.compute.stop_timeout)
    return lambda tx: _go_on(tx, server.id, TaskState.SHELVING, TaskState.SHELVING_IMAGE_UPLOADING)


def start_again(run: Run) -> None:
    server = store.find(run.cloud.db, run.subject)
    if server is not None and server.host and run.args["was"] in (VmState.ACTIVE, VmState.PAUSED):
        tell_host(run, server, "start", LONG)


def copy(run: Run) -> Commit:
    """Let the host fill the image with the root disk, once."""
    server, image = server_of(run), run.args["image"]
    if image is not None and not snapshots.is_made(run.cloud, image):
        tell_host(run, server, "create_image", LONG, image_id=image)
    return lambda tx: arrived(run, tx, SHELVE_EVENT, _shelved)


def destroy(run: Run) -> Commit | None:
    """Let the host remove the server with all its files."""
    server = server_of(run)
    run.state["host"] = server.host
    tell_host(run, server, "destroy", LONG)
    for device in volumes.attached(run.cloud.db, server):
        volumes.disconnect(run.cloud, device)
    return lambda tx: arrived(run, tx, OFFLOAD_EVENT, _offloaded)


def tidy(run: Run) -> Commit | None:
    """Let the host take the ports' rules away."""
    run.cloud.contracts.use(NetworkContract).nudge(run.state["host"])
    return None


def offload_failed(run: Run) -> Commit:
    """A server that its host let go of already is off it all the same."""
    server = store.find(run.cloud.db, run.subject)
    is_gone = False
    if server is not None and server.host:
        try:
            is_gone = PowerState(tell_host(run, server, "power")["power"]) is PowerState.NOSTATE
        except CumuletError:
            is_gone = False
    if is_gone:
        return lambda tx: arrived(run, tx, OFFLOAD_EVENT, _offloaded)
    return failed(OFFLOAD_EVENT)(run) or (lambda tx: None)


def claim(run: Run) -> Commit | None:
    """Choose a host, unless the server is on one still, and hold what it takes there."""
    server = server_of(run)
    if server.host and not run.state.get("moves"):
        return None
    run.state["moves"] = True
    asked = run.cloud.contracts.use(NetworkContract).resource_requests(run.cloud.db, server.id)
    place = scheduling.choose(run.cloud, server, run.args["host"], ports=asked)

    def commit(tx: Tx) -> None:
        devices = scheduling.claim(run.cloud, tx, server, place, asked)
        _bind(run, tx, place.name, place.ways[0].mappings, devices)
        servers.change(tx, server.id, host=place.name)

    return commit


def give_back(run: Run) -> Commit | None:
    if not run.state.get("moves"):
        return None

    def commit(tx: Tx) -> None:
        run.cloud.contracts.use(PlacementContract).release(tx, run.subject)
        parts.release(tx, run.subject)
        _bind(run, tx, "")
        servers.change(tx, run.subject, host="")

    return commit


def spawn(run: Run) -> Commit:
    """Let the host make the server of its image and start it, or start the one that it has."""
    server = server_of(run)
    run.cloud.contracts.use(NetworkContract).converge(server.host)
    if not run.state.get("moves"):
        tell_host(run, server, "start", LONG)
        return lambda tx: arrived(run, tx, UNSHELVE_EVENT, _unshelved)
    connections = volumes.connect_all(run.cloud, server)
    body = spec.server_spec(run.cloud, server, connections)
    image_id = life.find(run.cloud.db, server.id).shelved_image_id
    if image_id is not None:
        body = msgspec.structs.replace(body, image_id=image_id, image_format="qcow2")
    tell_host(run, server, "build", LONG, spec=msgspec.to_builtins(body, builtin_types=(bytes,)))
    return lambda tx: arrived(run, tx, UNSHELVE_EVENT, _unshelved)


def remove(run: Run) -> None:
    """Off the host again, as it was."""
    server = store.find(run.cloud.db, run.subject)
    if server is None or not server.host:
        return
    if not run.state.get("moves"):
        tell_host(run, server, "stop", LONG, timeout=0)
        return
    tell_host(run, server, "destroy", LONG)
    for device in volumes.attached(run.cloud.db, server):
        volumes.disconnect(run.cloud, device)


def _go_on(tx: Tx, server_id: str, before: TaskState, after: TaskState) -> None:
    server = store.find(tx, server_id)
    if server is not None and server.task_state == before:
        servers.change(tx, server_id, task_state=after.value)


def _bind(
    run: Run,
    tx: Tx,
    host: str,
    given: Mapping[str, str] = MappingProxyType({}),
    devices: Mapping[str, GivenDevice] = MappingProxyType({}),
) -> None:
    network = run.cloud.contracts.use(NetworkContract)
    network.bind(
        tx, [port.id for port in network.ports_of(tx, [run.subject]).get(run.subject, [])], host, given, devices
    )


def _shelved(run: Run, tx: Tx, server: Server) -> None:
    shelve.shelved(run.cloud, tx, server, run.request_id)


def _offloaded(run: Run, tx: Tx, server: Server) -> None:
    shelve.offloaded(run.cloud, tx, server)


def _unshelved(run: Run, tx: Tx, server: Server) -> None:
    shelve.unshelved(run.cloud, tx, server)


def _drop_image(run: Run, tx: Tx) -> None:
    if run.args["image"] is not None:
        run.cloud.contracts.use(ImageContract).delete(tx, run.args["image"])


FLOWS = (
    Flow(
        life.SHELVE.flow,
        (Step("stop", stop, start_again), Step("copy", copy)),
        failed(SHELVE_EVENT, also=_drop_image),
    ),
    Flow(life.SHELVE_OFFLOAD.flow, (Step("destroy", destroy), Step("tidy", tidy)), offload_failed),
    Flow(
        life.UNSHELVE.flow,
        (Step("claim", claim, give_back), Step("spawn", spawn, remove)),
        failed(UNSHELVE_EVENT),
    ),
)
