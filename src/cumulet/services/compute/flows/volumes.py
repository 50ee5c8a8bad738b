# SPDX-License-Identifier: Apache-2.0
"""Plugging volumes into servers, and out."""

from __future__ import annotations

import msgspec

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import NotFound
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.logic import actions, spec, volumes
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Device, Server

ATTACH_EVENT, DETACH_EVENT = "compute_attach_volume", "compute_detach_volume"


def plug(run: Run) -> Commit:
    """Let the host plug the volume in; a server that is on none finds it when it comes to one."""
    server, device = _found(run)
    if server.host:
        _put_in(run, server, device)

    def commit(tx: Tx) -> None:
        volumes.plugged(run.cloud, tx, server, device)
        actions.event_ended(tx, server.id, run.request_id, ATTACH_EVENT, server.host)

    return commit


def put_back(run: Run) -> None:
    """The disk stays where it is after all, though the host may have taken it out already."""
    server = store.find(run.cloud.db, run.subject)
    device = devices_store.find(run.cloud.db, run.subject, run.args["volume"])
    if server is None or not server.host or device is None:
        return
    claims = run.cloud.contracts.use(VolumesContract).attachments_of(run.cloud.db, [server.id]).get(server.id, [])
    # A volume that was taken away by force has no claim any more, and stays out.
    if device.attachment_id in [claim.id for claim in claims]:
        _put_in(run, server, device)


def unplug(run: Run) -> Commit | None:
    """Let the host take it out again."""
    server = store.find(run.cloud.db, run.subject)
    if server is not None and server.host:
        tell_host(run, server, "detach_volume", LONG, volume_id=run.args["volume"])
    device = devices_store.find(run.cloud.db, run.subject, run.args["volume"])
    if device is not None:
        volumes.disconnect(run.cloud, device)
    return None


def attach_failed(run: Run) -> Commit:
    def commit(tx: Tx) -> None:
        server, device = volumes.find(tx, run.subject, run.args["volume"])
        if device is not None:
            volumes.forget(run.cloud, tx, device.id, device.attachment_id)
        if server is not None:
            actions.event_ended(tx, server.id, run.request_id, ATTACH_EVENT, server.host, run.error)

    return commit


def take_out(run: Run) -> Commit:
    """Let the host unplug the volume, then give up the claim."""
    server, device = _found(run)
    if server.host:
        tell_host(run, server, "detach_volume", LONG, volume_id=device.volume_id)
    volumes.disconnect(run.cloud, device)

    def commit(tx: Tx) -> None:
        volumes.forget(run.cloud, tx, device.id, device.attachment_id)
        actions.event_ended(tx, server.id, run.request_id, DETACH_EVENT, server.host)

    return commit


def detach_failed(run: Run) -> Commit:
    def commit(tx: Tx) -> None:
        server, device = volumes.find(tx, run.subject, run.args["volume"])
        if device is not None and device.attachment_id is not None:
            run.cloud.contracts.use(VolumesContract).roll_detach(tx, device.attachment_id)
        if server is not None:
            actions.event_ended(tx, server.id, run.request_id, DETACH_EVENT, server.host, run.error)

    return commit


def _put_in(run: Run, server: Server, device: Device) -> None:
    connection = volumes.connect(run.cloud, server, device)
    tell_host(run, server, "attach_volume", volume=msgspec.to_builtins(spec.volume_spec(device, connection)))


def _found(run: Run) -> tuple[Server, Device]:
    server = server_of(run)
    device = devices_store.find(run.cloud.db, server.id, run.args["volume"])
    if device is None:
        raise NotFound(f"Instance {server.id} is not attached to volume {run.args['volume']}", code="DiskNotFound")
    return server, device


FLOWS = (
    Flow(volumes.ATTACH, (Step("plug", plug, unplug),), attach_failed),
    Flow(volumes.DETACH, (Step("take_out", take_out, put_back),), detach_failed),
)
