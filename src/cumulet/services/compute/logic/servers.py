# SPDX-License-Identifier: Apache-2.0
"""Finding servers, changing what is merely said of them, and the rules of their states."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.compute import events
from cumulet.services.compute.logic import actions, quotas
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import (
    ACTION_STATES,
    INTERRUPTS,
    STATUSES,
    Device,
    Server,
    TaskState,
    VmState,
)

MOST_TAGS = 50


def find(source: Source, server_id: str) -> Server | None:
    """A server, whoever owns it."""
    return store.find(source, server_id)


def is_visible(source: Source, ctx: Context, server_id: str) -> bool:
    return store.find_visible(source, ctx, server_id) is not None


def port_gone(cloud: Cloud, tx: Tx, server_id: str, port_id: str) -> None:
    """Network deleted a port of the server: its host unplugs the interface."""
    server = store.find(tx, server_id)
    if server is not None and server.host:
        cloud.sagas.start(tx, "compute.detach_port", server_id, {"port": port_id})


def forget_deleted(cloud: Cloud, before: datetime) -> None:
    """Remove the rows of servers that were deleted before the moment."""
    cloud.db.write(lambda tx: store.forget(tx, before))


def get(source: Source, ctx: Context, server_id: str) -> Server:
    """A server that the caller may see; NotFound."""
    found = store.find_visible(source, ctx, server_id)
    if found is None:
        raise NotFound(f"Instance {server_id} could not be found.", code="InstanceNotFound")
    return found


def get_any(source: Source, ctx: Context, server_id: str) -> Server:
    """The same, deleted ones included."""
    found = store.find_any(source, server_id)
    if found is None or (found.project_id != ctx.project_id and not ctx.is_admin):
        raise NotFound(f"Instance {server_id} could not be found.", code="InstanceNotFound")
    return found


def find_all(cloud: Cloud, ctx: Context, criteria: store.Criteria, marker_id: str | None) -> list[Server]:
    """A page of servers; Invalid for a marker that is not there."""
    marker = None
    if marker_id is not None:
        marker = store.find_any(cloud.db, marker_id)
        if marker is None or not (criteria.everywhere or marker.project_id == ctx.project_id):
            raise Invalid(f"marker [{marker_id}] not found", code="MarkerNotFound")
    return store.find_all(cloud.db, ctx, criteria, marker)


def tags_of(source: Source, server_ids: Iterable[str]) -> dict[str, list[str]]:
    return store.tags(source, server_ids)


def devices_of(source: Source, server_ids: Iterable[str]) -> dict[str, list[Device]]:
    return devices_store.of_servers(source, server_ids)


def status(server: Server) -> str:
    """The state in the API's words."""
    if server.deleted_at is not None:
        return "DELETED"
    words = STATUSES[server.state]
    task = TaskState(server.task_state) if server.task_state is not None else None
    return words.get(task, words[None])


def states_of(status_: str) -> tuple[list[str], list[str] | None]:
    """The vm states and task states that a status stands for; no task states means any. Nothing for an unknown one."""
    vm_states: list[str] = []
    tasks: set[str] = set()
    for state, words in STATUSES.items():
        for task, word in words.items():
            if word == status_.upper():
                vm_states.append(state)
                tasks.add("default" if task is None else task)
    if "default" in tasks:
        return vm_states, None
    return vm_states, sorted(tasks)


def check_unlocked(ctx: Context, server: Server) -> None:
    """Conflict where the server is locked and the caller is no administrator."""
    if server.locked_by is not None and not ctx.is_admin:
        raise Conflict(f"Instance {server.id} is locked", code="InstanceIsLocked")


def check_state(server: Server, action: str, verb: str) -> None:
    """Conflict where the server's states forbid `action` (of ACTION_STATES); `verb` is its name in the words."""
    if server.task_state is not None and server.task_state not in INTERRUPTS.get(action, ()):
        raise invalid_state(server, verb, "task_state", server.task_state)
    allowed = ACTION_STATES.get(action)
    if allowed is not None and server.state not in allowed:
        raise invalid_state(server, verb, "vm_state", server.vm_state)


def invalid_state(server: Server, verb: str, what: str, state: str) -> Conflict:
    return Conflict(f"Cannot '{verb}' instance {server.id} while it is in {what} {state}", code="InstanceInvalidState")


def change(tx: Tx, server_id: str, **changes: Any) -> bool:
    """Change a server's row; the moment of the change is noted too."""
    return store.change(tx, server_id, {"updated_at": clock.utcnow(), **changes})


def begin_task(tx: Tx, server: Server, task: TaskState, **changes: Any) -> None:
    """Mark the server with what is done to it; Conflict where somebody else was quicker."""
    values = {"updated_at": clock.utcnow(), "task_state": task.value, **changes}
    if not store.change(tx, server.id, values, only_if={"task_state": server.task_state, "vm_state": server.vm_state}):
        raise invalid_state(server, task.value, "task_state", "unknown")


