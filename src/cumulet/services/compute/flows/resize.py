# SPDX-License-Identifier: Apache-2.0
"""Another flavor for a server, and the user's word on it: confirmed, or taken back."""

from __future__ import annotations

import msgspec

from cumulet.kernel.db import Source, Tx
from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.compute.flows.common import LONG, server_of, tell_host
from cumulet.services.compute.logic import actions, migrations, resize, scheduling, spec
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Flavor, Migration, Server, TaskState, VmState
from cumulet.services.network.contract import NetworkContract

PREPARED = ("conductor_migrate_server", "cold_migrate", "compute_prep_resize")
MOVED, FINISHED = "compute_resize_instance", "compute_finish_resize"
CONFIRMED = "compute_confirm_resize"
REVERTED = ("compute_revert_resize", "compute_finish_revert_resize")


def claim(run: Run) -> Commit:
    """Hold what the server is going to take of its host, beside what it takes."""
    server, migration = server_of(run), _migration(run)
    resize.check_disks(server, migration)
    candidate = scheduling.at_home(run.cloud, server, msgspec.convert(migration.new_flavor, Flavor))
    leftovers = run.args["leftovers"]
    if leftovers:
        tell_host(run, server, "confirm_resize", LONG)

    def commit(tx: Tx) -> None:
        for uuid in leftovers:
            migrations.end(run.cloud, tx, migrations.get(tx, uuid), migrations.CONFIRMED)
        resize.claimed(run.cloud, tx, server, migration, candidate)
        for event in PREPARED:
            actions.event_ended(tx, server.id, run.request_id, event, server.host)
        actions.event_began(tx, server.id, run.request_id, MOVED, server.host)

    return commit


def give_back(run: Run) -> Commit:
    """Hold what the server took before, and nothing else."""

    def commit(tx: Tx) -> None:
        server = store.find(tx, run.subject)
        if server is not None:
            migrations.take_back(run.cloud, tx, server, _migration(run, tx))

    return commit


def power_off(run: Run) -> Commit:
    """Let the guest end."""
    server = server_of(run)
    _stop(run, server)

    def commit(tx: Tx) -> None:
        resize.enter(tx, server.id, TaskState.RESIZE_MIGRATED, run.args["migration"], migrations.MIGRATED)
        actions.event_ended(tx, server.id, run.request_id, MOVED, server.host)

    return commit


def power_on(run: Run) -> None:
    """Start the server again, if it ran."""
    server = store.find(run.cloud.db, run.subject)
    if server is not None and _migration(run).old_state == VmState.ACTIVE:
        run.cloud.contracts.use(NetworkContract).converge(server.host)
        tell_host(run, server, "start", LONG)


def arrive(run: Run) -> Commit:
    """See that the host has the server's ports."""
    server = server_of(run)
    run.cloud.contracts.use(NetworkContract).converge(server.host)

    def commit(tx: Tx) -> None:
        resize.enter(tx, server.id, TaskState.RESIZE_FINISH, run.args["migration"], migrations.MIGRATED)
        actions.event_began(tx, server.id, run.request_id, FINISHED, server.host)

    return commit


def finish(run: Run) -> Commit:
    """Let the host make the server what was asked for, and keep what it was."""
    server, migration = server_of(run), _migration(run)
    wanted = spec.server_spec(run.cloud, resize.with_flavor(server, migration.new_flavor), {})
    body = msgspec.to_builtins(wanted, builtin_types=(bytes,))
    tell_host(run, server, "resize", LONG, spec=body, start=migration.old_state == VmState.ACTIVE)

    def commit(tx: Tx) -> None:
        resize.finished(run.cloud, tx, server.id, migration, run.request_id)
        actions.event_ended(tx, server.id, run.request_id, FINISHED, server.host)

    return commit


def undo_finish(run: Run) -> None:
    """Bring back what the server was; it stays off."""
    server = store.find(run.cloud.db, run.subject)
    if server is not None:
        tell_host(run, server, "revert_resize", LONG, start=False)


def resize_failed(run: Run) -> Commit:
    error = run.error or "The server could not be resized."

    def commit(tx: Tx) -> None:
        migration = _migration(run, tx)
        resize.undone(run.cloud, tx, run.subject, migration, error)
        # The events of a claim that was refused are all that there is; otherwise the last one that began failed.
        begun = {migrations.PREPARING: PREPARED[:2], migrations.MIGRATING: (MOVED,)}
        for event in begun.get(migration.status, (FINISHED,)):
            actions.event_ended(tx, run.subject, run.request_id, event, migration.source, error)

    return commit


def confirm(run: Run) -> Commit:
    """Let the host forget what the server was."""
    server = server_of(run)
    tell_host(run, server, "confirm_resize", LONG)

    def commit(tx: Tx) -> None:
        resize.confirmed(run.cloud, tx, server.id, _migration(run, tx), run.request_id)
        actions.event_ended(tx, server.id, run.request_id, CONFIRMED, server.host)

    return commit


def stop_new(run: Run) -> None:
    """Let the guest end."""
    _stop(run, server_of(run))


def revert(run: Run) -> Commit:
    """Let the host bring back what the server was."""
    server, migration = server_of(run), _migration(run)
    run.cloud.contracts.use(NetworkContract).converge(server.host)
    tell_host(run, server, "revert_resize", LONG, start=migration.old_state == VmState.ACTIVE)

    def commit(tx: Tx) -> None:
        resize.reverted(run.cloud, tx, server.id, migration, run.request_id)
        for event in REVERTED:
            actions.event_ended(tx, server.id, run.request_id, event, server.host)

    return commit


def confirm_failed(run: Run) -> Commit:
    return _broken(run, (CONFIRMED,))


def revert_failed(run: Run) -> Commit:
    return _broken(run, REVERTED)


def _broken(run: Run, steps: tuple[str, ...]) -> Commit:
    error = run.error or "The resize could not be ended."

    def commit(tx: Tx) -> None:
        migration = _migration(run, tx)
        resize.broken(run.cloud, tx, run.subject, migration, error)
        for event in steps:
            actions.event_ended(tx, run.subject, run.request_id, event, migration.source, error)

    return commit


def _stop(run: Run, server: Server) -> None:
    tell_host(run, server, "stop", LONG, timeout=run.cloud.settings.compute.stop_timeout)


def _migration(run: Run, source: Source | None = None) -> Migration:
    """The saga's migration, as it is now."""
    return migrations.get(source or run.cloud.db, run.args["migration"])


FLOWS = (
    Flow(
        resize.RESIZE,
        (
            Step("claim", claim, give_back),
            Step("power_off", power_off, power_on),
            Step("arrive", arrive),
            Step("finish", finish, undo_finish),
        ),
        resize_failed,
    ),
    Flow(resize.CONFIRM, (Step("confirm", confirm),), confirm_failed),
    Flow(resize.REVERT, (Step("stop", stop_new), Step("revert", revert)), revert_failed),
)
