# SPDX-License-Identifier: Apache-2.0
"""Snapshots of attached volumes that a volume service outside of this cloud asks compute for."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Invalid
from cumulet.services.compute.logic import servers
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Server

FLOW = "compute.assisted_snapshot"


def begin(cloud: Cloud, ctx: Context, volume_id: str, name: str, *, drop: bool) -> None:
    """Begin to take, or with `drop` to forget, the snapshot `name` of a volume that a server has.

    Invalid in Nova's words where no server has it, or several, or where the server is busy or on no host.
    """

    def write(tx: Tx) -> None:
        server = _server(tx, volume_id)
        arguments = {"volume": volume_id, "name": name, "drop": drop}
        cloud.sagas.start(tx, FLOW, server.id, arguments, ctx.request_id)

    cloud.db.write(write)


def _server(tx: Tx, volume_id: str) -> Server:
    found = devices_store.of_volume(tx, volume_id)
    if len(found) > 1:
        raise Invalid(
            f"Block Device Mapping {volume_id} is a multi-attach volume and is not valid for this operation.",
            code="VolumeBDMIsMultiAttach",
        )
    server = store.find(tx, found[0].server_id) if found else None
    if server is None:
        raise Invalid(f"No volume Block Device Mapping with id {volume_id}.", code="VolumeBDMNotFound")
    if not server.host:
        raise Invalid(f"Instance {server.id} is not ready", code="InstanceNotReady")
    try:
        servers.check_state(server, "volume_snapshot", "volume_snapshot")
    except Conflict as error:
        raise Invalid(error.message, code=error.code) from error
    return server
