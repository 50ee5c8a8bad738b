# SPDX-License-Identifier: Apache-2.0
"""What the verbs on whole servers share: refusals, the beginning of an action, and how one came out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid
from cumulet.services.compute.logic import actions, servers
from cumulet.services.compute.logic.guest import needs
from cumulet.services.compute.store import life as store
from cumulet.services.compute.types import Server, ServerLife, TaskState


class Verb(msgspec.Struct, frozen=True):
    """An action: its rule in ACTION_STATES, what marks the server, its flow, and its name among the actions."""

    rule: str
    task: TaskState
    flow: str
    action: str


SUSPEND = Verb("suspend", TaskState.SUSPENDING, "compute.suspend", "suspend")
RESUME = Verb("resume", TaskState.RESUMING, "compute.resume", "resume")
REBUILD = Verb("rebuild", TaskState.REBUILDING, "compute.rebuild", "rebuild")
RESCUE = Verb("rescue", TaskState.RESCUING, "compute.rescue", "rescue")
UNRESCUE = Verb("unrescue", TaskState.UNRESCUING, "compute.unrescue", "unrescue")
SHELVE = Verb("shelve", TaskState.SHELVING, "compute.shelve", "shelve")
SHELVE_OFFLOAD = Verb("shelve_offload", TaskState.SHELVING_OFFLOADING, "compute.shelve_offload", "shelveOffload")
UNSHELVE = Verb("unshelve", TaskState.UNSHELVING, "compute.unshelve", "unshelve")
RESTORE = Verb("restore", TaskState.RESTORING, "compute.restore", "restore")
BACKUP = Verb("create_backup", TaskState.IMAGE_BACKUP, "compute.create_backup", "createBackup")


def find(source: Source, server_id: str) -> ServerLife:
    return store.find(source, server_id)


def check(ctx: Context, server: Server, verb: Verb) -> None:
    """Conflict where the server is locked, in a state that forbids the verb, or was never launched.

    Invalid where it would part a TPM from what it keeps secrets for.
    """
    servers.check_unlocked(ctx, server)
    servers.check_state(server, verb.rule, verb.action)
    check_launched(server, verb.action)
    if verb in (REBUILD, RESCUE, SHELVE) and needs.has_tpm(server):
        raise Invalid(
            f"Operation '{verb.action}' not supported for vTPM-enabled instance ({server.id}).",
            code="OperationNotSupportedForVTPM",
        )


def check_changeable(ctx: Context, server: Server) -> None:
    """Conflict where the server is locked, or on no host yet."""
    servers.check_unlocked(ctx, server)
    if not server.host:
        raise Conflict(f"Instance {server.id} is not ready", code="InstanceNotReady")


def check_launched(server: Server, action: str) -> None:
    if server.launched_at is None:
        raise Conflict(f"Instance {server.id} is in an invalid state for '{action}'", code="InstanceInvalidState")


def act(cloud: Cloud, ctx: Context, server_id: str, verb: Verb) -> None:
    """Begin a verb that needs nothing but the server."""

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        check(ctx, server, verb)
        begin(cloud, tx, ctx, server, verb)

    cloud.db.write(write)


def begin(
    cloud: Cloud,
    tx: Tx,
    ctx: Context,
    server: Server,
    verb: Verb,
    arguments: Mapping[str, Any] | None = None,
    **changes: Any,
) -> None:
    """Mark the server, note the action, start the flow; it is told the server's state until now as `was`."""
    servers.begin_task(tx, server, verb.task, **changes)
    actions.begin(tx, ctx, server.id, verb.action)
    words = {"ctx": msgspec.to_builtins(ctx), "was": server.vm_state, **(arguments or {})}
    cloud.sagas.start(tx, verb.flow, server.id, words, ctx.request_id)


def owner(server: Server) -> Context:
    """The server's owner, as the one who asks other services for what is the server's already."""
    return Context(user_id=server.user_id, project_id=server.project_id)


def reset_task(tx: Tx, server_id: str) -> None:
    """The verb came to nothing: the server is as before."""
    servers.change(tx, server_id, task_state=None)
