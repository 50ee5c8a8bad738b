# SPDX-License-Identifier: Apache-2.0
"""Giving servers another flavor: asking for it, and what becomes of it: confirmed, or taken back.

Until one of the two, the server's old flavor is held in placement by the migration, and its host keeps the old disks.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound
from cumulet.services.compute import events
from cumulet.services.compute.logic import (
    actions,
    flavors,
    hosts,
    images,
    migrations,
    parts,
    quotas,
    servers,
    unified_limits,
)
from cumulet.services.compute.store import migrations as migrations_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Flavor, Migration, PowerState, Server, TaskState, VmState
from cumulet.services.placement.contract import Candidate

LOG = logging.getLogger(__name__)

RESIZE, CONFIRM, REVERT = "compute.resize", "compute.confirm_resize", "compute.revert_resize"
_GOING = (TaskState.DELETING, TaskState.SOFT_DELETING)  # whoever deletes the server says what it is


def resize(cloud: Cloud, ctx: Context, server_id: str, flavor_id: str, *, auto_disk_config: bool | None) -> None:
    """Begin to give the server another flavor.

    Invalid for a flavor that does not suit (Nova's words), OverQuota, Conflict for what the state forbids.
    """

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        check_movable(cloud, tx, ctx, server, "resize")
        flavor = _flavor(tx, ctx, server, flavor_id)
        quotas.check_growth(cloud, tx, server, server.kind, flavor)
        _check_image(server, flavor)
        parts.of_server(cloud, server, flavor)
        if auto_disk_config and server.image.get("properties", {}).get("auto_disk_config", "").lower() == "disabled":
            raise Invalid(
                f"Requested image {server.image_id} has automatic disk resize disabled.",
                code="AutoDiskConfigDisabledByImage",
            )
        servers.begin_task(tx, server, TaskState.RESIZE_PREP, progress=0, auto_disk_config=bool(auto_disk_config))
        actions.begin(tx, ctx, server.id, "resize")
        old = [each.uuid for each in migrations.unended(tx, server.id)]
        new = migrations.add(tx, ctx, server, migrations.RESIZE, flavor, migrations.PREPARING)
        cloud.sagas.start(tx, RESIZE, server.id, {"migration": new.uuid, "leftovers": old}, ctx.request_id)
        cloud.outbox.publish(tx, "compute.instance.resize.prep.start", events.payload(server), ctx.request_id)

    cloud.db.write(write)


def confirm(cloud: Cloud, ctx: Context, server_id: str) -> None:
    """Begin to forget what the server was before."""

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        servers.check_unlocked(ctx, server)
        servers.check_state(server, "confirm_resize", "confirmResize")
        _begin_to_confirm(cloud, tx, server, ctx.request_id, lambda: actions.begin(tx, ctx, server.id, "confirmResize"))

    cloud.db.write(write)


def revert(cloud: Cloud, ctx: Context, server_id: str) -> None:
    """Begin to make the server what it was before; OverQuota where that was more, and is not free any more."""

    def write(tx: Tx) -> None:
        server = servers.get(tx, ctx, server_id)
        servers.check_unlocked(ctx, server)
        servers.check_state(server, "revert_resize", "revertResize")
        migration = migrations.finished(tx, server)
        if not unified_limits.are_used(cloud):
            quotas.check_growth(cloud, tx, server, server.kind, msgspec.convert(migration.old_flavor, Flavor))
        servers.begin_task(tx, server, TaskState.RESIZE_REVERTING)
        migrations.set_status(tx, migration.uuid, migrations.REVERTING)
        actions.begin(tx, ctx, server.id, "revertResize")
        cloud.sagas.start(tx, REVERT, server.id, {"migration": migration.uuid}, ctx.request_id)
        cloud.outbox.publish(tx, "compute.instance.resize.revert.start", events.payload(server), ctx.request_id)

    cloud.db.write(write)


def confirm_old(cloud: Cloud) -> None:
    """Confirm what was resized longer ago than the settings let it wait."""
    window = cloud.settings.compute.resize_confirm_window
    if window:
        confirm_older(cloud, clock.utcnow() - timedelta(seconds=window))


def confirm_older(cloud: Cloud, before: datetime) -> None:
    """Confirm what was resized before the moment; where the server is not resized any more, give the migration up."""
    for migration in migrations_store.in_status(cloud.db, [migrations.FINISHED]):
        if (migration.updated_at or migration.created_at) <= before:
            try:
                cloud.db.write(lambda tx, each=migration: _confirm_old(cloud, tx, each))  # type: ignore[misc]
            except CumuletError as error:
                LOG.info("migration %s is not confirmed yet: %s", migration.uuid, error.message)


def check_movable(cloud: Cloud, source: Source, ctx: Context, server: Server, verb: str) -> None:
    """Conflict where the server may not be resized or moved now, or its host is away."""
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "resize", verb)
    if not server.host:
        raise Conflict(f"Instance {server.id} is not ready", code="InstanceNotReady")
    _check_up(cloud, source, server.host)


def with_flavor(server: Server, flavor: dict[str, object]) -> Server:
    """The same server as it would be with another flavor."""
    return msgspec.structs.replace(server, flavor=flavor)


def check_disks(server: Server, migration: Migration) -> None:
    """Conflict where a disk that lives with the server would have to shrink."""
    old, new = msgspec.convert(migration.old_flavor, Flavor), msgspec.convert(migration.new_flavor, Flavor)
    if new.ephemeral < old.ephemeral or (server.image_id and new.disk < old.disk):
        raise Conflict("Resize error: Unable to resize disk down.", code="ResizeError")


# -- what the flows commit -----------------------------------------------------------------------------------------


def enter(tx: Tx, server_id: str, task: TaskState, migration: str, status: str) -> None:
    """Go on to the next part, unless the server is being deleted."""
    server = store.find(tx, server_id)
    if server is not None and server.task_state not in _GOING:
        servers.change(tx, server_id, task_state=task.value)
        migrations.set_status(tx, migration, status)


def claimed(cloud: Cloud, tx: Tx, server: Server, migration: Migration, candidate: Candidate) -> None:
    """The server has its place: both what it is and what it becomes are held."""
    migrations.hold(cloud, tx, server, migration, candidate)
    enter(tx, server.id, TaskState.RESIZE_MIGRATING, migration.uuid, migrations.MIGRATING)
    migrations_store.change(tx, migration.uuid, {"destination": server.host})


def finished(cloud: Cloud, tx: Tx, server_id: str, migration: Migration, request_id: str) -> None:
    """The server is what was asked for, and waits for a word of its user."""
    server = store.find(tx, server_id)
    if server is None:
        return
    runs = migration.old_state == VmState.ACTIVE
    servers.change(
        tx,
        server_id,
        flavor=migration.new_flavor,
        vm_state=VmState.RESIZED.value,
        task_state=server.task_state if server.task_state in _GOING else None,
        power_state=(PowerState.RUNNING if runs else PowerState.SHUTDOWN).value,
        launched_at=clock.utcnow(),
        fault=None,
    )
    migrations.set_status(tx, migration.uuid, migrations.FINISHED)
    _tell(cloud, tx, server_id, "compute.instance.finish_resize.end", request_id)


def undone(cloud: Cloud, tx: Tx, server_id: str, migration: Migration, error: str) -> None:
    """The resize failed, and the server is as it was."""
    server = store.find(tx, server_id)
    migrations.set_status(tx, migration.uuid, migrations.ERROR)
    if server is not None and server.task_state not in _GOING:
        servers.change(tx, server_id, task_state=None, fault=servers.fault(error))


def confirmed(cloud: Cloud, tx: Tx, server_id: str, migration: Migration, request_id: str) -> None:
    """What the server was before is forgotten."""
    server = store.find(tx, server_id)
    migrations.end(cloud, tx, migration, migrations.CONFIRMED)
    if server is None or server.task_state in _GOING:
        return
    state = VmState.STOPPED if server.power_state == PowerState.SHUTDOWN else VmState.ACTIVE
    servers.change(tx, server_id, vm_state=state.value, task_state=None)
    _tell(cloud, tx, server_id, "compute.instance.resize.confirm.end", request_id)


def reverted(cloud: Cloud, tx: Tx, server_id: str, migration: Migration, request_id: str) -> None:
    """The server is what it was before."""
    server = store.find(tx, server_id)
    if server is None:
        return
    migrations.take_back(cloud, tx, server, migration)
    migrations.set_status(tx, migration.uuid, migrations.REVERTED)
    runs = migration.old_state == VmState.ACTIVE
    servers.change(
        tx,
        server_id,
        flavor=migration.old_flavor,
        vm_state=migration.old_state,
        task_state=server.task_state if server.task_state in _GOING else None,
        power_state=(PowerState.RUNNING if runs else PowerState.SHUTDOWN).value,
        launched_at=clock.utcnow(),
    )
    _tell(cloud, tx, server_id, "compute.instance.resize.revert.end", request_id)


def broken(cloud: Cloud, tx: Tx, server_id: str, migration: Migration, error: str) -> None:
    """A word of the user's could not be followed: the server stays what it is now, and is broken."""
    migrations.end(cloud, tx, migration, migrations.ERROR)
    server = store.find(tx, server_id)
    if server is not None and server.task_state not in _GOING:
        servers.fail(tx, server_id, error)


# -- inside --------------------------------------------------------------------------------------------------------


def _begin_to_confirm(cloud: Cloud, tx: Tx, server: Server, request_id: str, note: Callable[[], None]) -> None:
    migration = migrations.finished(tx, server)
    _check_up(cloud, tx, migration.source)
    servers.begin_task(tx, server, TaskState.RESIZE_CONFIRMING)
    migrations.set_status(tx, migration.uuid, migrations.CONFIRMING)
    note()
    cloud.sagas.start(tx, CONFIRM, server.id, {"migration": migration.uuid}, request_id)
    cloud.outbox.publish(tx, "compute.instance.resize.confirm.start", events.payload(server), request_id)


def _confirm_old(cloud: Cloud, tx: Tx, migration: Migration) -> None:
    server = store.find(tx, migration.server_id)
    fresh = migrations_store.find(tx, migration.uuid)
    if server is None or fresh is None or fresh.status != migrations.FINISHED or server.task_state is not None:
        return
    if server.state is not VmState.RESIZED:
        LOG.warning("migration %s is given up: its server is %s", migration.uuid, server.vm_state)
        migrations.end(cloud, tx, migration, migrations.ERROR)
        return
    request_id = f"req-{migration.uuid}"
    _begin_to_confirm(
        cloud, tx, server, request_id, lambda: actions.begin_of_service(tx, server, request_id, "confirmResize")
    )


def _flavor(tx: Tx, ctx: Context, server: Server, flavor_id: str) -> Flavor:
    """The flavor that was asked for; Invalid where it is none for this server."""
    try:
        flavor = flavors.get(tx, flavor_id, ctx)
    except NotFound as error:
        raise Invalid(error.message, code=error.code) from error
    old = server.kind
    if flavor.disk == 0 and old.disk != 0 and server.image_id:
        raise Invalid(
            "Server disk was unable to be resized because: Resize to zero disk flavor is not allowed.",
            code="CannotResizeDisk",
        )
    if flavor.id == old.id:
        raise Invalid("When resizing, instances must change flavor!", code="CannotResizeToSameFlavor")
    if flavor.disabled:
        raise Invalid(f"Flavor {flavor_id} could not be found.", code="FlavorNotFound")
    return flavor


def _check_image(server: Server, flavor: Flavor) -> None:
    """Invalid where the flavor is too small for what the server was made from: a disk that is there never shrinks."""
    image = images.Image(
        id=server.image_id,
        name=server.image.get("name", ""),
        disk_format=server.image.get("disk_format", ""),
        size=0,
        min_disk=max(int(server.image.get("min_disk", 0)), server.kind.disk),
        min_ram=int(server.image.get("min_ram", 0)),
        properties={},
    )
    images.check_fits(image, flavor)
    if server.image_id:
        images.check_disk(image, flavor)


def _check_up(cloud: Cloud, source: Source, host: str) -> None:
    if not hosts.is_up(cloud, hosts.find(source, host)):
        raise Conflict("Service is unavailable at this time.", code="ServiceUnavailable")


def _tell(cloud: Cloud, tx: Tx, server_id: str, topic: str, request_id: str) -> None:
    fresh = store.find(tx, server_id)
    assert fresh is not None
    cloud.outbox.publish(tx, topic, events.payload(fresh), request_id)