def fail(tx: Tx, server_id: str, message: str, code: int = 500) -> None:
    """Say that the server is broken and why."""
    change(tx, server_id, vm_state=VmState.ERROR.value, task_state=None, fault=fault(message, code))


def fault(message: str, code: int = 500) -> dict[str, Any]:
    """What went wrong with a server, as it is kept with it."""
    return {"code": code, "message": message[:255], "created": clock.iso_z(clock.utcnow()), "details": message}


def update(cloud: Cloud, ctx: Context, server: Server, changes: dict[str, Any]) -> Server:
    """Change names, addresses and what else is merely said of a server."""

    def write(tx: Tx) -> Server:
        if "hostname" in changes:
            check_hostname(tx, server.project_id, changes["hostname"])
        if not change(tx, server.id, **changes):
            raise NotFound(f"Instance {server.id} could not be found.", code="InstanceNotFound")
        fresh = get(tx, ctx, server.id)
        cloud.outbox.publish(tx, "compute.instance.update", events.payload(fresh), ctx.request_id)
        return fresh

    return cloud.db.write(write)


def check_hostname(_tx: Tx, _project_id: str, hostname: str) -> None:
    """Names of guests are any that the schema takes; they need not be unique, as with OpenStack's defaults."""
    if not hostname:
        raise Invalid("The hostname is empty.")


def set_metadata(
    cloud: Cloud, ctx: Context, server: Server, metadata: dict[str, str], *, replace: bool
) -> dict[str, str]:
    """Set items of the metadata, or all of it; the result."""

    def write(tx: Tx) -> dict[str, str]:
        fresh = get(tx, ctx, server.id)
        _check_metadata_state(fresh, "update metadata")
        found = metadata if replace else {**fresh.metadata, **metadata}
        quotas.check_metadata(cloud, tx, server.project_id, len(found))
        change(tx, server.id, metadata=found)
        return found

    return cloud.db.write(write)


def remove_metadata(cloud: Cloud, ctx: Context, server: Server, key: str) -> None:
    """Take one item away; NotFound where there is none."""

    def write(tx: Tx) -> None:
        fresh = get(tx, ctx, server.id)
        if key not in fresh.metadata:
            raise NotFound("Metadata item was not found")
        _check_metadata_state(fresh, "delete metadata")
        change(tx, server.id, metadata={name: value for name, value in fresh.metadata.items() if name != key})

    cloud.db.write(write)


def set_tags(cloud: Cloud, ctx: Context, server: Server, tags: list[str]) -> list[str]:
    """Replace all tags."""

    def write(tx: Tx) -> list[str]:
        fresh = get(tx, ctx, server.id)
        if fresh.state not in (VmState.ACTIVE, VmState.PAUSED, VmState.STOPPED):
            raise invalid_state(fresh, "update tags", "vm_state", fresh.vm_state)
        wanted = list(dict.fromkeys(tags))
        if len(wanted) > MOST_TAGS:
            raise Invalid(f"The number of tags exceeded the per-server limit {MOST_TAGS}")
        store.replace_tags(tx, server.id, wanted)
        change(tx, server.id)
        return sorted(wanted)

    return cloud.db.write(write)


def set_lock(cloud: Cloud, ctx: Context, server: Server, reason: str | None) -> None:
    """Lock the server: only administrators may change it then. To lock one's own again does nothing."""
    owner = "admin" if ctx.is_admin and ctx.project_id != server.project_id else "owner"
    if server.locked_by is not None and ctx.project_id == server.project_id:
        return

    def write(tx: Tx) -> None:
        change(tx, server.id, locked_by=owner, locked_reason=reason)
        actions.begin(tx, ctx, server.id, "lock")

    cloud.db.write(write)


def clear_lock(cloud: Cloud, ctx: Context, server: Server) -> None:
    """Let everyone who may change the server change it again."""

    def write(tx: Tx) -> None:
        change(tx, server.id, locked_by=None, locked_reason=None)
        actions.begin(tx, ctx, server.id, "unlock")

    cloud.db.write(write)


def reset_state(cloud: Cloud, ctx: Context, server: Server, state: VmState) -> None:
    """An administrator's word on what the server is."""

    def write(tx: Tx) -> None:
        change(tx, server.id, vm_state=state.value, task_state=None)
        actions.begin(tx, ctx, server.id, "resetState")

    cloud.db.write(write)


def _check_metadata_state(server: Server, verb: str) -> None:
    if server.state not in (VmState.ACTIVE, VmState.PAUSED, VmState.SUSPENDED, VmState.STOPPED):
        raise invalid_state(server, verb, "vm_state", server.vm_state)
