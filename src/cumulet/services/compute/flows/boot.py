# SPDX-License-Identifier: Apache-2.0
"""From a row to a running server."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.link.outcome import RemoteFailure
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.contract import BootVolume, VolumesContract
from cumulet.services.compute import events
from cumulet.services.compute.flows.common import LONG, context_of, server_of, tell_host
from cumulet.services.compute.logic import (
    actions,
    attempts,
    create,
    hosts,
    parts,
    personality,
    scheduling,
    servers,
    spec,
    volumes,
)
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import PowerState, Server, TaskState, VmState
from cumulet.services.network.contract import NetworkContract
from cumulet.services.placement.contract import PlacementContract

EVENT = "compute__do_build_and_run_instance"


def claim(run: Run) -> Commit:
    """Choose a host and hold, in one commit, what the server takes of it; its ports and new volumes belong there.

    After a build that failed that is a host that was not tried, and nothing of the last one is held any more.
    """
    server, tried = server_of(run), attempts.tried(run.state)
    network = run.cloud.contracts.use(NetworkContract)
    asked = network.resource_requests(run.cloud.db, server.id) if run.args.get("ports_ask") else []
    place = attempts.choose(run.cloud, server, run.args["host"], tried, asked)
    wanted = _volumes_to_make(run, server, place.name)

    def commit(tx: Tx) -> None:
        if tried:
            parts.release(tx, server.id)
        devices = scheduling.claim(run.cloud, tx, server, place, asked)
        ports = network.ports_of(tx, [server.id]).get(server.id, [])
        network.bind(tx, [port.id for port in ports], place.name, place.ways[0].mappings, devices)
        servers.change(tx, server.id, host=place.name)
        _enter(tx, server.id, TaskState.BLOCK_DEVICE_MAPPING)
        actions.event_began(tx, server.id, run.request_id, EVENT, place.name)
        contract = run.cloud.contracts.use(VolumesContract)
        for device_id, (request, key) in wanted.items():
            made = contract.create_for_boot(tx, context_of(run), request, key)
            devices_store.change(tx, device_id, {"volume_id": made.id})

    return commit


def give_back(run: Run) -> Commit:
    """Everything that the server held, except its row."""

    def commit(tx: Tx) -> None:
        run.cloud.contracts.use(PlacementContract).release(tx, run.subject)
        parts.release(tx, run.subject)
        contract = run.cloud.contracts.use(VolumesContract)
        contract.release(tx, run.subject)
        for device in devices_store.of_server(tx, run.subject):
            made_here = device.source_type != "volume" and device.volume_id is not None
            if made_here:
                assert device.volume_id is not None
                contract.delete_on_termination(tx, device.volume_id, run.request_id)
                devices_store.change(tx, device.id, {"volume_id": None, "attachment_id": None})
        run.cloud.contracts.use(NetworkContract).release_server(tx, run.subject)

    return commit


def prepare_volumes(run: Run) -> Commit:
    """Wait until the content of new volumes is there, then claim them."""
    server = server_of(run)
    contract = run.cloud.contracts.use(VolumesContract)
    waiting = [each for each in devices_store.of_server(run.cloud.db, server.id) if each.attachment_id is None]
    for device in waiting:
        if device.volume_id is not None:
            contract.ready(run.cloud.db, device.volume_id)

    def commit(tx: Tx) -> None:
        for device in waiting:
            if device.volume_id is not None:
                found = contract.reserve(tx, context_of(run), device.volume_id, server.id)
                devices_store.change(tx, device.id, {"attachment_id": found.id})
        _enter(tx, server.id, TaskState.NETWORKING)

    return commit


def prepare_network(run: Run) -> Commit:
    """Wait until the host has the server's ports with all their rules; those that failed before let go of them."""
    server, network = server_of(run), run.cloud.contracts.use(NetworkContract)
    for host in attempts.tried(run.state):
        network.nudge(host)
    network.converge(server.host)
    return lambda tx: _enter(tx, server.id, TaskState.SPAWNING)


