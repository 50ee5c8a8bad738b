# SPDX-License-Identifier: Apache-2.0
"""Exchanging a volume of a running server for another one with its content.

What the host has exchanged stays so: an undoing finds out which of the two the server has, and leaves it at that.
Arguments: `device`, `old` and `new` (volumes), `old_claim` and `claim` (their attachments).
"""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.block_storage.contract import Connection, VolumesContract
from cumulet.services.compute.flows.common import server_of, tell_host
from cumulet.services.compute.logic import actions, spec, volume_swap, volumes
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Device, Server

COPY_TIME = 3600.0  # seconds that the copying may take


def exchange(run: Run) -> Commit:
    """Let the host mirror the old volume to the new one, and give the guest the new one."""
    server = server_of(run)
    volume_swap.check_plain(run.cloud, run.args["old"], run.args["new"])
    device = volumes.get(run.cloud.db, server, run.args["old"])
    connection = run.cloud.contracts.use(VolumesContract).connect(run.args["claim"], server.host)
    _tell(run, server, device, connection, settle=False)
    return _done(run, server, device)


def settle(run: Run) -> Commit | None:
    """Which volume has the server now? It keeps that one."""
    server, device = volumes.find(run.cloud.db, run.subject, run.args["old"])
    if server is None or device is None:
        return None
    if server.host and _tell(run, server, device, None, settle=True)["done"]:
        return _done(run, server, device)
    run.cloud.contracts.use(VolumesContract).disconnect(run.args["claim"])
    return None


def failed(run: Run) -> Commit:
    def commit(tx: Tx) -> None:
        server = store.find(tx, run.subject)
        _server, swapped = volumes.find(tx, run.subject, run.args["new"])
        if swapped is None:
            contract = run.cloud.contracts.use(VolumesContract)
            contract.detach(tx, run.args["claim"])
            contract.swap_ended(tx, run.args["old"], run.args["new"], failed=True)
        if server is not None:
            error = run.error if swapped is None else None
            actions.event_ended(tx, server.id, run.request_id, volume_swap.EVENT, server.host, error)

    return commit


def _tell(run: Run, server: Server, device: Device, connection: Connection | None, *, settle: bool) -> Any:
    wanted = msgspec.structs.replace(device, volume_id=run.args["new"], attachment_id=run.args["claim"])
    volume = msgspec.to_builtins(spec.volume_spec(wanted, connection))
    return tell_host(run, server, "swap_volume", COPY_TIME, volume_id=device.volume_id, volume=volume, settle=settle)


def _done(run: Run, server: Server, device: Device) -> Commit:
    volumes.disconnect(run.cloud, device)

    def commit(tx: Tx) -> None:
        volume_swap.exchanged(run.cloud, tx, server, device, run.args["new"], run.args["claim"])
        actions.event_ended(tx, server.id, run.request_id, volume_swap.EVENT, server.host)

    return commit


FLOW = Flow(volume_swap.SWAP, (Step("exchange", exchange, settle),), failed)
