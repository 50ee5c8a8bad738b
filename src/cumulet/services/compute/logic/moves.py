# SPDX-License-Identifier: Apache-2.0
"""Moving servers to other hosts: what asks for it is judged as compute does, then finds no host that would take it.

LIMITATIONS: a server's disks stay on its host, so every move ends as it does in a cloud of one host: an action with its
events, a migration that failed, and a fault that says that no valid host was found.
"""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.compute.logic import actions, hosts, migrations, resize, scheduling, servers
from cumulet.services.compute.store import hosts as hosts_store
from cumulet.services.compute.types import Server, TaskState

COLD_EVENTS = ("conductor_migrate_server", "cold_migrate")
LIVE_EVENTS = ("conductor_live_migrate_instance",)
EVACUATION_EVENTS = ("rebuild_server",)


def migrate(cloud: Cloud, ctx: Context, server_id: str, host: str | None) -> None:
    """Move the server while it is off, to `host` if one is named.

    Invalid for a host that is not there or is the server's own; Conflict for what the state forbids.
    """

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        resize.check_movable(cloud, tx, ctx, server, "migrate")
        if host is not None:
            if host == server.host:
                raise Invalid("Cannot migrate to the host where the server exists.", code="CannotMigrateToSameHost")
            hosts.check_exists(tx, host)
        _no_host(tx, ctx, server, "migrate", migrations.COLD, COLD_EVENTS)

    cloud.db.write(write)


def migrate_live(cloud: Cloud, ctx: Context, server_id: str, host: str | None, *, force: bool, told: bool) -> None:
    """Move the server while it runs, to `host` if one is named, with `force` whatever the scheduler thinks of it.

    What comes of it is noted with the server and, where it is to be `told`, raised as Invalid. Invalid for a host that
    is not there; Conflict for what the state forbids.
    """

    def write(tx: Tx) -> str:
        server = servers.get(tx, ctx, server_id)
        servers.check_unlocked(ctx, server)
        servers.check_state(server, "migrate_live", "os-migrateLive")
        if host:
            hosts.check_exists(tx, host)
        words = None
        if not hosts.is_up(cloud, hosts.find(tx, server.host)):
            words = f"Compute service of {server.host} is unavailable at this time."
        elif force and host == server.host:
            words = f"Unable to migrate instance ({server.id}) to current host ({host})."
        target = host if force else None
        return _no_host(tx, ctx, server, "live-migration", migrations.LIVE, LIVE_EVENTS, target, words)

    words = cloud.db.write(write)
    if told:
        raise Invalid(words, code="NoValidHost")


def evacuate(cloud: Cloud, ctx: Context, server_id: str, host: str | None) -> None:
    """Build the server anew elsewhere, for its host is gone.

    NotFound for a host that is not there; Invalid where it is the server's own, or the server's own is not gone.
    """

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        if host is not None and hosts_store.find(tx, host) is None:
            raise NotFound(f"Compute host {host} not found.", code="ComputeHostNotFound")
        if host is not None and host == server.host:
            raise Invalid("The target host can't be the same one.")
        servers.check_state(server, "evacuate", "evacuate")
        if not server.host:
            raise Conflict(f"Instance {server.id} is not ready", code="InstanceNotReady")
        if hosts.is_up(cloud, hosts.find(tx, server.host)):
            raise Invalid(f"Compute service of {server.host} is still in use.", code="ComputeServiceInUse")
        words = _no_host(tx, ctx, server, "evacuate", migrations.EVACUATION, EVACUATION_EVENTS, host)
        servers.fail(tx, server.id, words)

    cloud.db.write(write)


def _no_host(
    tx: Tx,
    ctx: Context,
    server: Server,
    action: str,
    kind: str,
    steps: tuple[str, ...],
    target: str | None = None,
    words: str | None = None,
) -> str:
    """Note that the server was to be moved, and that it came to nothing; the words of the fault."""
    words = words or scheduling.no_valid_host().message
    actions.begin(tx, ctx, server.id, action)
    for event in steps:
        actions.event_ended(tx, server.id, ctx.request_id, event, "", words)
    migrations.add(tx, ctx, server, kind, server.kind, migrations.ERROR, destination=target)
    # The same check as that of a task that begins: nobody else may have begun one meanwhile.
    servers.begin_task(tx, server, TaskState.MIGRATING, fault=servers.fault(words))
    servers.change(tx, server.id, task_state=None)
    return words
