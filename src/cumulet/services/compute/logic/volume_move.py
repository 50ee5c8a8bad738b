# SPDX-License-Identifier: Apache-2.0
"""Moving a server's volume to another back end, which block storage has chosen."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict
from cumulet.services.compute.logic import actions, servers

MOVE, EVENT = "compute.move_volume", "compute_move_volume"


def begin(cloud: Cloud, tx: Tx, server_id: str, volume_id: str, request_id: str) -> None:
    """Begin to move it, once all that was asked of the server before is done."""
    server = servers.find(tx, server_id)
    if server is None:
        raise Conflict(f"Instance {server_id} could not be found.", code="InstanceNotFound")
    actions.begin_of_service(tx, server, request_id, "swap_volume")
    cloud.sagas.start(tx, MOVE, server_id, {"volume": volume_id}, request_id)
