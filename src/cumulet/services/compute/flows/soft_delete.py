# SPDX-License-Identifier: Apache-2.0
"""Deletion for the time being, and its opposite."""

from __future__ import annotations

from cumulet.kernel.db import Tx
from cumulet.kernel.saga import Run
from cumulet.services.compute.flows.common import LONG, tell_host
from cumulet.services.compute.flows.one_step import one_step
from cumulet.services.compute.logic import life, migrations, soft_delete
from cumulet.services.compute.types import Server, VmState
from cumulet.services.network.contract import NetworkContract


def _delete(run: Run, server: Server) -> None:
    if server.host:
        tell_host(run, server, "stop", LONG, timeout=run.cloud.settings.compute.stop_timeout)
    if server.state is VmState.RESIZED:
        tell_host(run, server, "confirm_resize", LONG)


def _restore(run: Run, server: Server) -> None:
    if server.host:
        run.cloud.contracts.use(NetworkContract).converge(server.host)
        tell_host(run, server, "start", LONG)


def _deleted(run: Run, tx: Tx, server: Server) -> None:
    migrations.server_gone(run.cloud, tx, server.id)
    soft_delete.deleted(tx, server)


def _restored(run: Run, tx: Tx, server: Server) -> None:
    soft_delete.restored(run.cloud, tx, server)


FLOWS = (
    one_step(soft_delete.SOFT_DELETE, "compute_soft_delete_instance", _delete, _deleted),
    one_step(life.RESTORE.flow, "compute_restore_instance", _restore, _restored, undo=_delete),
)