def spawn(run: Run) -> Commit:
    """Let the host make and start the server; where it cannot, go back to the choice of a host."""
    server = server_of(run)
    connections = volumes.connect_all(run.cloud, server)
    wanted = spec.server_spec(run.cloud, server, connections, personality.of(run.args))
    body = msgspec.to_builtins(wanted, builtin_types=(bytes,))
    try:
        tell_host(run, server, "build", LONG, spec=body)
    except (CumuletError, RemoteFailure) as error:
        if not attempts.may_help(run.cloud, error, run.args["host"]):
            raise
        return _elsewhere(run, server, error)

    def commit(tx: Tx) -> None:
        for device in devices_store.of_server(tx, server.id):
            if device.volume_id is not None:
                volumes.plugged(run.cloud, tx, server, device)
        servers.change(
            tx,
            server.id,
            vm_state=VmState.ACTIVE.value,
            task_state=TaskState.DELETING.value if _is_going(tx, server.id) else None,
            power_state=PowerState.RUNNING.value,
            launched_at=clock.utcnow(),
            progress=0,
        )
        actions.event_ended(tx, server.id, run.request_id, EVENT, server.host)
        hosts.built(run.cloud, tx, server.host, well=True)
        fresh = store.find(tx, server.id)
        assert fresh is not None
        run.cloud.outbox.publish(tx, "compute.instance.create.end", events.payload(fresh), run.request_id)

    return commit


def _elsewhere(run: Run, server: Server, error: Exception) -> Commit:
    """Leave nothing on the host that failed; what is held of it is moved once another was chosen."""
    run.state["tried"] = attempts.failed(run.cloud, server, attempts.tried(run.state), error)
    remove(run)
    run.go_on_at = "claim"

    def commit(tx: Tx) -> None:
        actions.event_ended(tx, server.id, run.request_id, EVENT, server.host, str(error))
        hosts.built(run.cloud, tx, server.host, well=False)
        _enter(tx, server.id, TaskState.SCHEDULING)

    return commit


def remove(run: Run) -> Commit | None:
    """Let the host forget the server."""
    server = store.find(run.cloud.db, run.subject)
    if server is not None and server.host:
        tell_host(run, server, "destroy")
    for device in devices_store.of_server(run.cloud.db, run.subject):
        volumes.disconnect(run.cloud, device)
    return None


def failed(run: Run) -> Commit:
    """The server is broken; unless somebody wants it gone anyway."""
    error = run.error or "The server could not be built."

    def commit(tx: Tx) -> None:
        server = store.find(tx, run.subject)
        if server is None:
            return
        is_new = server.host not in attempts.tried(run.state)
        if is_new:
            actions.event_ended(tx, server.id, run.request_id, EVENT, server.host, error)
        if server.task_state != TaskState.DELETING:
            servers.fail(tx, server.id, error)
            if is_new:
                hosts.built(run.cloud, tx, server.host, well=False)
        servers.change(tx, server.id, host="")
        run.cloud.outbox.publish(tx, "compute.instance.create.error", events.payload(server), run.request_id)

    return commit


def _enter(tx: Tx, server_id: str, task: TaskState) -> None:
    """Go on to the next part, unless the server is being deleted: its boot is undone as soon as that is noticed."""
    if not _is_going(tx, server_id):
        servers.change(tx, server_id, task_state=task.value)


def _is_going(tx: Tx, server_id: str) -> bool:
    server = store.find(tx, server_id)
    return server is None or server.task_state == TaskState.DELETING


def _volumes_to_make(run: Run, server: Server, host: str) -> dict[str, tuple[BootVolume, Any]]:
    """The volumes that are to be made with the server, by its devices, with the keys of those that need one."""
    contract = run.cloud.contracts.use(VolumesContract)
    found: dict[str, tuple[BootVolume, Any]] = {}
    for device in devices_store.of_server(run.cloud.db, server.id):
        if device.destination_type != "volume" or device.volume_id is not None:
            continue
        request = BootVolume(
            size=device.volume_size,
            image_id=device.source_id if device.source_type == "image" else None,
            snapshot_id=device.source_id if device.source_type == "snapshot" else None,
            volume_type=device.volume_type,
            host=host,
        )
        found[device.id] = request, contract.key_for_boot(context_of(run), request)
    return found


FLOW = Flow(
    create.BOOT,
    (
        Step("claim", claim, give_back),
        Step("volumes", prepare_volumes),
        Step("network", prepare_network),
        Step("spawn", spawn, remove),
    ),
    failed,
)
