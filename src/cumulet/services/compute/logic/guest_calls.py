# SPDX-License-Identifier: Apache-2.0
"""What is asked of the system inside a server: to set a password, to write a dump of itself."""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.compute.logic import actions, life, servers
from cumulet.services.compute.types import Server

CRASH_DUMP = "compute.crash_dump"
PASSWORD_TIMEOUT = 20.0  # seconds
USERS = {"linux": "root", "windows": "Administrator"}  # where the image names nobody
EVENT = "compute_set_admin_password"


def set_password(cloud: Cloud, ctx: Context, server: Server, password: str) -> None:
    """Have the guest set its administrator's password, which is kept nowhere; Conflict where it does not."""
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "change_password", "changePassword")
    life.check_launched(server, "changePassword")
    cloud.db.write(lambda tx: actions.begin(tx, ctx, server.id, "changePassword"))
    words = server.image.get("properties", {})
    user = words.get("os_admin_user") or USERS.get(words.get("os_type", "").lower(), USERS["linux"])
    body = {"id": server.id, "user": user, "password": password}
    refusal: Conflict | None = None
    try:
        cloud.hosts.call(server.host, "server.set_password", body, timeout=PASSWORD_TIMEOUT)
    except NotReady:
        refusal = Conflict(
            f"Failed to set admin password on {server.id} because the host is away", code="InstancePasswordSetFailed"
        )
    except Conflict as error:
        refusal = error
    told = None if refusal is None else refusal.message
    cloud.db.write(lambda tx: actions.event_ended(tx, server.id, ctx.request_id, EVENT, server.host, told))
    if refusal is not None:
        raise refusal


def crash_dump(cloud: Cloud, ctx: Context, server_id: str) -> None:
    """Begin to interrupt the guest."""

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        servers.check_unlocked(ctx, server)
        servers.check_state(server, "crash_dump", "trigger_crash_dump")
        life.check_launched(server, "trigger_crash_dump")
        actions.begin(tx, ctx, server.id, "trigger_crash_dump")
        cloud.sagas.start(tx, CRASH_DUMP, server.id, {}, ctx.request_id)

    cloud.db.write(write)
