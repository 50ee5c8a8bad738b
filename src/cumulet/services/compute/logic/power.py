# SPDX-License-Identifier: Apache-2.0
"""Starting, stopping, rebooting, pausing; and taking over what hosts say of the power of their servers."""

from __future__ import annotations

import logging
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, CumuletError
from cumulet.services.compute import events
from cumulet.services.compute.logic import actions, servers
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import PowerState, Server, TaskState, VmState

LOG = logging.getLogger(__name__)

# flow, task state, name of the action, its rule in ACTION_STATES, its name in refusals
_VERBS = {
    "start": ("compute.start", TaskState.POWERING_ON, "start", "start", "start"),
    "stop": ("compute.stop", TaskState.POWERING_OFF, "stop", "stop", "stop"),
    "reboot_soft": ("compute.reboot", TaskState.REBOOTING, "reboot", "reboot_soft", "reboot"),
    "reboot_hard": ("compute.reboot", TaskState.REBOOTING_HARD, "reboot", "reboot_hard", "reboot"),
    "pause": ("compute.pause", TaskState.PAUSING, "pause", "pause", "pause"),
    "unpause": ("compute.unpause", TaskState.UNPAUSING, "unpause", "unpause", "unpause"),
}


def act(cloud: Cloud, ctx: Context, server_id: str, verb: str) -> None:
    """Begin one of start, stop, reboot_soft, reboot_hard, pause, unpause."""
    flow, task, action, rule, words = _VERBS[verb]

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        servers.check_unlocked(ctx, server)
        if not server.host and verb in ("start", "stop"):
            raise Conflict(f"Instance {server.id} is not ready", code="InstanceNotReady")
        servers.check_state(server, rule, words)
        servers.begin_task(tx, server, task)
        actions.begin(tx, ctx, server.id, action)
        cloud.sagas.start(tx, flow, server.id, {"soft": verb == "reboot_soft", "op": ids.new_hex()}, ctx.request_id)

    cloud.db.write(write)


def arrived(tx: Tx, server_id: str, state: VmState, power: PowerState) -> None:
    """An action has ended: what the server is now."""
    servers.change(tx, server_id, vm_state=state.value, task_state=None, power_state=power.value, fault=None)


def heard(cloud: Cloud, host: str, states: dict[str, int]) -> None:
    """A host said what each of its servers does: take it over where nothing is under way."""
    for server_id, power in states.items():
        server = store.find_any(cloud.db, server_id)
        if server is None:
            LOG.warning("host %s has a server %s of which nothing is known", host, server_id)
        elif server.deleted_at is not None:
            _finish_delete(cloud, host, server_id)
        elif "vm_state" in _correction(server, PowerState(power)):
            _ask_again(cloud, host, server)
        else:
            sync(cloud, server, PowerState(power))
    for server in store.on_host(cloud.db, host):
        if (
            server.id not in states
            and server.state is not VmState.BUILDING
            and _correction(server, PowerState.SHUTDOWN)
        ):
            _ask_again(cloud, host, server)


def _ask_again(cloud: Cloud, host: str, server: Server) -> None:
    """The report may be older than an action that has just ended: the row is read first, then the host is asked."""
    fresh = store.find(cloud.db, server.id)
    if fresh is None:
        return
    try:
        power = PowerState(cloud.hosts.call(host, "server.power", {"id": server.id})["power"])
    except CumuletError as error:
        LOG.info("host %s does not say what server %s does: %s", host, server.id, error)
        return
    sync(cloud, fresh, PowerState.SHUTDOWN if power is PowerState.NOSTATE else power)


def ended(cloud: Cloud, host: str, server_id: str) -> None:
    """A host said that a server ended by itself."""
    server = store.find(cloud.db, server_id)
    if server is not None and server.host == host:
        sync(cloud, server, PowerState.SHUTDOWN)


def changed(cloud: Cloud, host: str, server_id: str) -> None:
    """A host said that a server was held, or goes on, by itself."""
    server = store.find(cloud.db, server_id)
    if server is not None and server.host == host:
        _ask_again(cloud, host, server)


def sync(cloud: Cloud, server: Server, power: PowerState) -> None:
    """Make the row say what the hypervisor does."""
    changes = _correction(server, power)
    if not changes:
        return

    def write(tx: Tx) -> None:
        # Whoever began an action since knows better.
        unchanged = {"task_state": None, "vm_state": server.vm_state}
        if store.change(tx, server.id, changes, only_if=unchanged) and "vm_state" in changes:
            LOG.info("server %s is %s now", server.id, changes["vm_state"])
            fresh = store.find(tx, server.id)
            assert fresh is not None
            cloud.outbox.publish(tx, "compute.instance.update", events.payload(fresh))

    cloud.db.write(write)


def _correction(server: Server, power: PowerState) -> dict[str, Any]:
    if server.task_state is not None:
        return {}
    wanted = {
        (VmState.ACTIVE, PowerState.SHUTDOWN): VmState.STOPPED,
        (VmState.ACTIVE, PowerState.CRASHED): VmState.STOPPED,
        (VmState.PAUSED, PowerState.SHUTDOWN): VmState.STOPPED,
        (VmState.ACTIVE, PowerState.PAUSED): VmState.PAUSED,
        (VmState.PAUSED, PowerState.RUNNING): VmState.ACTIVE,
        (VmState.STOPPED, PowerState.RUNNING): VmState.ACTIVE,
        (VmState.SUSPENDED, PowerState.RUNNING): VmState.ACTIVE,
        (VmState.SHELVED, PowerState.RUNNING): VmState.ACTIVE,
    }.get((server.state, power))
    changes: dict[str, Any] = {}
    if wanted is not None:
        changes["vm_state"] = wanted.value
    if server.power_state != power:
        changes["power_state"] = power.value
    return changes


def _finish_delete(cloud: Cloud, host: str, server_id: str) -> None:
    """The server was deleted while its host was away."""
    try:
        cloud.hosts.call(host, "server.destroy", {"id": server_id})
    except CumuletError as error:
        LOG.warning("server %s could not be removed from host %s: %s", server_id, host, error)
